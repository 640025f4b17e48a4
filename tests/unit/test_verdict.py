"""How `make bench` judges its figures."""

from __future__ import annotations

import pytest

from benchmarks import verdict
from benchmarks.verdict import BARS, Measured


@pytest.mark.parametrize(
    ("name", "value", "quick", "ok"),
    [
        ("text: ours / ceiling", 0.95, False, True),
        ("text: ours / ceiling", 0.94, False, False),
        ("text: ours / ceiling", 0.76, True, True),
        ("text: ours / ceiling", 0.75, True, False),
        ("sweep of 5,000,000 rows: time / the same anti-join alone", 1.3, False, True),
        ("sweep of 5,000,000 rows: time / the same anti-join alone", 1.31, False, False),
        ("sweep of 5,000,000 rows: time / the same anti-join alone", 9.0, True, None),
    ],
)
def test_a_figure_is_judged_by_its_bar(name: str, value: float, quick: bool, ok: bool | None) -> None:
    (entry,) = verdict.judge([Measured(name, value)], quick)

    assert (entry["ok"], entry["value"]) == (ok, value)


def test_a_part_takes_the_place_of_its_own_figures_only() -> None:
    first, second = BARS[0].name, BARS[1].name
    before = verdict.merge([], verdict.judge([Measured(first, 1.0), Measured(second, 0.1)], False))
    after = verdict.merge(before, verdict.judge([Measured(first, 0.5)], False))

    assert [entry["name"] for entry in after] == [bar.name for bar in BARS]
    assert [(entry["value"], entry["ok"]) for entry in after[:3]] == [(0.5, False), (0.1, False), (None, None)]
    assert verdict.missed(after) == [f"figure 1: {first}", f"figure 2: {second}"]


def test_the_names_of_the_bars_are_all_different() -> None:
    assert len(verdict.NAMES) == len(BARS)
    assert {bar.figure for bar in BARS} == set(range(1, 16))
