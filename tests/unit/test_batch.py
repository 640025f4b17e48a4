"""The size of a batch that is found on machines whose speed is a formula."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from inference.scoring import memory
from inference.scoring.batch_size import BatchSize

Speed = Callable[[int], float]  # seconds of a call with so many rows


def overhead(rows: int) -> float:
    """Each call costs as much as 1,000 rows: the more, the better."""
    return 1e-3 + 1e-6 * rows


def cache(rows: int) -> float:
    """Fastest with 16 rows: beyond, what a call holds no longer fits the processor's cache."""
    return 0.02 + 5e-3 * rows + (1e-2 * (rows - 16) if rows > 16 else 0)


def score(size: BatchSize, rows: int, seconds: Speed, dearest: float = 1.0, chunk: int = 20_000) -> list[int]:
    """Rows of each call, in chunks."""
    calls = []
    while rows:
        left = min(rows, chunk)
        rows -= left
        while left:
            batch = min(size.rows(dearest), left)
            size.observe(batch, dearest, batch * dearest, seconds(batch))
            calls.append(batch)
            left -= batch
    return calls


@pytest.fixture(autouse=True)
def no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "limit", lambda: None)


def test_grows_while_that_is_a_gain_and_tries_on_two_percent_of_the_rows_at_most() -> None:
    size = BatchSize(None, None, 1_000_000, 20_000)

    calls = score(size, 1_000_000, overhead)

    # The first call is not judged. As long as twice the rows take hardly longer, four times as many are tried.
    assert calls[:16] == [4, 4, 4, 4, 8, 8, 8, 32, 32, 32, 128, 128, 128, 512, 512, 512]
    assert calls[16:22] == [1024, 1024, 1024, 2048, 2048, 2048]
    settled = calls.index(size.value or 0)
    assert sum(calls[:settled]) <= 20_000
    assert size.value == 4096  # 8,192 more would be too many
    assert set(calls[settled + 6 :]) == {4096, 20_000 % 4096}


def test_goes_back_to_the_size_that_was_fastest() -> None:
    size = BatchSize(None, None, 10_000, 2048)

    calls = score(size, 10_000, cache, chunk=2048)

    # A loss is asked three times, and of twice as many rows as well: it may be the machine's.
    assert calls[:9] == [4, 4, 8, 16, 32, 32, 32, 64, 16]
    assert size.value == 16


def test_the_unit_is_the_cost_of_a_row() -> None:
    size = BatchSize(None, None, 10_000, 2048)

    calls = score(size, 1_000, cache, dearest=50)

    assert calls[:9] == [4, 4, 8, 16, 32, 32, 32, 64, 16]
    assert (size.value, size.rows(50), size.rows(8), size.rows(10_000)) == (800, 16, 100, 1)


def test_goes_back_to_the_size_that_a_leap_has_passed_over() -> None:
    size = BatchSize(None, None, 10_000, 2048)

    calls = score(size, 10_000, lambda rows: 2e-3 + 5e-5 * rows + (1e-3 * (rows - 16) if rows > 16 else 0))

    assert calls[4:20] == [8, 8, 8, 32, 32, 32, 16, 16, 16, 32, 32, 32, 64, 64, 64, 16]
    assert size.value == 16


def test_what_is_known_is_tried_again_beside_half_and_twice_of_it() -> None:
    size = BatchSize(None, 16, 10_000, 2048)

    assert score(size, 2_000, cache)[:8] == [8, 8, 16, 32, 32, 32, 64, 16]
    assert size.value == 16


def test_what_is_known_is_found_wrong_on_a_machine_that_has_changed() -> None:
    larger, smaller = BatchSize(None, 4, 100_000, 2048), BatchSize(None, 256, 100_000, 2048)

    score(larger, 2_000, cache)
    score(smaller, 2_000, cache)

    assert (larger.value, smaller.value) == (16, 128)  # halved once a run


def test_a_short_shard_tries_sizes_while_that_costs_next_to_nothing() -> None:
    quick, slow = BatchSize(None, None, 2_000, 2048), BatchSize(None, None, 2_000, 2048)

    score(quick, 2_000, overhead)
    calls = score(slow, 2_000, lambda rows: 0.1 * rows)

    assert quick.value == 512  # two calls have shown the gain; a third is not there
    assert calls[:6] == [4, 4, 8, 8, 8, 4]  # twice the rows take twice the time: nothing to be had


