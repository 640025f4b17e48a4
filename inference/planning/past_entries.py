"""Entries of the quarantine that a search shows to be past."""

from __future__ import annotations

from psycopg2 import sql
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DataError

from inference.base import queries
from inference.base.queries import column, expression, fill
from inference.base.work_names import key_names
from inference.planning.search import Search
from inference.schema import job_tables
from inference.schema.work_tables import keys_equal

SQL = queries.load("planning/past_entries")


def unresolved(connection: Connection, job: str) -> bool:
    """Whether the job has entries that are open, or wait to be tried again."""
    return bool(queries.run(connection, SQL["unresolved"], job=job).scalar())


def settle(found: Search, candidates: sql.Composable) -> None:
    """End the entries that a search shows to be past: their row is gone, or its present input is predicted."""
    if not found.entries:
        return
    names = key_names(len(found.keys))
    parts = {
        "with_candidates": candidates + sql.SQL(",") if candidates != sql.SQL("") else sql.SQL("WITH"),
        "target": job_tables.target(found.job.name),
        "joined": keys_equal(found.job, "p", "c"),
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
        for number, (key, name) in enumerate(zip(found.keys, key_names(len(found.keys))), 1)
    )
