"""Ours, from plan to publish, as `python -m inference run` does it."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Any

from benchmarks.lap import Lap
from benchmarks.workload import Workload, count
from inference import pipeline
from inference.base.database import PREDICTIONS, Databases
from inference.jobs.request import Request

# All shards run at a time, and one whose model is loaded later begins later: that is start-up. From its own first page
# to its last commit, the longest is what they take.
PREDICT = "SELECT max(seconds) FROM prediction.shard WHERE run_id = (SELECT max(run_id) FROM prediction.run)"


def run(url: str, workload: Workload, shards: int = 2, threads: int = 1, **changes: Any) -> Lap:
    """`shards` at a time with so many threads each; `changes` as of `Workload.job`.

    Left out as start-up: the shards' processes, their imports, the model; and report, which tells MLflow.
    """
    databases = Databases({PREDICTIONS: url})
    sizes = {"shard_rows": 1, "max_shards": shards, **changes.pop("sizes", {})}
    job = workload.job(
        **changes, sizes=sizes, max_parallel_shards=shards, resources={"threads": threads, "cpus": threads}
    )
    started = time.monotonic()
    ended = pipeline.run(databases, job, Request(), lambda _: None, lambda _: nullcontext())
    whole = time.monotonic() - started
    assert ended.state == "published", ended.message
    with databases.begin(PREDICTIONS) as connection:
        timings = connection.exec_driver_sql("SELECT timings FROM prediction.run ORDER BY run_id DESC").scalar_one()
        predict = connection.exec_driver_sql(PREDICT).scalar_one()
    assert count(databases, f"prediction.{workload.name}") == count(databases, workload.relation)
    stages = {name: float({**timings, "predict": predict}[name]) for name in ("plan", "predict", "check", "publish")}
    seconds = sum(stages.values())
    return Lap(seconds, whole - seconds, stages)
