"""Ours beside what people would use instead, in one run: `make bench`, or `make bench QUICK=1`.

Figures 3, 4 and 6 so far (numbers, limited by reading and writing). Contestants take turns, and each figure is a ratio
of medians of one run. pandas is judged with the settings that `to_sql` has; with a COPY method of one's own, which its
documentation shows, it is run and shown as well.

Writes benchmarks/results.json; ends with 1 and the names of the figures that missed their bar.
"""

from __future__ import annotations

import json
import logging
import os
import statistics
import sys
import warnings
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks import contestants, tabular
from inference.database import Databases

RESULTS = Path(__file__).with_name("results.json")
QUICK = bool(os.environ.get("QUICK"))
ROWS = 200_000 if QUICK else 1_000_000
REPEATS = 3
CHUNKS = (10_000, 50_000, 100_000)
METHODS = (None, "multi")
# Figure, what it compares, the bar (at least).
BARS = [
    (3, "ours / pandas chunked", "pandas chunked", 2.5),
    (3, "ours / pandas whole table", "pandas whole", 2.0),
    (4, "ours / raw COPY", "raw COPY", 0.25),
    (4, "ours / bare steps", "bare steps", 0.70),
]
_NUMBERS = count(1)


def main() -> int:
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    with tabular.services() as postgres:

        def fresh(rows: int = ROWS) -> Databases:
            return tabular.create(postgres, f"bench_{next(_NUMBERS)}", rows)

        contestants.ours(fresh(1_000))  # makes the model's environment
        model, standing = tabular.load(), fresh()
        chunk, method = _fastest(fresh(100_000), model)
        racers: dict[str, Callable[[], float]] = {
            "ours": lambda: contestants.ours(fresh()),
            "ours, changes: none": lambda: contestants.ours(fresh(), changes="none"),
            "raw COPY": lambda: contestants.raw_copy(standing),
            "bare steps": lambda: contestants.bare_steps(standing, model),
            "pandas chunked": lambda: contestants.pandas_chunked(standing, model, chunk, method),
            "pandas whole": lambda: contestants.pandas_whole(standing, model, method),
            "pandas chunked, COPY": lambda: contestants.pandas_chunked(standing, model, chunk, contestants.by_copy),
            "pandas whole, COPY": lambda: contestants.pandas_whole(standing, model, contestants.by_copy),
        }
        seconds: dict[str, list[float]] = {name: [] for name in racers}
        for _ in range(REPEATS):
            for name, race in racers.items():
                seconds[name].append(race())
                print(f"{name}: {seconds[name][-1]:.2f} s", flush=True)
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    results = _judge(medians, {"pandas chunk": chunk, "pandas method": method or "default", "rows": ROWS})
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    missed = [f"figure {one['figure']}: {one['name']}" for one in results if one["ok"] is False]
    print("\n".join(f"{one['name']}: {one['value']:.2f}, bar {one['bar']}" for one in results))
    print("missed: " + "; ".join(missed) if missed else "no figure missed its bar")
    return 1 if missed else 0


def _fastest(databases: Databases, model: Any) -> tuple[int, Any]:
    """The chunk and the method of `to_sql` that pandas is fastest with."""
    grid = [(chunk, None) for chunk in CHUNKS] + [(CHUNKS[0], method) for method in METHODS[1:]]
    return min(grid, key=lambda one: contestants.pandas_chunked(databases, model, *one))


def _judge(medians: dict[str, float], setting: dict[str, Any]) -> list[dict[str, Any]]:
    share = 0.8 if QUICK else 1.0
    ratios = [(figure, name, medians[other] / medians["ours"], bar) for figure, name, other, bar in BARS]
    ratios.append((6, "changes: none / hash", medians["ours"] / medians["ours, changes: none"], 1.3))
    detail = {**setting, "seconds": {name: round(value, 2) for name, value in medians.items()}}
    return [
        {
            "figure": figure, "name": f"tabular: {name}", "value": round(value, 3), "bar": bar,
            "ok": value >= bar * share, "detail": detail,
        }
        for figure, name, value, bar in ratios
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
