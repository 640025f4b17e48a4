"""Figures 3 to 6: a table of numbers, where reading and writing are the limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks import bare, ours, pandas_peer, race, ray_peer, settings, spark_peer
from benchmarks.machine import Machine
from benchmarks.model import load
from benchmarks.race import Entry
from benchmarks.racer import Racer
from benchmarks.tabular import TABULAR
from benchmarks.verdict import Measured

FIGURES = {3, 4, 5, 6}
ROWS, QUICK_ROWS, SAMPLE = 1_000_000, 200_000, 100_000
GROWING = [10_000, 100_000]  # and ROWS: for the plot of time and memory
CHUNKS: list[dict[str, Any]] = [{"chunk": chunk} for chunk in (10_000, 50_000, 100_000)]
METHODS: list[dict[str, Any]] = [{"chunk": 10_000, "method": "multi"}]
RAY = [
    {"batch": batch, "actors": actors, "blocks": blocks}
    for batch in (10_000, 50_000) for actors in (1, 2) for blocks in (2, 8)
]  # fmt: skip
SPARK = [{"batch": batch} for batch in (10_000, 50_000)]


def measure(machine: Machine) -> Iterator[Measured]:
    rows = QUICK_ROWS if machine.quick else ROWS
    chunked = Racer("pandas chunked", pandas_peer.run, TABULAR, load)
    whole = Racer("pandas whole table", pandas_peer.run, TABULAR, load, chunk=None)
    ray = Racer("Ray Data", ray_peer.run, TABULAR, ray_peer.prepare)
    settings.choose(machine, chunked, TABULAR, SAMPLE, CHUNKS + METHODS)
    settings.choose(machine, ray, TABULAR, SAMPLE, RAY)
    mine = Racer("ours", ours.run, TABULAR)
    entries = [
        Entry(mine, fresh=True),
        Entry(Racer("ours, changes: none", ours.run, TABULAR, source={"changes": "none"}), fresh=True),
        Entry(Racer("raw COPY", bare.raw_copy, TABULAR)),
        Entry(Racer("bare steps", bare.steps, TABULAR, load)),
        *map(Entry, [chunked, whole, ray]),
    ]
    if not machine.quick:
        entries += map(Entry, _told(machine))
    try:
        few = [] if machine.quick else [one for one in entries if one.racer in (mine, chunked, whole, ray)]
        growing = _growing(machine, few) if few else {}
        laps = race.run(machine, TABULAR, rows, entries)
        contestants = race.told(laps, entries, rows)
    finally:
        for entry in entries:
            entry.racer.close()
    seconds = {name: lap.seconds for name, lap in laps.items()}
    detail: dict[str, Any] = {"rows": rows, "contestants": contestants, "growing": growing}
    for name in ("pandas chunked", "pandas whole table", "raw COPY", "bare steps", "Ray Data"):
        yield Measured(f"tabular, hash: ours / {name}", seconds[name] / seconds["ours"], detail)
        detail = {"rows": rows}
    yield Measured("tabular: changes none / hash", seconds["ours"] / seconds["ours, changes: none"], detail)


def _told(machine: Machine) -> list[Racer]:
    """Contestants without a bar."""
    chunked = Racer("pandas chunked, COPY", pandas_peer.run, TABULAR, load, method="copy")
    whole = Racer("pandas whole table, COPY", pandas_peer.run, TABULAR, load, chunk=None, method="copy")
    settings.choose(machine, chunked, TABULAR, SAMPLE, CHUNKS)
    if spark_peer.missing():
        return [chunked, whole]
    spark = Racer("Spark", spark_peer.run, TABULAR, spark_peer.prepare)
    settings.choose(machine, spark, TABULAR, SAMPLE, SPARK)
    return [chunked, whole, spark]


def _growing(machine: Machine, entries: Sequence[Entry]) -> dict[str, Any]:
    """Seconds and memory for fewer rows than the race's; a process that has had much keeps it, so these come first."""
    return {
        str(rows): race.told(race.run(machine, TABULAR, rows, entries, repeats=1), entries, rows) for rows in GROWING
    }