@pytest.mark.parametrize(("worse", "kept"), [(1.2, 16), (1.5, 8)])
def test_the_last_size_that_few_rows_allow_is_kept_unless_it_is_clearly_slower(worse: float, kept: int) -> None:
    """One call says little: long ones are slowed by a fifth every now and then."""
    size = BatchSize(None, None, 2_000, 2048)

    score(size, 2_000, lambda rows: (0.1 + 0.01 * rows) * (worse * 26 / 18 if rows == 16 else 1))

    assert size.value == kept


def test_where_rows_end_while_it_climbs_no_size_is_taken_whose_memory_nobody_knows() -> None:
    size = BatchSize(None, None, 500, 2048)

    calls = score(size, 500, lambda rows: 0.2 + 0.001 * rows)

    assert calls[:4] == [4, 4, 8, 8]
    assert size.value == 8


@pytest.mark.parametrize("which", range(1, 9))
def test_a_long_call_that_is_held_up_does_not_count_either(which: int) -> None:
    calls = count(1)

    def held_up(rows: int) -> float:
        return cache(rows) * (1.4 if next(calls) == which else 1)

    size = BatchSize(None, None, 20_000, 2048)
    score(size, 20_000, held_up)

    assert size.value == 16


@pytest.mark.parametrize("seconds", [0.005, 0.5])
def test_a_size_whose_calls_are_all_slowed_does_not_end_the_search(seconds: float) -> None:
    size = BatchSize(None, None, 1_000_000, 20_000)

    score(size, 1_000_000, lambda rows: overhead(rows) + (seconds if rows == 32 else 0))

    assert size.value == 4096


def test_long_calls_that_are_all_slowed_do_not_end_the_search_either() -> None:
    size = BatchSize(None, None, 1_000_000, 20_000)

    score(size, 100_000, lambda rows: (0.1 + 0.001 * rows) * (2 if rows == 16 else 1))

    assert size.value == 2048  # twice as many gain 2 %


@pytest.mark.parametrize("which", range(1, 25))
def test_a_call_that_is_held_up_for_long_does_not_count(which: int) -> None:
    """As by another thread that has the interpreter for a while."""
    calls = count(1)

    def held_up(rows: int) -> float:
        return overhead(rows) + (0.025 if next(calls) == which else 0)

    size = BatchSize(None, None, 1_000_000, 20_000)
    score(size, 1_000_000, held_up)

    assert size.value == 4096


def test_nothing_is_tried_where_that_is_forbidden() -> None:
    size = BatchSize(None, 500, 0, 2048)

    assert set(score(size, 2_000, overhead, chunk=2_000)) == {500}


def test_a_fixed_number_of_rows_stays() -> None:
    size = BatchSize(64, None, 10_000, 2048)

    assert set(score(size, 6_400, cache, dearest=50, chunk=6_400)) == {64}


def test_a_batch_is_never_larger_than_a_chunk() -> None:
    size = BatchSize(None, None, 1_000_000, 100)

    score(size, 10_000, overhead, chunk=100)

    assert size.value == 64


@pytest.mark.parametrize(("fixed", "known", "rows"), [(64, None, 32), (None, 6_400, 32)])
def test_out_of_memory_halves_for_good(fixed: int | None, known: int | None, rows: int) -> None:
    size = BatchSize(fixed, known, 10_000, 2048)

    size.halve(64, 100)

    assert set(score(size, 3_200, overhead, dearest=100, chunk=3_200)) == {rows}


@pytest.mark.parametrize(
    ("limit", "most"),
    [(164 << 20, 16), (1 << 40, 128), (None, 128)],  # 32 rows come to 132 MiB, above four fifths; 256 add 256
    ids=["tight", "wide", "none"],
)
def test_a_size_that_may_take_too_much_memory_is_not_tried(
    monkeypatch: pytest.MonkeyPatch, limit: int | None, most: int
) -> None:
    """A row takes a MiB for as long as its call lasts; 100 MiB are held."""
    held = [100 << 20]
    monkeypatch.setattr(memory, "used", lambda: 100 << 20)
    monkeypatch.setattr(memory, "peak", lambda: held[0])
    monkeypatch.setattr(memory, "limit", lambda: limit)
    size = BatchSize(None, None, 100_000, 2048)

    def hungry(rows: int) -> float:
        held[0] = max(held[0], (100 + rows) << 20)
        return overhead(rows)

    calls = score(size, 2_000, hungry)

    assert size.value == max(calls) == most
