"""How a run's time grows with rows, shards and workers, and what that says for sizes that were not run.

    make scaling        (about six minutes; writes benchmarks/scaling.json)

Each size runs in a database of its own, from an empty prediction table: plan, two shards at a time, check, publish,
as `python -m inference run` does it. Fitted to the smaller sizes: seconds of a stage = fixed + per row * rows, for plan
and publish with the logarithm of the rows, since both sort. The largest size is held out and predicted. Shards are
compared with two models: one that reading and writing limit, one that its own arithmetic does.
"""

from __future__ import annotations

import json
import logging
import math
import statistics
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from scipy.optimize import nnls

from benchmarks import machine
from benchmarks.tabular import CHUNK_ROWS, HEAVY, TABULAR
from benchmarks.workload import Workload
from inference import pipeline
from inference.jobs.request import Request
from services.postgres import Postgres

RESULTS = Path(__file__).with_name("scaling.json")
FITTED, HELD_OUT = [30_000, 100_000, 300_000, 1_000_000], 3_000_000
SHARDS, SHARDS_ROWS = [1, 2, 4], 300_000
HEAVY_ROWS = 100_000
BEYOND = [10_000_000, 100_000_000, 1_000_000_000]
REPEATS = 3
STAGES = ("plan", "predict", "check", "publish")
SORTS = ("plan", "publish")
_NUMBERS = count(1)


def measure(postgres: Postgres, rows: int, shards: int, workload: Workload = TABULAR) -> dict[str, float]:
    """Seconds of each stage of one first run, of the whole, and of the database's processors."""
    databases = workload.create(postgres, f"scaling_{next(_NUMBERS)}", rows)
    sizes = {"batch_rows": CHUNK_ROWS, "shard_rows": -(-rows // shards)}
    a_job = workload.job(sizes=sizes, max_parallel_shards=shards)
    server, started = _processor_seconds(postgres), time.monotonic()
    ended = pipeline.run(databases, a_job, Request(), lambda _: None, lambda _: nullcontext())
    total = time.monotonic() - started
    server = _processor_seconds(postgres) - server
    assert ended.state == "published", ended.message
    with databases.begin("predictions") as connection:
        row = connection.exec_driver_sql("SELECT planned, predicted, timings FROM prediction.run").one()
    assert (row.planned, row.predicted) == (rows, rows)
    stages = {name: float(row.timings[name]) for name in ("plan", "check", "publish")}
    print(f"{rows} rows in {shards} shards: {total:.1f} s", flush=True)
    return {**stages, "predict": total - sum(stages.values()), "total": total, "database": server}


def _processor_seconds(postgres: Postgres) -> float:
    """Of the server, its sessions that have ended, and those that have not."""
    server = psutil.Process(postgres.pid)
    times = server.cpu_times()
    alive = 0.0
    for child in server.children():
        with suppress(psutil.NoSuchProcess):  # it ends while it is looked at, and counts among those that have
            alive += sum(child.cpu_times()[:2])
    return float(times.user + times.system + times.children_user + times.children_system + alive)


def median(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def terms(stage: str, rows: float) -> list[float]:
    """What a stage's seconds are made of: a fixed part, and one that grows."""
    return [1.0, rows * math.log2(rows) if stage in SORTS else rows]


def fit(measured: dict[int, dict[str, float]], stage: str) -> list[float]:
    """Coefficients of `terms`, none negative, by least squares of the relative errors."""
    matrix = [[term / measured[rows][stage] for term in terms(stage, rows)] for rows in measured]
    return [float(value) for value in nnls(np.array(matrix), np.ones(len(matrix)))[0]]


def predict(model: dict[str, list[float]], rows: int) -> dict[str, float]:
    stages = {stage: float(np.dot(model[stage], terms(stage, rows))) for stage in STAGES}
    return {**stages, "total": sum(stages.values())}


def main() -> None:
    logging.disable(logging.INFO)
    with machine.services([TABULAR, HEAVY]) as postgres:
        measure(postgres, 1_000, 1)  # makes the model's environment, and warms what can be warmed
        sizes = {rows: median([measure(postgres, rows, 2) for _ in range(REPEATS)]) for rows in [*FITTED, HELD_OUT]}
        shards = {n: median([measure(postgres, SHARDS_ROWS, n) for _ in range(REPEATS)]) for n in SHARDS}
        heavy = {n: measure(postgres, HEAVY_ROWS, n, HEAVY) for n in SHARDS}
    model = {stage: fit({rows: sizes[rows] for rows in FITTED}, stage) for stage in STAGES}
    guessed, seen = predict(model, HELD_OUT)["total"], sizes[HELD_OUT]["total"]
    results: dict[str, Any] = {
        "sizes": sizes, "shards": shards, "heavy": heavy, "model": model,
        "held_out": {"predicted": guessed, "measured": seen},
        "beyond": {rows: predict(model, rows) for rows in BEYOND},
        "database_seconds_per_million_rows": sizes[HELD_OUT]["database"] / HELD_OUT * 1e6,
    }  # fmt: skip
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    _print(results)
    error = abs(guessed / seen - 1)
    print(f"held out: {HELD_OUT} rows take {seen:.1f} s, predicted {guessed:.1f} s: {error:.0%} off")
    assert error <= 0.25


def _print(results: dict[str, Any]) -> None:
    for heading, part in (
        ("rows", "sizes"),
        ("shards", "shards"),
        ("shards, heavy", "heavy"),
        ("rows, by the model", "beyond"),
    ):
        print(f"| {heading} | " + " | ".join((*STAGES, "total")) + " |")
        for key, found in results[part].items():
            print(f"| {key:,} | " + " | ".join(f"{found[name]:.1f}" for name in (*STAGES, "total")) + " |")
    print(f"database: {results['database_seconds_per_million_rows']:.1f} processor seconds a million rows")


if __name__ == "__main__":
    main()
