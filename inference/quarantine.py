"""Quarantine: look at the rows that a model could not score, and let them be tried again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inference import queries
from inference.database import PREDICTIONS, Databases

SQL = queries.load("quarantine")


def entries(databases: Databases, job: str | None, limit: int) -> list[dict[str, Any]]:
    """The unresolved entries, latest first."""
    with databases.begin(PREDICTIONS) as connection:
        found = queries.run(connection, SQL["list"], job=job, limit=limit).mappings()
        return [dict(row) for row in found]


def replay(databases: Databases, job: str, keys: Sequence[str] | None) -> int:
    """Mark open entries (by the first key column; None: all), so that the job's next run tries them."""
    with databases.begin(PREDICTIONS) as connection:
        return queries.run(connection, SQL["replay"], job=job, keys=keys and list(keys)).rowcount


def drop(databases: Databases, job: str, keys: Sequence[str] | None) -> int:
    """Forget entries; a row that still exists is pending again."""
    with databases.begin(PREDICTIONS) as connection:
        return queries.run(connection, SQL["drop"], job=job, keys=keys and list(keys)).rowcount
