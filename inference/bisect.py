"""Find the culprits in a batch that fails, by halves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, Union

Item = TypeVar("Item")
Result = TypeVar("Result")


def bisect(
    items: Sequence[Item],
    attempt: Callable[[Sequence[Item]], Result],
    faults: tuple[type[BaseException], ...],
) -> Iterator[tuple[Sequence[Item], Union[Result, BaseException]]]:
    """Attempt `items` as a whole, and where that fails with one of `faults`, in halves.

    Yields slices in order, each with its result, or a single item with its fault. One culprit among
    n items costs at most 2 * log2(n) further attempts.
    """
    yield from _solve(items, attempt, faults, False)


def _solve(
    items: Sequence[Item],
    attempt: Callable[[Sequence[Item]], Result],
    faults: tuple[type[BaseException], ...],
    known_bad: bool,
) -> Iterator[tuple[Sequence[Item], Union[Result, BaseException]]]:
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
