"""Contestants take turns, so that a noisy minute is everybody's; each is told by the median of its laps."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from benchmarks.lap import Lap
from benchmarks.machine import Machine
from benchmarks.racer import Racer
from benchmarks.workload import Workload

REPEATS = 3
LONG = 60.0  # seconds; one lap of that is enough
MIB = 1 << 20


@dataclass(frozen=True)
class Entry:
    """fresh: it needs a database of its own for each lap, and leaves its predictions there."""

    racer: Racer
    fresh: bool = False


def run(
    machine: Machine, workload: Workload, rows: int, entries: Sequence[Entry], repeats: int = REPEATS
) -> dict[str, Lap]:
    for entry in entries:
        entry.racer.start()
        if not machine.quick:  # else side by side: its start-up is then not its own alone
            entry.racer.wait()
    for entry in entries:
        entry.racer.wait()
    laps: dict[str, list[Lap]] = {entry.racer.name: [] for entry in entries}
    for _ in range(repeats):
        for entry in entries:
            done = laps[entry.racer.name]
            if not done or done[-1].seconds < LONG:
                done.append(one(machine, workload, rows, entry))
    return {name: median(done) for name, done in laps.items()}


def one(machine: Machine, workload: Workload, rows: int, entry: Entry) -> Lap:
    standing = nullcontext(machine.standing(workload, rows))
    with machine.fresh(workload, rows) if entry.fresh else standing as url:
        lap = entry.racer.lap(url)
    print(f"{workload.name} {rows}, {entry.racer.name}: {lap.seconds:.2f} s, {lap.memory / MIB:.0f} MiB", flush=True)
    return lap


def median(laps: Sequence[Lap]) -> Lap:
    """The lap in the middle, with what was the most memory of all."""
    middle = sorted(laps, key=lambda lap: lap.seconds)[(len(laps) - 1) // 2]
    start_up = statistics.median(lap.start_up for lap in laps)
    return Lap(middle.seconds, start_up, middle.stages, max(lap.memory for lap in laps))


def fastest(racer: Racer, url: str, grid: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Keep the settings that the contestant is fastest with; returns them."""
    seconds = {}
    tried = [dict(settings) for settings in grid]
    for number, settings in enumerate(tried):
        seconds[number] = racer.lap(url, **settings).seconds
        print(f"{racer.name} with {settings}: {seconds[number]:.2f} s", flush=True)
    best = tried[min(seconds, key=lambda number: seconds[number])]
    racer.settings.update(best)
    racer.close()  # what it needed for the grid is not its memory in the race
    return best


def told(medians: Mapping[str, Lap], entries: Sequence[Entry], rows: int) -> dict[str, Any]:
    """What results.json says of a race."""
    racers = {entry.racer.name: entry.racer for entry in entries}
    return {
        name: {
            "seconds": round(lap.seconds, 3), "rows_per_second": round(rows / lap.seconds),
            "start_up": round(lap.start_up + racers[name].start_up, 1), "memory_mib": round(lap.memory / MIB),
            "stages": {stage: round(seconds, 3) for stage, seconds in lap.stages.items()},
            "settings": {key: value for key, value in racers[name].settings.items() if value is not None},
        }
        for name, lap in medians.items()
    }  # fmt: skip
