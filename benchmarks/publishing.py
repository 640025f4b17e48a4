"""Figure 10: publish of a million rows, the first time and over as many, beside the bare statement."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from benchmarks.machine import Machine
from benchmarks.tabular import CHUNK_ROWS, TABULAR
from benchmarks.verdict import Measured
from benchmarks.workload import count, vacuum
from inference import pipeline
from inference.base import queries
from inference.base.database import PREDICTIONS, Databases
from inference.jobs.job import Job
from inference.jobs.request import Request
from inference.schema import job_tables
from inference.schema.lease import Caller

FIGURES = {10}
ROWS, REPEATS = 1_000_000, 3
AGAIN = Request(mode="key_range", key_from="1")
UPDATE = """
    ON CONFLICT (id) DO UPDATE SET (input_hash, model_id, run_id, predicted_at, score)
    = ROW (EXCLUDED.input_hash, EXCLUDED.model_id, EXCLUDED.run_id, EXCLUDED.predicted_at, EXCLUDED.score)
"""


def measure(machine: Machine) -> Iterator[Measured]:
    job = TABULAR.job(sizes={"batch_rows": CHUNK_ROWS, "shard_rows": ROWS // 2})
    seconds: dict[str, list[float]] = {"empty": [], "insert": [], "full": [], "upsert": []}
    for _ in range(REPEATS):
        with machine.fresh(TABULAR, ROWS) as url:
            databases = Databases({PREDICTIONS: url})
            for request, bare, ours in ((Request(), "insert", "empty"), (AGAIN, "upsert", "full")):
                run_id, generation = _until_publish(databases, job, request)
                seconds[bare].append(_bare(databases, run_id, generation, UPDATE if bare == "upsert" else ""))
                started = time.monotonic()
                assert pipeline.publish(databases, run_id).state == "published"
                seconds[ours].append(time.monotonic() - started)
                assert count(databases, "prediction.measurement") == count(databases, "bare") == ROWS
                print(f"publish, {ours}: {seconds[ours][-1]:.2f} s, {bare} {seconds[bare][-1]:.2f} s", flush=True)
                vacuum(databases, "bare")
                vacuum(databases, _target(databases))
    medians = {name: round(statistics.median(found), 3) for name, found in seconds.items()}
    detail = {"seconds": medians}
    name = "publish of 1,000,000 rows, target"
    yield Measured(f"{name} empty: time / bare insert", medians["empty"] / medians["insert"], detail)
    yield Measured(f"{name} full: time / bare upsert", medians["full"] / medians["upsert"], detail)


def _until_publish(databases: Databases, job: Job, request: Request) -> tuple[int, int]:
    planned = pipeline.plan(databases, job, request, Caller.command_line())
    assert planned.planned == ROWS, planned.message
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(partial(pipeline.predict, databases, planned.run_id, planned.generation), planned.shards))
    assert pipeline.check(databases, planned.run_id).state == "checked"
    return planned.run_id, planned.generation


def _bare(databases: Databases, run_id: int, generation: int, conflict: str) -> float:
    """Join the result to the work list, into a table like the target; COMMIT."""
    with databases.connect(PREDICTIONS) as connection, connection.begin():
        cursor = connection.connection.cursor()
        cursor.execute(f"CREATE TABLE IF NOT EXISTS bare (LIKE {_target(databases)} INCLUDING ALL)")
    work, result = f"prediction_work.work_{run_id}_{generation}", f"prediction_work.result_{run_id}_{generation}"
    started = time.monotonic()
    with databases.begin(PREDICTIONS) as connection:
        connection.exec_driver_sql(
            "INSERT INTO bare (id, input_hash, model_id, run_id, predicted_at, score) "
            f"SELECT w.key1, r.input_hash, 1, {run_id}, now(), r.score FROM {work} w JOIN {result} r USING (ordinal) "
            f"WHERE w.ordinal > 0 {conflict}"
        )
    return time.monotonic() - started


def _target(databases: Databases) -> str:
    with databases.begin(PREDICTIONS) as connection:
        return queries.text(connection, job_tables.target(TABULAR.name))
