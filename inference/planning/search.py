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

from inference.base import queries, source
from inference.base.database import said
from inference.base.queries import column, expression, fill
from inference.base.source import Column
from inference.base.work_names import input_names, key_names
from inference.errors import RequestError
from inference.jobs.job import Job, section
from inference.jobs.request import Request
from inference.models.model_version import Model
from inference.schema import job_tables
from inference.schema.work_tables import keys_equal

SQL = queries.load("planning/search")
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
    view: bool  # whether the source is one: then its inputs are kept in the work list, and it is read here only
    passing: list[str]  # functions by which a view changes as time passes
    replays: bool  # whether entries of the quarantine wait to be tried again
    positions: str  # which column goes to which position of the model's input, in words; empty where names decide
    entries: bool  # whether the quarantine has unresolved entries, which are judged by the rows as well

    @property
    def section(self) -> dict[str, Any]:
        return section(self.job)

    @property
    def keys(self) -> list[Column]:
        return [self.columns[name] for name in self.job.source.key]

    @property
    def inputs(self) -> list[Column]:
        return [self.columns[name] for name in self.job.source.inputs]

    @property
    def deletes(self) -> bool:
        """Whether predictions whose row is gone are looked for."""
        return self.sweep and self.job.source.on_delete == "delete"

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


def candidates(search: Search) -> sql.Composable:
    """The job's rows, as what a query over `candidate` begins with; empty where they are in a table."""
    _check_range(search)
    # No parallel plan, so that a sum of floats comes out the same the next time.
    queries.run(search.there, source.SQL["serially"] if search.view else SQL["in_parallel"])
    source.lock(search.there, search.section)
    query = _candidate_query(search)
    if search.here is search.there and search.view and search.entries:
        queries.run(search.here, SQL["compute_candidates"], {"query": query}, **search.values)
        return sql.SQL("")
    if search.here is search.there:
        once = sql.SQL("" if search.view and search.deletes else "NOT")
        return fill(SQL["with_candidates"], once=once, query=query)
    definitions = [
        fill("{name} {type}", name=column(name), type=expression(key.type))
        for name, key in zip(key_names(len(search.keys)), search.keys)
    ]
    inputs = [fill(", {name} {type}", name=column(name), type=expression(item.base)) for name, item in _kept(search)]
    parts: dict[str, sql.Composable] = {"keys": sql.SQL(", ").join(definitions), "inputs": sql.Composed(inputs)}
    queries.run(search.here, SQL["create_candidates"], parts)
    _stream(search, query)
    transaction = search.there.get_transaction()
    assert transaction is not None
    transaction.commit()  # nothing more is asked there, and nobody's cleaning up shall wait for the rest of the plan
    queries.run(search.here, SQL["analyze_candidates"])
    return sql.SQL("")


def _kept(search: Search) -> list[tuple[str, Column]]:
    return list(zip(input_names(search.section), search.inputs)) if search.view else []


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
    job, section = search.job, search.section
    window: sql.Composable = sql.SQL("true")
    if search.window_start is not None and job.source.cursor is not None:
        window = sql.SQL(SQL["in_window"])
    elif search.request.mode == "key_range":
        window = fill(SQL["in_range"], type=expression(search.keys[0].type))
    cursor = job.source.cursor
    changed_at = column(cursor) if cursor else sql.SQL("NULL::timestamptz")
    others = fill(SQL["cost_and_time"], cost=expression(job.cost), changed_at=changed_at)
    return fill(
        SQL["candidates"],
        keys=queries.columns(key_names(len(search.keys)), "s"),
        hash=source.input_hash(section, search.columns, "s"),
        inputs=_kept_values(search),
        rows=source.rows(section, others),
        window=window,
    )


def _kept_values(search: Search) -> sql.Composable:
    """The inputs that the work list keeps, each after a comma; none of a row that is too large and so has no hash."""
    octets, limit = source.octets(search.inputs, "s"), sql.SQL(str(source.MOST_OCTETS))
    hashed = search.job.source.changes == "hash"
    block = SQL["kept_if_short" if hashed else "kept"]
    return sql.Composed(
        [
            fill(block, name=column(name), type=expression(item.base), octets=octets, limit=limit)
            for name, item in _kept(search)
        ]
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


def pending(search: Search) -> sql.Composable:
    """The candidates whose prediction is missing or out of date, as a query over `candidate`."""
    job, mode, names = search.job, search.request.mode, key_names(len(search.keys))
    key_text = queries.as_text(names, "c")
    quarantined = fill(SQL["not_quarantined"], key_text=key_text)
    current: list[sql.Composable] = [sql.SQL("true")]
    if job.source.changes == "hash":
        current.append(sql.SQL("p.input_hash = c.input_hash"))
    if mode == "rescore" or job.model.on_new_version == "rescore":
        current.append(sql.SQL("p.model_id = %(model_id)s"))
    missing = fill(
        SQL["not_predicted"],
        target=job_tables.seen(search.here, job.name),
        joined=keys_equal(job, "p", "c"),
        current=sql.SQL(" AND ").join(current),
    )
    replayed = fill(SQL["to_replay"], key_text=key_text)
    due: sql.Composable = sql.SQL(" AND ").join([missing, quarantined])
    if search.replays:  # only then: an OR costs Postgres its anti joins
        due = fill("({due}) OR {replayed}", due=due, replayed=replayed)
    condition = {"pending": due, "rescore": due, "key_range": sql.SQL("true"), "replay": replayed}[mode]
    counted = sql.SQL("candidate") if search.unique else fill(SQL["counted"], keys=queries.columns(names, "c"))
    return fill(SQL["pending"], candidates=counted, condition=condition)
