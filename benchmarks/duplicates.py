"""Figure 7: messages of which each is there twice, beside as many different ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from benchmarks import ours, race
from benchmarks.machine import Machine
from benchmarks.messages import MESSAGES
from benchmarks.race import Entry
from benchmarks.racer import Racer
from benchmarks.verdict import Measured

FIGURES = {7}
ROWS = 4096


def _twice(cursor: Any, rows: int) -> None:
    MESSAGES.fill(cursor, rows // 2)
    cursor.execute(f"INSERT INTO message SELECT id + {rows // 2}, text FROM message")


TWICE = replace(MESSAGES, model="minilm_twice", fill=_twice)  # the name is of its databases


def measure(machine: Machine) -> Iterator[Measured]:
    racer = Racer("ours", ours.run, MESSAGES)
    laps: dict[str, list[Any]] = {"without": [], "twice": []}
    try:
        for _ in range(race.REPEATS):
            laps["without"].append(race.one(machine, MESSAGES, ROWS, Entry(racer, fresh=True)))
            laps["twice"].append(race.one(machine, TWICE, ROWS, Entry(racer, fresh=True)))
    finally:
        racer.close()
    seconds = {name: round(race.median(found).seconds, 3) for name, found in laps.items()}
    ratio = seconds["twice"] / seconds["without"]
    yield Measured("text, half duplicates: time / time without", ratio, {"rows": ROWS, "seconds": seconds})
