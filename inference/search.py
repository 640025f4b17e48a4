"""The search for pending rows: a query over what is there, never a stored watermark."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg2 import sql
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DataError

from inference import queries, source, table
from inference.database import said
from inference.errors import RequestError
from inference.job import Job
from inference.model import Model
from inference.queries import column, expression, fill
from inference.request import Request
from inference.source import Column

SQL = queries.load("search")
SAMPLE_ROWS = 10


@dataclass(frozen=True)
class Search:
    """What one search goes by, and where."""

    job: Job
    request: Request
    model: Model
    here: Connection  # the predictions' database
    there: Connection  # the source's database; the same connection where it is the same database
    columns: dict[str, Column]
    window_start: datetime | None
    sweep: bool
    unique: bool  # whether an index says that each key is there once
    replays: bool  # whether entries of the quarantine wait to be tried again

    @property
    def section(self) -> dict[str, Any]:
        return section(self.job)

    @property
    def keys(self) -> list[Column]:
        return [self.columns[name] for name in self.job.source.key]

    @property
    def values(self) -> dict[str, Any]:
        """What the conditions bind."""
        return {
            "job": self.job.name,
            "model_id": self.model.model_id,
            "window_start": self.window_start,
            "key_from": self.request.key_from,
            "key_to": self.request.key_to,
            "row_limit": SAMPLE_ROWS if self.request.dry_run else self.request.row_limit,
        }


def section(job: Job) -> dict[str, Any]:
    """The `source` section as data: what travels to a shard, and what a window must agree with."""
    return job.source.model_dump(mode="json", by_alias=True)


def candidates(search: Search) -> sql.Composable:
    """The job's rows as a relation in the predictions' database."""
    _check_range(search)
    job, query = search.job, _candidate_query(search)
    if search.here is search.there:
        return fill("({query})", query=query)
    names = fill(
        "{keys}",
        keys=sql.SQL(", ").join(
            fill("{name} {type}", name=column(name), type=expression(key.type))
            for name, key in zip(key_names(len(job.source.key)), search.keys)
        ),
    )
    queries.run(search.here, SQL["create_candidates"], {"keys": names})
    _stream(search, query)
    transaction = search.there.get_transaction()
    assert transaction is not None
    transaction.commit()  # nothing more is asked there, and nobody's cleaning up shall wait for the rest of the plan
    queries.run(search.here, SQL["analyze_candidates"])
    return sql.SQL("candidate")


def _check_range(search: Search) -> None:
    request = search.request
    if request.mode != "key_range":
        return
    try:
        queries.run(search.there, SQL["parse_range"], {"type": expression(search.keys[0].type)}, **search.values)
    except DataError as error:
        raise RequestError(
            f"key_from {request.key_from!r}, key_to {request.key_to!r}: {search.job.source.key[0]} is "
            f"{search.keys[0].type}; Postgres says: {said(error)}"
        ) from None


def _candidate_query(search: Search) -> sql.Composable:
    job = search.job
    window: sql.Composable = sql.SQL("true")
    if search.window_start is not None and job.source.cursor is not None:
        window = fill(SQL["in_window"], cursor=column(job.source.cursor))
    elif search.request.mode == "key_range":
        window = fill(SQL["in_range"], key=column(job.source.key[0]), type=expression(search.keys[0].type))
    cursor = job.source.cursor
    return fill(
        SQL["candidates"],
        keys=aliased(list(job.source.key), "s"),
        hash=source.input_hash(search.section, queries.columns(search.job.source.inputs, "s")),
        cost=expression(job.cost),
        changed_at=column(cursor, "s") if cursor else sql.SQL("NULL::timestamptz"),
        rows=source.rows(search.section),
        window=window,
    )


def _stream(search: Search, query: sql.Composable) -> None:
    """COPY the candidates from the source's database to the predictions', through a pipe."""
    there = search.there.connection.cursor()
    statement = queries.text(search.there, fill(SQL["copy_out"], query=query))
    statement = there.mogrify(statement, {"": None, **search.values}).decode()
    reading, writing = os.pipe()
    failed: list[BaseException] = []

    def send() -> None:
        with os.fdopen(writing, "wb") as stream:
            try:
                there.copy_expert(statement, stream)
            except BaseException as error:
                failed.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        with os.fdopen(reading, "rb") as stream:
            search.here.connection.cursor().copy_expert(SQL["copy_in"], stream)
    finally:
        thread.join()
    if failed:
        raise failed[0]


def pending(search: Search, candidates: sql.Composable) -> sql.Composable:
    """The candidates whose prediction is missing or out of date, as a query."""
    job, mode = search.job, search.request.mode
    key_text = queries.as_text(key_names(len(job.source.key)), "c")
    quarantined = fill(SQL["not_quarantined"], key_text=key_text)
    current: list[sql.Composable] = [sql.SQL("true")]
    if job.source.changes == "hash":
        current.append(sql.SQL("p.input_hash = c.input_hash"))
    if mode == "rescore" or job.model.on_new_version == "rescore":
        current.append(sql.SQL("p.model_id = %(model_id)s"))
    missing = fill(
        SQL["not_predicted"],
        target=table.seen(search.here, job.name),
        joined=keys_equal(job, "p", "c"),
        current=sql.SQL(" AND ").join(current),
    )
    replayed = fill(SQL["to_replay"], key_text=key_text)
    due: sql.Composable = sql.SQL(" AND ").join([missing, quarantined])
    if search.replays:  # only then: an OR costs Postgres its anti joins
        due = fill("({due}) OR {replayed}", due=due, replayed=replayed)
    condition = {"pending": due, "rescore": due, "key_range": sql.SQL("true"), "replay": replayed}[mode]
    return fill(SQL["pending"], candidates=candidates, condition=condition)


def key_names(count: int) -> list[str]:
    """What key columns are called in work tables, where a key's own name could meet another column's."""
    return [f"key{number}" for number in range(1, count + 1)]


def keys_equal(job: Job, named: str, numbered: str) -> sql.Composable:
    return sql.SQL(" AND ").join(
        fill("{one} = {other}", one=column(name, named), other=column(number, numbered))
        for name, number in zip(job.source.key, key_names(len(job.source.key)))
    )


def aliased(names: list[str], alias: str) -> sql.Composable:
    return sql.SQL(", ").join(
        fill("{name} AS {number}", name=column(name, alias), number=column(number))
        for name, number in zip(names, key_names(len(names)))
    )
