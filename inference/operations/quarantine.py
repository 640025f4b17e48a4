"""Quarantine: look at the rows that a model could not score, and let them be tried again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg2 import sql
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DataError

from inference.base import queries
from inference.base.database import PREDICTIONS, Databases
from inference.base.queries import column, expression, fill
from inference.errors import RequestError
from inference.planning import search
from inference.planning.search import Search
from inference.publishing import check, publish
from inference.schema import job_tables

SQL = queries.load("operations/quarantine")


def entries(databases: Databases, job: str | None, limit: int) -> list[dict[str, Any]]:
    """The unresolved entries, latest first."""
    with databases.begin(PREDICTIONS) as connection:
        found = queries.run(connection, SQL["list"], job=job, limit=limit).mappings()
        return [dict(row) for row in found]


def staged(databases: Databases, run_id: int, limit: int) -> list[dict[str, Any]]:
    """The rows that a run could not score, as long as its results are there: also of one that failed its checks."""
    with databases.begin(PREDICTIONS) as connection:
        run = check.read_run(connection, run_id)
        name = f"prediction_work.result_{run_id}_{run.generation}"
        if not queries.run(connection, publish.SQL["has_gone"], name=name).scalar():
            raise RequestError(
                f"run {run_id} is {run.state}, and its results are dropped. What a published run put into quarantine: "
                f"python -m inference quarantine list {run.job_name}"
            )
        keys = queries.as_text(search.key_names(len(run.job.source.key)), "w")
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


def unresolved(connection: Connection, job: str) -> bool:
    """Whether the job has entries that are open, or wait to be tried again."""
    return bool(queries.run(connection, SQL["unresolved"], job=job).scalar())


def settle(found: Search, candidates: sql.Composable) -> None:
    """End the entries that a search shows to be past: their row is gone, or its present input is predicted."""
    if not found.entries:
        return
    names = search.key_names(len(found.keys))
    parts = {
        "with_candidates": candidates + sql.SQL(",") if candidates != sql.SQL("") else sql.SQL("WITH"),
        "target": job_tables.target(found.job.name),
        "joined": search.keys_equal(found.job, "p", "c"),
        "key_text": queries.as_text(names, "c"),
    }
    values = {**found.values, "everywhere": found.window_start is None and found.request.mode != "key_range"}
    try:
        with found.here.begin_nested():
            queries.run(found.here, SQL["settle"], {**parts, "same_key": _same_key(found, SQL["key_typed"])}, **values)
    except DataError:  # a text that the key's type does not take any more, as the old name of an enum's value
        queries.run(found.here, SQL["settle"], {**parts, "same_key": _same_key(found, SQL["key_as_text"])}, **values)


def _same_key(found: Search, block: str) -> sql.Composable:
    """Whether an entry is of a candidate. By the key's own type: citext may be written in two ways, and numeric."""
    return sql.SQL(" AND ").join(
        fill(block, number=sql.SQL(str(number)), type=expression(key.type), key=column(name, "c"))
        for number, (key, name) in enumerate(zip(found.keys, search.key_names(len(found.keys))), 1)
    )
