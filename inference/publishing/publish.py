"""Publish: one transaction into the live table; readers see the old predictions, then the new."""

from __future__ import annotations

import time

from psycopg2 import sql
from sqlalchemy.engine import Connection

from inference.base import queries, work_names
from inference.base.database import PREDICTIONS, Databases
from inference.base.queries import fill
from inference.errors import RequestError, TakenOver, WorkLost
from inference.publishing import check
from inference.publishing.check import Verdict
from inference.schema import job_tables, lease, work_tables
from inference.schema.run import Run, end, lock_run, read_run, recorded

SQL = queries.load("publishing/publish")


def publish(databases: Databases, run_id: int) -> Verdict:
    """Make a checked run visible. A run that is published, empty or held already stays as it is.

    Raises TakenOver if a later run owns the job, WorkLost if Postgres emptied the work tables.
    """
    started = time.monotonic()
    with check.concluding(databases, run_id) as connection:
        run = _locked(connection, run_id)
        if run.state in ("published", "empty") or (run.state == "held" and not run.approved):
            # Published but not reported: an earlier attempt of this task got no answer to its COMMIT.
            news = run.state == "published" and run.report is None
            message = f"run {run_id} is {run.state} already: nothing to publish; {run.message}"
            return Verdict(run_id, run.state, message, news)
        if run.state not in ("checked", "held"):
            raise TakenOver(f"run {run_id} is {run.state}, so it is not published: {run.message}")
        return _publish(connection, run, started)


def release(databases: Databases, run_id: int) -> str:
    """Let a held run go on: publish its results, or allow the next run to plan as many rows.

    Raises RequestError if it is not held (any more), WorkLost like `publish`.
    """
    started = time.monotonic()
    with recorded(databases, run_id, WorkLost), check.concluding(databases, run_id) as connection:
        run = _require_held(connection, run_id)
        queries.run(connection, SQL["approve"], run_id=run_id)
        if work_tables.exist(connection, f"result_{run_id}_{run.generation}"):
            return _publish(connection, run, started).message
    return f"run {run_id} is released: the next run of {run.job_name} may plan {run.planned} rows"


def discard(databases: Databases, run_id: int) -> str:
    """End a held run without publishing it. Raises RequestError if it is not held (any more)."""
    with databases.begin(PREDICTIONS) as connection:
        run = _require_held(connection, run_id)
        end(connection, run_id, f"discarded: {run.message}")
        work_tables.drop_work(connection, run_id, run.generation)
    return f"run {run_id} is discarded: its rows are pending again"


def _publish(connection: Connection, run: Run, started: float) -> Verdict:
    check.require_tables(connection, run)
    deleted = _merge(connection, run)
    queries.run(connection, SQL["record"], run_id=run.run_id, deleted=deleted, seconds=time.monotonic() - started)
    lease.clear(connection, run.job_name)
    return Verdict(run.run_id, "published", f"run {run.run_id} is published: {run.message}", True)


def _locked(connection: Connection, run_id: int) -> Run:
    """The run as it stands once nobody else plans or publishes for its job, or ends it."""
    lease.lock(connection, read_run(connection, run_id).job_name)
    lock_run(connection, run_id)
    return read_run(connection, run_id)


def _require_held(connection: Connection, run_id: int) -> Run:
    run = _locked(connection, run_id)
    if run.state != "held":
        raise RequestError(f"run {run_id} is {run.state}; only a held run can be released or discarded")
    return run


def _merge(connection: Connection, run: Run) -> int:
    """Write the run's rows into the live table; returns the number of deleted predictions."""
    known = list(job_tables.outputs_of(connection, run.job_name))
    parts, values = _parts(run, known), {"run_id": run.run_id, "generation": run.generation, "job": run.job_name}
    values["model_id"] = queries.run(connection, SQL["model"], run_id=run.run_id).scalar_one()
    keeps = run.job.history == "append"
    if keeps:
        queries.run(connection, SQL["keep_history"], parts)
    queries.run(connection, SQL["merge"], {**parts, "conflict": _conflict(connection, parts)}, **values)
    queries.run(connection, SQL["resolve"], parts, **values)
    queries.run(connection, SQL["quarantine"], parts, **values)
    if not work_tables.exist(connection, f"gone_{run.run_id}_{run.generation}"):
        return 0
    if keeps:
        queries.run(connection, SQL["keep_deleted"], parts)
    return queries.run(connection, SQL["delete"], parts, **values).rowcount


def _conflict(connection: Connection, parts: dict[str, sql.Composable]) -> sql.Composable:
    """What happens to predictions that are there; where there are none, a plain insert is faster by a third.

    The job's row is locked, so nobody else can be about to write the first.
    """
    filled = queries.run(connection, SQL["has_predictions"], parts).scalar()
    return fill(SQL["conflict"], **parts) if filled else sql.SQL("")


def _parts(run: Run, outputs: list[str]) -> dict[str, sql.Composable]:
    """`outputs`: the columns of the target; those that this version does not have become NULL."""
    key, given = list(run.job.source.key), {item.name for item in run.outputs}
    numbers = work_names.key_names(len(key))
    everything = [*key, *job_tables.METADATA, *outputs]
    return {
        **run.parts,
        "target": job_tables.target(run.job.name),
        "history": job_tables.history(run.job.name),
        "gone": work_names.gone(run.run_id, run.generation),
        "joined": work_tables.keys_equal(run.job, "p", "w"),
        "columns": queries.columns(everything),
        "old_columns": queries.columns(everything, "p"),
        "key": queries.columns(key),
        "work_key": queries.columns(numbers, "w"),
        "key_text": queries.as_text(numbers, "w"),
        "outputs": queries.columns(outputs),
        "result_outputs": sql.SQL(", ").join(
            queries.column(name, "r") if name in given else sql.SQL("NULL") for name in outputs
        ),
        "new_outputs": queries.columns(outputs, "excluded"),
    }
