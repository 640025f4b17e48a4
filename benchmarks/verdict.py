"""The bars, and what a measured figure is told by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

QUICK = range(1, 7)  # the figures that a quick run judges
SHARE = 0.8  # of its bar that a figure of a quick run must reach


@dataclass(frozen=True)
class Bar:
    """At least `bar`; at most, where `most`."""

    figure: int
    name: str
    bar: float
    reach: float | None
    most: bool = False

    def met(self, value: float, share: float = 1.0) -> bool:
        return value <= self.bar / share if self.most else value >= self.bar * share


BARS = [
    Bar(1, "text: ours / ceiling", 0.95, 0.98),
    Bar(2, "text: ours / pandas in arrival order", 1.6, 2.0),
    Bar(2, "text: ours / pandas sorted in chunks", 0.95, 1.1),
    Bar(3, "tabular, hash: ours / pandas chunked", 2.5, 4.0),
    Bar(3, "tabular, hash: ours / pandas whole table", 2.0, 3.0),
    Bar(4, "tabular, hash: ours / raw COPY", 0.25, 0.40),
    Bar(4, "tabular, hash: ours / bare steps", 0.70, 1.0),
    Bar(5, "text: ours / Ray Data", 1.2, 1.6),
    Bar(5, "tabular, hash: ours / Ray Data", 2.0, 4.0),
    Bar(6, "tabular: changes none / hash", 1.3, 1.6),
    Bar(7, "text, half duplicates: time / time without", 0.55, 0.52, most=True),
    Bar(8, "plan with a cursor: time in 5,000,000 rows / in 500,000", 1.5, 1.1, most=True),
    Bar(9, "sweep of 5,000,000 rows: time / the same anti-join alone", 1.3, 1.1, most=True),
    Bar(10, "publish of 1,000,000 rows, target empty: time / bare insert", 1.2, 0.6, most=True),
    Bar(10, "publish of 1,000,000 rows, target full: time / bare upsert", 1.2, None, most=True),
    Bar(11, "memory of a shard, MiB: tabular 100,000 rows", 128, 64, most=True),
    Bar(11, "memory of a shard, MiB: tabular 1,000,000 rows", 128, 64, most=True),
    Bar(11, "memory of a shard, MiB: text 10,000 rows", 128, 64, most=True),
    Bar(11, "memory of a shard, MiB: text 40,000 rows", 128, 64, most=True),
    Bar(11, "memory of a shard: difference by rows, tabular", 0.2, None, most=True),
    Bar(11, "memory of a shard: difference by rows, text", 0.2, None, most=True),
    Bar(12, "automatic batch / best fixed: text", 0.95, 0.98),
    Bar(12, "automatic batch / best fixed: tabular", 0.95, 0.98),
    Bar(12, "automatic batch: share of the rows until settled, text", 0.02, None, most=True),
    Bar(12, "automatic batch: share of the rows until settled, tabular", 0.02, None, most=True),
    Bar(13, "text: 2 shards with 1 thread / 1 shard with 2 threads", 1.05, 1.15),
    Bar(14, "DAG run, nothing pending: time / an empty DAG", 1.3, 1.1, most=True),
    Bar(14, "DAG run, one shard of nothing to load: time / an empty DAG", 2.0, 1.5, most=True),
    Bar(15, "100,000 rows of a view over 2,000,000: time / the same in a table", 2.0, 1.5, most=True),
]
NAMES = {bar.name: bar for bar in BARS}


@dataclass(frozen=True)
class Measured:
    """A figure's value, by the name of its bar, and what it was made of."""

    name: str
    value: float
    detail: dict[str, Any] = field(default_factory=dict)


def judge(measured: Iterable[Measured], quick: bool) -> list[dict[str, Any]]:
    """The entries of results.json. A quick run tells the figures beyond QUICK without a verdict."""
    return [_entry(NAMES[one.name], one.value, one.detail, quick) for one in measured]


def _entry(bar: Bar, value: float | None, detail: Mapping[str, Any], quick: bool) -> dict[str, Any]:
    ok = None
    if value is not None and not (quick and bar.figure not in QUICK):
        ok = bar.met(value, SHARE if quick else 1.0)
    return {
        "figure": bar.figure, "name": bar.name, "value": None if value is None else round(value, 3), "bar": bar.bar,
        "ok": ok,
        "detail": {"better": "lower" if bar.most else "higher", "reach": bar.reach, "quick": quick, **detail},
    }  # fmt: skip


def merge(before: Iterable[Mapping[str, Any]], now: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """All figures in the order of the table: as measured now, else as before, else without a value."""
    known = {entry["name"]: dict(entry) for entry in (*before, *now)}
    return [known.get(bar.name) or _entry(bar, None, {}, False) for bar in BARS]


def missed(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    return [f"figure {entry['figure']}: {entry['name']}" for entry in entries if entry["ok"] is False]
