"""The tables and views of one job, made from the source's key and the model's signature."""

from __future__ import annotations

from psycopg2 import sql
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from inference.base import queries, source
from inference.base.database import code, said
from inference.base.outputs import Output
from inference.base.queries import Identifier, column, expression, fill, table
from inference.base.source import Column
from inference.errors import ConfigurationError, ModelError, SourceError
from inference.jobs.job import Job
from inference.schema import current
from inference.schema import keys as following

SQL = queries.load("schema/job_tables")

INSUFFICIENT_PRIVILEGE = "42501"
UNDEFINED_OBJECT = "42704"  # a type or a collation that is not here, or no order for the type
METADATA = ("input_hash", "model_id", "run_id", "predicted_at")
RESERVED = {*METADATA, "model_name", "model_version", "ordinal", "outcome", "error", "message", "is_current"}

MOST_COLUMNS, MOST_OCTETS = 1600, 8100  # a row lies within one page, with its header and what publish adds
OCTETS = {"boolean": 1, "integer": 4, "bigint": 8, "real": 4, "double precision": 8, "timestamp": 8}
SHORTEST, SHORTEST_ARRAY = 1, 13  # an empty text, an empty array


def target(job: str) -> sql.Composable:
    """The live slot: what publish writes and the view shows."""
    return table(f"{job}__blue")


def seen(connection: Connection, job: str) -> sql.Composable:
    """What a search compares with: the target, or the empty table of a dry run before there is one."""
    if _columns(connection, f"{job}__blue"):
        return target(job)
    return Identifier("pg_temp", f"{job}__blue")


def outputs_of(connection: Connection, job: str) -> dict[str, str]:
    """The outputs that the target has columns for, of whatever version, with their types; none without a target."""
    existing = _columns(connection, f"{job}__blue")
    names = list(existing)
    return {name: existing[name] for name in names[names.index(METADATA[-1]) + 1 :]} if names else {}


def history(job: str) -> sql.Composable:
    return table(f"{job}__history")


def make(
    connection: Connection,
    job: Job,
    columns: dict[str, Column],
    outputs: tuple[Output, ...],
    model: str,
    with_source: bool,
) -> None:
    """All tables and views of a job; `with_source`: its source is in this database. Nothing happens if they fit.

    Raises ModelError or SourceError where they do not fit, ConfigurationError if this role may not make them.
    """
    keys = [columns[name] for name in job.source.key]
    try:
        dropped = _ensure(connection, job, keys, outputs, model)
        if with_source:
            current.renew(connection, job, columns)
        following.grant(connection, dropped)
    except DBAPIError as error:
        if code(error) != INSUFFICIENT_PRIVILEGE:
            raise
        raise ConfigurationError(
            f"the tables of job {job.name!r} are not there, or do not have every output of {model} or the source's "
            "present key, and this role may not change them. As the owner of the schema: "
            f"python -m inference db prepare {job.name}"
        ) from None


def try_out(
    connection: Connection, job: Job, columns: dict[str, Column], outputs: tuple[Output, ...], model: str
) -> None:
    """For a dry run: raise what `make` would raise, and make nothing that outlives the transaction."""
    keys = [columns[name] for name in job.source.key]
    following.refuse_other_order(connection, job, following.late(connection, job, keys))
    if not _compare(connection, job, keys, outputs, model):
        parts = {"kind": sql.SQL("TEMPORARY TABLE"), "target": seen(connection, job.name)}
        _create_target(connection, job, keys, outputs, parts)


def _ensure(
    connection: Connection, job: Job, keys: list[Column], outputs: tuple[Output, ...], model: str
) -> following.Dropped:
    """Make or extend the job's tables and first view."""
    dropped = following.follow(connection, job, following.late(connection, job, keys))
    existing = _compare(connection, job, keys, outputs, model)
    if existing:
        _extend(connection, job, outputs, existing)
    else:
        _create_target(connection, job, keys, outputs, {"kind": sql.SQL("TABLE"), "target": target(job.name)})
    if job.history == "append" and not _columns(connection, f"{job.name}__history"):
        queries.run(connection, SQL["create_history"], {"history": history(job.name), "target": target(job.name)})
    _create_view(connection, job, [item.name for item in outputs], dropped.columns)
    return dropped


def _create_target(
    connection: Connection, job: Job, keys: list[Column], outputs: tuple[Output, ...], parts: dict[str, sql.Composable]
) -> None:
    parts = {
        **parts,
        "keys": source.definitions(keys),
        "key": queries.columns(job.source.key),
        "outputs": definitions(outputs),
    }
    try:
        queries.run(connection, SQL["create_target"], parts)
    except DBAPIError as error:
        if code(error) != UNDEFINED_OBJECT:
            raise
        raise SourceError(
            f"source.key: the predictions' database cannot hold this key: {said(error)}. Cast the key to a "
            "built-in type in a view."
        ) from None


