"""A job's key follows the source's: to a wider type, as `bigint` when ids run out, and to another collation."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from inference.base import queries
from inference.base.database import SESSION, code, said
from inference.base.queries import column, expression
from inference.base.source import Column
from inference.errors import ConfigurationError, SourceError
from inference.jobs.job import Job

SQL = queries.load("schema/keys")

# Every value of the first type is the same value of the others, and has the same text.
WIDER = {
    "smallint": {"integer", "bigint"},
    "integer": {"bigint"},
    "bpchar": {"character varying", "text"},
    "character varying": {"text"},
}
PATIENCE = "3s"  # for readers of the view, behind whom others wait
DEPENDENT_OBJECTS, UNIQUE_VIOLATION, UNDEFINED_OBJECT = "2BP01", "23505", "42704"


@dataclass(frozen=True)
class Dropped:
    """What the views were that had to go: the columns of the first, and statements that give rights, by view."""

    columns: list[str] = field(default_factory=list)
    grants: list[tuple[str, str]] = field(default_factory=list)


def late(connection: Connection, job: Job, keys: list[Column]) -> list[Column]:
    """The source's key columns that the job's table has in a narrower type or another collation; none without a table.

    Raises SourceError if the key has changed in any other way.
    """
    had = {row.name: row for row in queries.run(connection, SQL["key"], table=f"{job.name}__blue")}
    if not had:
        return []
    wanted = {key.name: key.type for key in keys}
    fits = [key.name in had and key.type in {had[key.name].type, *WIDER.get(had[key.name].type, ())} for key in keys]
    if had.keys() != wanted.keys() or not all(fits):
        raise SourceError(
            f"source.key: the table of job {job.name!r} has the key { {name: row.type for name, row in had.items()} }, "
            f"the source now gives {wanted}. A changed key makes other predictions: give the job a new name, or drop "
            f"the old: python -m inference jobs --drop {job.name}"
        )
    return [key for key in keys if (key.type, key.collation) != (had[key.name].type, had[key.name].collation)]


def refuse_other_order(connection: Connection, job: Job, late: list[Column]) -> None:
    """For a dry run, which changes no table: raise SourceError if the keys of both cannot be compared as they are."""
    had = {row.name: row for row in queries.run(connection, SQL["key"], table=f"{job.name}__blue")}
    for key in late:
        if key.collation != had[key.name].collation:
            raise SourceError(
                f"source.key: {key.name!r} now has the collation {key.collation or 'of its database'}, the table of "
                f"job {job.name!r} has another. The next run changes that, and a dry run changes nothing"
            )


def follow(connection: Connection, job: Job, late: list[Column]) -> Dropped:
    """Change these key columns of the job's tables. The views on them have to go: who calls makes them anew.

    Raises ConfigurationError if other views build on them, SourceError if the keys do not go together any more.
    """
    if not late:
        return Dropped()
    names = {"job": job.name, "current": f"{job.name}__current"}
    grants = [(row.name, row.statement) for row in queries.run(connection, SQL["grants"], **names)]
    columns = list(queries.run(connection, SQL["view_columns"], job=job.name).scalars())
    queries.run(connection, SQL["patience"], timeout=PATIENCE)
    try:
        _change(connection, job, late)
    except DBAPIError as error:
        if code(error) == DEPENDENT_OBJECTS:
            raise ConfigurationError(
                f"the source's key is now {', '.join(f'{key.name} {key.type}' for key in late)}, and the table of job "
                f"{job.name!r} cannot follow while views of your own use prediction.{job.name}: {said(error)}. Drop "
                "them, run the job (with four roles `db prepare`), and make them again"
            ) from None
        if code(error) in (UNIQUE_VIOLATION, UNDEFINED_OBJECT):
            raise SourceError(
                f"source.key: the predictions' database cannot hold this key: {said(error)}. Cast the key to a "
                "built-in type in a view."
            ) from None
        raise
    queries.run(connection, SQL["patience"], timeout=SESSION["lock_timeout"])
    return Dropped(columns, grants)


def _change(connection: Connection, job: Job, late: list[Column]) -> None:
    views = {"view": queries.table(job.name), "current": queries.table(f"{job.name}__current")}
    queries.run(connection, SQL["drop_views"], views)
    for name in (f"{job.name}__blue", f"{job.name}__history"):
        if queries.run(connection, SQL["key"], table=name).first():
            for key in late:
                kind = expression(key.type_and_collation)
                parts = {"table": queries.table(name), "column": column(key.name), "type": kind}
                queries.run(connection, SQL["alter"], parts)


def grant(connection: Connection, dropped: Dropped) -> None:
    """Give the rights on the views that are there again."""
    for name, statement in dropped.grants:
        if queries.run(connection, SQL["view_columns"], job=name).first():
            queries.run(connection, "{grant}", {"grant": expression(statement)})
