"""Ours beside what people would use instead: `make bench`; `QUICK=1` for a short run, `FIGURES=8,9` for a part.

Writes benchmarks/results.json, where the figures of a part take the place of those before, and, unless it was a short
run, the tables and plots of benchmarks/README.md. Ends with 1 and the names of the figures that missed their bar.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings
from pathlib import Path

from benchmarks import (
    batches,
    dag_runs,
    duplicates,
    machine,
    planning,
    plots,
    publishing,
    race_of_messages,
    race_of_numbers,
    readme,
    shard_memory,
    verdict,
    views,
)
from benchmarks.messages import MESSAGES
from benchmarks.tabular import TABULAR

RESULTS = Path(__file__).with_name("results.json")
PARTS = [
    race_of_messages, race_of_numbers, duplicates, planning, publishing, shard_memory, batches, dag_runs,
    views,
]  # fmt: skip


def main() -> int:
    quick = bool(os.environ.get("QUICK"))
    asked = {int(number) for number in os.environ.get("FIGURES", "").replace(",", " ").split()}
    wanted = asked or (set(verdict.QUICK) if quick else set(range(1, 16)))
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    started = time.monotonic()
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() and not quick else []
    now = []
    with machine.services([TABULAR, MESSAGES], quick) as postgres:
        here = machine.Machine(postgres, quick)
        for part in PARTS:
            if part.FIGURES & wanted:
                for entry in verdict.judge(part.measure(here), quick):
                    now.append(entry)
                    print(
                        f"figure {entry['figure']}: {entry['name']}: {entry['value']}, bar {entry['bar']}", flush=True
                    )
                before = verdict.merge(before, now)
                RESULTS.write_text(json.dumps(before, indent=1) + "\n")
    if not quick:
        plots.draw(before)
        readme.write(before)
    missed = verdict.missed(now)
    print(f"{time.monotonic() - started:.0f} s; " + ("missed: " + "; ".join(missed) if missed else "no bar is missed"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
