"""The settings that each contestant was fastest with, found by grid in a full run and kept for quick ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import race
from benchmarks.machine import Machine
from benchmarks.racer import Racer
from benchmarks.workload import Workload

FILE = Path(__file__).with_name("settings.json")


def choose(machine: Machine, racer: Racer, workload: Workload, rows: int, grid: Sequence[dict[str, Any]]) -> None:
    """By grid on so many rows; in a quick run as the last full one found."""
    known: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {}
    name = f"{workload.name}, {racer.name}"
    if machine.quick:
        racer.settings.update(known[name])
        return
    known[name] = race.fastest(racer, machine.standing(workload, rows), grid)
    FILE.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
