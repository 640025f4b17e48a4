"""Quarantine: look at the rows that a model could not score, and let them be tried again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inference.base import queries
from inference.base.database import PREDICTIONS, Databases
from inference.base.work_names import key_names
from inference.errors import RequestError
from inference.schema import work_tables
from inference.schema.run import read_run

SQL = queries.load("operations/quarantine")


def entries(databases: Databases, job: str | None, limit: int) -> list[dict[str, Any]]:
    """The unresolved entries, latest first."""
    with databases.begin(PREDICTIONS) as connection:
        found = queries.run(connection, SQL["list"], job=job, limit=limit).mappings()
        return [dict(row) for row in found]


def staged(databases: Databases, run_id: int, limit: int) -> list[dict[str, Any]]:
    """The rows that a run could not score, as long as its results are there: also of one that failed its checks."""
    with databases.begin(PREDICTIONS) as connection:
        run = read_run(connection, run_id)
        if not work_tables.exist(connection, f"result_{run_id}_{run.generation}"):
            raise RequestError(
                f"run {run_id} is {run.state}, and its results are dropped. What a published run put into quarantine: "
                f"python -m inference quarantine list {run.job_name}"
            )
        keys = queries.as_text(key_names(len(run.job.source.key)), "w")
        rows = queries.run(connection, SQL["staged"], {**run.parts, "key_text": keys}, limit=limit).mappings()
        return [dict(row) for row in rows]


def replay(databases: Databases, job: str, keys: Sequence[str] | None) -> int:
    """Mark open entries (by the first key column; None: all), so that the job's next run tries them."""
    with databases.begin(PREDICTIONS) as connection:
        return queries.run(connection, SQL["replay"], job=job, keys=keys and list(keys)).rowcount


def drop(databases: Databases, job: str, keys: Sequence[str] | None) -> int:
    """Forget entries; a row that still exists is pending again."""
    with databases.begin(PREDICTIONS) as connection:
        return queries.run(connection, SQL["drop"], job=job, keys=keys and list(keys)).rowcount
