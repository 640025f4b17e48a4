"""`prediction.<job>__current`: each row of the source, and whether its prediction is up to date."""

from __future__ import annotations

import logging
from typing import Any

from psycopg2 import sql
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from inference.base import queries, source
from inference.base.database import SESSION, code, said
from inference.base.queries import column, fill, table
from inference.base.source import Column
from inference.base.work_names import key_names
from inference.errors import SourceError
from inference.jobs.job import Job, section

SQL = queries.load("schema/current")
INSUFFICIENT_PRIVILEGE = "42501"
# Names, types, aggregates that do not fit: plan has asked before, the owner who prepares may not read the source.
WRONG_EXPRESSION = {"0A000", "42703", "42704", "42803", "42804", "42883"}
# As the search reads a view: see `serially` in sql/base/source.sql.
SERIALLY = {"max_parallel_workers_per_gather": "0", "synchronize_seqscans": "off"}
log = logging.getLogger(__name__)


def renew(connection: Connection, job: Job, columns: dict[str, Column]) -> None:
    """Make it, or make it anew where it has changed. Where only the owner may do that, the one that is there goes on,
    since no run needs it; a warning says what to do."""
    try:
        with connection.begin_nested():
            _create(connection, job, columns)
    except DBAPIError as error:
        if code(error) in WRONG_EXPRESSION:
            raise SourceError(f"source.where: {job.source.where!r}: Postgres says: {said(error)}") from None
        made = queries.run(connection, SQL["body"], name=f"{job.name}__current").scalar()
        if code(error) != INSUFFICIENT_PRIVILEGE or made is None:
            raise
        log.warning(
            "prediction.%s__current does not follow the job file or this code yet, and this role may not change it. As "
            "the owner of the schema: python -m inference db prepare %s",
            job.name,
            job.name,
        )


def _create(connection: Connection, job: Job, columns: dict[str, Column]) -> None:
    """A function's body is text to Postgres, so the company's migrations of the source do not meet a dependency; its
    settings make the hash the same in any session."""
    searched = section(job)
    serially = SERIALLY if source.is_view(connection, searched) else {}
    settings = " ".join(
        f"SET {key} = '{value}'" for key, value in {**SESSION, **serially}.items() if not key.endswith("timeout")
    )
    text = queries.text(connection, _body(job, searched, columns)) + f" /* {settings} */"
    # Replacing it takes a lock that waits for everybody who reads it, so only when it has changed.
    if queries.run(connection, SQL["body"], name=f"{job.name}__current").scalar() == text.replace("%%", "%"):
        return
    parts = {
        "name": table(f"{job.name}__current"),
        "keys": source.definitions([columns[key] for key in job.source.key], collated=False),
        "settings": sql.SQL(settings),
        "body": sql.SQL(source.literal(text)),
    }
    queries.run(connection, SQL["create"], parts)


def _body(job: Job, searched: dict[str, Any], columns: dict[str, Column]) -> sql.Composable:
    current: sql.Composable = sql.SQL("p.run_id IS NOT NULL")
    if job.source.changes == "hash":
        current = sql.SQL("p.input_hash IS NOT DISTINCT FROM ") + source.input_hash(searched, columns, "s")
    numbers = key_names(len(job.source.key))
    return fill(
        SQL["rows"],
        keys=queries.columns(numbers, "s"),
        rows=source.rows(searched),
        view=table(job.name),  # which people may read; the table below it, they may not
        joined=sql.SQL(" AND ").join(
            fill("{one} = {other}", one=column(key, "p"), other=column(number, "s"))
            for key, number in zip(job.source.key, numbers)
        ),
        current=current,
    )
