"""Every item exactly once and in order, culprits alone, and few attempts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.base.bisect import bisect


class Fault(Exception):
    pass


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[int], set[int]]:
    size = draw(st.integers(1, 300))
    return list(range(size)), draw(st.sets(st.integers(0, size - 1), max_size=8) | st.just(set(range(size))))


@given(batches())
def test_every_item_once_in_order_and_culprits_exactly_the_bad_ones(batch: tuple[list[int], set[int]]) -> None:
    items, bad = batch
    calls = 0

    def attempt(part: Sequence[int]) -> list[int]:
        nonlocal calls
        calls += 1
        assert part, "nothing to attempt"
        if bad & set(part):
            raise Fault(min(bad & set(part)))
        return [-item for item in part]

    found = list(bisect(items, attempt, (Fault,)))

    assert [item for part, _ in found for item in part] == items
    culprits = {part[0] for part, outcome in found if isinstance(outcome, Fault) and len(part) == 1}
    assert culprits == bad
    for part, outcome in found:
        if isinstance(outcome, Fault):
            assert (len(part), outcome.args) == (1, (part[0],))
        else:
            assert outcome == [-item for item in part]
    depth = math.ceil(math.log2(len(items))) if len(items) > 1 else 0
    assert calls <= 1 + len(bad) * 2 * depth


def test_nothing_fails_in_one_attempt() -> None:
    assert list(bisect([1, 2, 3], sum, (Fault,))) == [([1, 2, 3], 6)]


def test_a_fault_of_another_kind_goes_through() -> None:
    def attempt(part: Sequence[int]) -> int:
        raise KeyError(part[0])

    with pytest.raises(KeyError):
        list(bisect([1, 2], attempt, (Fault,)))


def test_a_range_stays_a_range() -> None:
    def attempt(part: Sequence[int]) -> int:
        if 7 in part:
            raise Fault
        return len(part)

    parts = [part for part, _ in bisect(range(5, 13), attempt, (Fault,))]
    assert parts == [range(5, 7), range(7, 8), range(8, 9), range(9, 13)]


def test_an_attempt_that_succeeds_the_second_time_loses_nothing() -> None:
    """Out of memory: the whole fails, and no part does."""

    def attempt(part: Sequence[int]) -> int:
        if len(part) > 4:
            raise Fault
        return len(part)

    found = list(bisect(list(range(16)), attempt, (Fault,)))

    assert [item for part, _ in found for item in part] == list(range(16))
    assert [outcome for _, outcome in found] == [len(part) for part, _ in found]
