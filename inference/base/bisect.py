"""Find the culprits in a batch that fails, by halves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar, Union


class Sliced(Protocol):
    """What can be cut in two: a list, a range, rows."""

    def __len__(self) -> int: ...

    def __getitem__(self: Items, part: slice, /) -> Items: ...


Items = TypeVar("Items", bound=Sliced)
Result = TypeVar("Result")


def bisect(
    items: Items,
    attempt: Callable[[Items], Result],
    faults: tuple[type[BaseException], ...],
) -> Iterator[tuple[Items, Union[Result, BaseException]]]:
    """Attempt `items` as a whole, and where that fails with one of `faults`, in halves.

    Yields slices in order, each with its result, or a single item with its fault. One culprit among
    n items costs at most 2 * log2(n) further attempts.
    """
    yield from _solve(items, attempt, faults, False)


def _solve(
    items: Items,
    attempt: Callable[[Items], Result],
    faults: tuple[type[BaseException], ...],
    known_bad: bool,
) -> Iterator[tuple[Items, Union[Result, BaseException]]]:
    clean = True
    if len(items) == 1 or not known_bad:
        try:
            yield items, attempt(items)
            return
        except faults as fault:
            if len(items) == 1:
                yield items, fault
                return
    middle = len(items) // 2
    for part, outcome in _solve(items[:middle], attempt, faults, False):
        clean = clean and not isinstance(outcome, BaseException)
        yield part, outcome
    # The whole failed and the first half did not: the culprit is in the second, no need to ask.
    yield from _solve(items[middle:], attempt, faults, clean)
