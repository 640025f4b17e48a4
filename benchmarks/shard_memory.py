"""Figure 11: what a shard needs beside what it held with the model loaded, by its rows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from benchmarks import ours
from benchmarks.machine import Machine
from benchmarks.messages import MESSAGES
from benchmarks.race import LONG, REPEATS
from benchmarks.racer import Racer
from benchmarks.tabular import TABULAR
from benchmarks.verdict import Measured
from benchmarks.workload import Workload
from inference.base.database import PREDICTIONS, Databases

FIGURES = {11}
MIB = 1 << 20
CASES: list[tuple[str, Any, list[int], int]] = [
    ("tabular", TABULAR, [100_000, 1_000_000], 1),
    ("text", MESSAGES, [10_000, 40_000], os.cpu_count() or 1),
]


def measure(machine: Machine) -> Iterator[Measured]:
    for name, workload, sizes, threads in CASES:
        grown = []
        for rows in sizes:
            found = _laps(machine, workload, rows, threads)
            held, peak = sorted(found, key=lambda one: one[1] - one[0])[(len(found) - 1) // 2]
            grown.append((peak - held) / MIB)
            print(f"{name}, {rows} rows: held {held / MIB:.0f} MiB, grew by {grown[-1]:.1f} MiB", flush=True)
            yield Measured(f"memory of a shard, MiB: {name} {rows:,} rows", grown[-1], {"held_mib": round(held / MIB)})
        difference = abs(grown[1] - grown[0]) / max(grown[0], 1e-9)
        yield Measured(
            f"memory of a shard: difference by rows, {name}", difference, {"mib": [round(one, 1) for one in grown]}
        )


def _laps(machine: Machine, workload: Workload, rows: int, threads: int) -> list[tuple[int, int]]:
    """Bytes held with the model loaded, and at the peak, of each lap in a process of its own."""
    found: list[tuple[int, int]] = []
    seconds = 0.0
    while len(found) < REPEATS and seconds < LONG:
        racer = Racer("ours", ours.run, workload, shards=1, threads=threads)
        try:
            with machine.fresh(workload, rows) as url:
                seconds = racer.lap(url).seconds
                found.append(_memory(url))
        finally:
            racer.close()
    return found


def _memory(url: str) -> tuple[int, int]:
    with Databases({PREDICTIONS: url}).begin(PREDICTIONS) as connection:
        row = connection.exec_driver_sql("SELECT held_memory, peak_memory FROM prediction.shard").one()
    return row.held_memory, row.peak_memory
