"""Figure 12: batches that find their size themselves, beside the best that a grid finds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from benchmarks import ours, race, settling
from benchmarks.machine import Machine
from benchmarks.messages import MESSAGES
from benchmarks.racer import Racer
from benchmarks.tabular import TABULAR
from benchmarks.verdict import Measured
from benchmarks.workload import Workload

FIGURES = {12}
GRID = [8, 16, 32, 64, 128, 256, 512]
CASES: list[tuple[str, Any, int, int]] = [
    ("text", MESSAGES, 4096, os.cpu_count() or 1),
    ("tabular", TABULAR, 200_000, 1),
]


def measure(machine: Machine) -> Iterator[Measured]:
    for name, workload, rows, threads in CASES:
        racer = Racer("ours", ours.run, workload, shards=1, threads=threads)
        try:
            grid = {batch: _predict(machine, racer, workload, rows, batch) for batch in GRID}
            best = min(grid, key=lambda batch: grid[batch])
            found: dict[int | None, list[float]] = {None: [], best: []}
            for _ in range(race.REPEATS):
                for batch in found:
                    found[batch].append(_predict(machine, racer, workload, rows, batch))
        finally:
            racer.close()
        automatic, fixed = sorted(found[None])[1], sorted(found[best])[1]
        seconds = {"automatic": round(automatic, 3), "best": round(fixed, 3), "grid": grid}
        detail = {"best": best, "rows": rows, "seconds of predict": seconds}
        yield Measured(f"automatic batch / best fixed: {name}", fixed / automatic, detail)
        share = f"automatic batch: share of the rows until settled, {name}"
        yield Measured(share, _settled(machine, workload, rows), {"rows": rows})


def _settled(machine: Machine, workload: Workload, rows: int) -> float:
    racer = Racer("settling", settling.run, workload)
    try:
        with machine.fresh(workload, rows) as url:
            return racer.lap(url).stages["settled"]
    finally:
        racer.close()


def _predict(machine: Machine, racer: Racer, workload: Workload, rows: int, batch: int | None) -> float:
    """Seconds from the first page to the last commit; `batch` None: automatic."""
    with machine.fresh(workload, rows) as url:
        lap = racer.lap(url, sizes={} if batch is None else {"batch_rows": batch})
    print(f"{workload.name} {rows}, batch {batch or 'automatic'}: {lap.stages['predict']:.2f} s", flush=True)
    return round(lap.stages["predict"], 3)
