"""Status: jobs, their latest runs, and what a job that is no more has left behind."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection

from inference.base import queries
from inference.base.database import PREDICTIONS, Databases
from inference.errors import RequestError
from inference.schema import job_tables, work_tables

SQL = queries.load("operations/status")


def jobs(databases: Databases, job: str | None) -> list[dict[str, Any]]:
    """One row a job that has planned; `age`: seconds for which every visible row has had its prediction."""
    with databases.begin(PREDICTIONS) as connection:
        return [dict(row) for row in queries.run(connection, SQL["jobs"], job=job).mappings()]


def runs(databases: Databases, job: str | None, limit: int) -> list[dict[str, Any]]:
    """The latest runs, newest first."""
    with databases.begin(PREDICTIONS) as connection:
        return [dict(row) for row in queries.run(connection, SQL["runs"], job=job, limit=limit).mappings()]


def run_of(databases: Databases, job: str, orchestrator: str, external_id: str) -> dict[str, Any] | None:
    """The run that an orchestrator started under its own id, with all counts; None if it planned nothing."""
    values = {"job": job, "orchestrator": orchestrator, "external_id": external_id}
    with databases.begin(PREDICTIONS) as connection:
        row = queries.run(connection, SQL["run_of"], **values).mappings().first()
    return dict(row) if row else None


def progress(connection: Connection, run_id: int, generation: int) -> tuple[int, int]:
    """Inputs of a run that are committed, and all of its inputs."""
    row = queries.run(connection, SQL["progress"], run_id=run_id, generation=generation).one()
    return int(row.done), int(row.total)


def known(databases: Databases) -> list[str]:
    """Names of the jobs that have tables, whether or not they still have a job file."""
    with databases.begin(PREDICTIONS) as connection:
        return list(queries.run(connection, SQL["known"]).scalars())


def drop(databases: Databases, job: str) -> None:
    """Drop a job's tables, view, runs and quarantine. Its predictions are gone."""
    if job not in known(databases):
        raise RequestError(f"job {job!r} has no tables; those that have: {', '.join(known(databases)) or 'none'}")
    parts = {
        "view": queries.table(job),
        "current": queries.table(f"{job}__current"),
        "target": job_tables.target(job),
        "history": job_tables.history(job),
    }
    with databases.begin(PREDICTIONS) as connection:
        queries.run(connection, SQL["drop_current"], parts)
        queries.run(connection, SQL["drop_job"], parts)
        work_tables.drop_leftovers(connection, job, also_open=True)
        queries.run(connection, SQL["forget"], job=job)