def _columns(connection: Connection, name: str) -> dict[str, str]:
    rows = queries.run(connection, SQL["columns"], table=name)
    return {row.name: row.type for row in rows}


def _refuse_names(outputs: tuple[Output, ...], keys: list[str], model: str) -> None:
    for name in keys:
        if name in RESERVED:
            raise SourceError(
                f"source.key: {name!r} is the name of a column that the pipeline adds "
                f"({', '.join(sorted(RESERVED))}). Rename it in a view."
            )
    for item in outputs:
        if item.name in keys or item.name in RESERVED:
            raise ModelError(
                f"{model}: output {item.name!r} is named like a key or a column that the pipeline adds "
                f"({', '.join(sorted(RESERVED.union(keys)))}). Rename it in the model."
            )


def _refuse_width(outputs: tuple[Output, ...], keys: int, model: str) -> None:
    """Rows that no page of Postgres holds, however short their texts are."""
    columns = keys + len(outputs) + len(METADATA) + 2  # of the view, which also says the model's name and version
    octets = sum(OCTETS.get(item.type, SHORTEST_ARRAY if item.type.endswith("[]") else SHORTEST) for item in outputs)
    if columns > MOST_COLUMNS or octets > MOST_OCTETS:
        raise ModelError(
            f"{model}: {len(outputs)} outputs: their values take at least {octets} bytes a row, in {columns} columns; "
            f"Postgres holds {MOST_OCTETS} bytes of a row and {MOST_COLUMNS} columns. Let the model return arrays: an "
            "array output is one column"
        )


def definitions(outputs: tuple[Output, ...]) -> sql.Composable:
    """Columns of outputs, as CREATE TABLE has them."""
    return sql.SQL(", ").join(
        fill("{name} {type}", name=column(item.name), type=expression(item.type)) for item in outputs
    )


def _compare(
    connection: Connection, job: Job, keys: list[Column], outputs: tuple[Output, ...], model: str
) -> dict[str, str]:
    """The target's columns, none without a target. Raises ModelError or SourceError where names or outputs do not
    fit."""
    _refuse_names(outputs, [key.name for key in keys], model)
    _refuse_width(outputs, len(keys), model)
    existing = _columns(connection, f"{job.name}__blue")
    if existing:
        _refuse_retyped(connection, job, outputs, model)
    return existing


def _refuse_retyped(connection: Connection, job: Job, outputs: tuple[Output, ...], model: str) -> None:
    had = outputs_of(connection, job.name)
    for item in outputs:
        kind = queries.run(connection, SQL["canonical"], type=item.type).scalar_one()
        if had.get(item.name, kind) != kind:
            raise ModelError(
                f"{model}: output {item.name!r} was {had[item.name]} in prediction.{job.name} and is now {kind}. "
                "People query that column: register a version with the old output, or give the job a new name."
            )


def _extend(connection: Connection, job: Job, outputs: tuple[Output, ...], existing: dict[str, str]) -> None:
    for item in outputs:
        if item.name not in existing:
            parts = {"column": column(item.name), "type": expression(item.type)}
            queries.run(connection, SQL["add_column"], {"target": target(job.name), **parts})
            if _columns(connection, f"{job.name}__history"):
                queries.run(connection, SQL["add_column"], {"target": history(job.name), **parts})


def _create_view(connection: Connection, job: Job, outputs: list[str], before: list[str]) -> None:
    """`before`: the columns of a view that had to be dropped."""
    first = [*job.source.key, *outputs, "model_name", "model_version", *METADATA]
    known = list(_columns(connection, job.name))
    had = known or before
    names = had + [name for name in first if name not in had]
    if names == known:
        return
    special = {"model_name": "m.name AS model_name", "model_version": "m.version AS model_version"}
    if not special.keys() | _columns(connection, f"{job.name}__blue").keys() >= set(known):
        raise ConfigurationError(
            f"prediction.{job.name} is there, with columns that are not the pipeline's: {', '.join(known)}. Rename it, "
            "or give the job another name"
        )
    parts = [sql.SQL(special[name]) if name in special else column(name, "p") for name in names]
    queries.run(
        connection,
        SQL["create_view"],
        {"view": table(job.name), "columns": sql.SQL(", ").join(parts), "target": target(job.name)},
    )
