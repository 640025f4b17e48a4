"""Plan: find the pending rows, write the work list and its shards, in one transaction."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

import psycopg2.extensions
from croniter import croniter
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DataError

from inference import access, check, expression, lease, queries, signature, source, table, worklist
from inference import search as searching
from inference.database import PREDICTIONS, Databases, code, said
from inference.errors import JobError, RunHeld, SourceError
from inference.fields import interval
from inference.job import Job
from inference.lease import Caller
from inference.model import Model
from inference.request import Request
from inference.search import Search, section
from inference.worklist import Gone

SQL = queries.load("plan")
UNTRANSLATABLE = "22P05"  # a character that another encoding lacks


@dataclass(frozen=True)
class Planned:
    """What plan tells the orchestrator: ids and counts, nothing else."""

    run_id: int
    generation: int
    state: str
    message: str
    shards: list[int] = field(default_factory=list)
    planned: int = 0
    pending: int = 0
    oldest_pending: str | None = None


def plan(databases: Databases, job: Job, request: Request, model: Model, caller: Caller) -> Planned:
    """Plan one run of `job` with `model`. Calling it again starts that run over, unless it is published.

    Raises SourceError, ModelError (the source or the model does not fit the job), RunHeld (more rows
    than `max_planned_rows`; the run is recorded as held).
    """
    started = time.monotonic()
    with databases.begin(PREDICTIONS, job.timeouts.plan) as here, _source(databases, job, here) as there:
        decision = lease.take(here, job, caller)
        if decision.ended:
            return _ended_before(here, job, request, model, caller, decision)
        columns = source.describe(there, section(job))
        expression.check(there, section(job), job.cost)
        signature.match(model.artifact.signature, columns, list(job.source.inputs), str(model))
        check.validate(job, model.artifact.signature.outputs)
        table.make(here, job, columns, model.artifact.signature.outputs, str(model), here is there)
        replays = bool(queries.run(here, SQL["replays"], job=job.name).scalar())
        everywhere = replays or expression.depends_on_time(there, section(job)) is not None
        window_start, sweep = _window(here, job, request, model, everywhere)
        unique = source.has_unique_key(there, section(job))
        search = Search(job, request, model, here, there, columns, window_start, sweep, unique, replays)
        try:
            planned = _plan_run(search, caller, decision.own_run_id, decision.approved_rows, started)
        except (DataError, psycopg2.DataError) as error:
            _refuse_unwritable(error, here, job, request)
            raise SourceError(
                f"source: where, cost or an expression of the view fails on a row. Postgres says: "
                f"{said(error)}. Write it so that it holds for every row, or exclude those rows in a view."
            ) from None
    if planned.state == "held":
        raise RunHeld(planned.message)
    return planned


def _refuse_unwritable(error: Exception, here: Connection, job: Job, request: Request) -> None:
    """Raise JobError if the error is about a character of the job file that the predictions' database cannot hold."""
    driver: Any = here.connection.dbapi_connection
    encoding = driver.info.parameter_status("server_encoding")
    codec = psycopg2.extensions.encodings.get(encoding)
    if code(error) != UNTRANSLATABLE or codec is None:
        return
    given = {**job.model_dump(mode="json", by_alias=True), "this run's parameters": request.model_dump(mode="json")}
    for name, value in given.items():
        text = json.dumps(value, ensure_ascii=False)
        lacking = [letter for letter in text if not letter.encode(codec, "ignore")]
        if lacking:
            raise JobError(
                f"{name}: {lacking[0]!r} has no place in the encoding of the predictions' database, {encoding}. "
                "Leave it out, or use a database in UTF8"
            ) from None


def prepare(databases: Databases, job: Job, model: Model) -> None:
    """Make or extend the tables of `job`, as the role that owns the schema, so that one that may not can plan."""
    with databases.begin(PREDICTIONS) as here, _source(databases, job, here) as there:
        lease.lock(here, job.name)
        columns = source.describe(there, section(job))
        check.validate(job, model.artifact.signature.outputs)
        table.make(here, job, columns, model.artifact.signature.outputs, str(model), here is there)
        access.grant(here)


@contextmanager
def _source(databases: Databases, job: Job, here: Connection) -> Iterator[Connection]:
    if databases.same(job.source.connection, PREDICTIONS):
        yield here
    else:
        with databases.begin(job.source.connection, job.timeouts.plan) as there:
            yield there


def _add_run(
    here: Connection, job: Job, request: Request, model: Model, caller: Caller, run_id: int | None, now: datetime
) -> tuple[int, int]:
    values = {
        "model_id": model.model_id,
        "definition": json.dumps({**job.model_dump(mode="json", by_alias=True), "source": section(job)}),
        "request": request.model_dump_json(),
        "source_time": now,
        "image": model.image and model.image.name,
        "image_id": model.image and model.image.id,
    }
    if run_id is None:
        added = queries.run(
            here,
            SQL["add_run"],
            job=job.name,
            orchestrator=caller.orchestrator,
            external_id=caller.external_id,
            **values,
        )
    else:
        added = queries.run(here, SQL["restart_run"], run_id=run_id, **values)
    row = added.one()
    return row.run_id, row.generation


def _ended_before(
    here: Connection, job: Job, request: Request, model: Model, caller: Caller, decision: lease.Decision
) -> Planned:
    """This run has nothing to do: it is published already, or another one is at work."""
    if decision.own_run_id is not None and decision.state != "empty":
        return Planned(decision.own_run_id, decision.generation, decision.state, decision.message)
    now = queries.run(here, SQL["source_time"]).scalar_one()
    run_id, generation = _add_run(here, job, request, model, caller, decision.own_run_id, now)
    _record(here, run_id, Planned(run_id, generation, "empty", decision.message))
    return Planned(run_id, generation, "empty", decision.message)


def _window(
    here: Connection, job: Job, request: Request, model: Model, everywhere: bool
) -> tuple[datetime | None, bool]:
    """Where the search starts (None: everywhere), and whether this run is a sweep."""
    if request.mode != "pending":
        return None, False
    last = queries.run(
        here, SQL["last_complete"], job=job.name, model_id=model.model_id, source=json.dumps(section(job))
    ).scalar()
    if job.source.cursor is None or last is None or everywhere:
        return None, not request.dry_run
    swept = queries.run(here, SQL["last_sweep"], job=job.name).scalar()
    zone = ZoneInfo(job.schedule.time_zone)
    tick = croniter(job.source.sweep, datetime.now(timezone.utc).astimezone(zone)).get_prev(datetime)
    if swept is None or swept < tick:
        return None, not request.dry_run
    return last - interval(job.source.lookback), False


def _plan_run(search: Search, caller: Caller, own: int | None, approved_rows: int, started: float) -> Planned:
    now = queries.run(search.there, SQL["source_time"]).scalar_one()
    run_id, generation = _add_run(search.here, search.job, search.request, search.model, caller, own, now)
    lease.clear(search.here, search.job.name)
    for connection in {search.here, search.there}:
        queries.run(connection, SQL["in_parallel"])
    candidates = searching.candidates(search)
    searching.end_replays(search, candidates)
    pending = searching.pending(search, candidates)
    found = None
    if search.values["row_limit"] is not None:
        found = queries.run(search.here, SQL["count"], {"pending": pending}, **search.values).one()
    counts = worklist.create(search, run_id, generation, pending)
    gone = worklist.find_gone(search, run_id, generation, candidates)
    planned = _conclude(search, run_id, generation, counts, found or counts, approved_rows, gone)
    _record(search.here, run_id, planned, search, time.monotonic() - started)
    return planned


def _conclude(
    search: Search, run_id: int, generation: int, counts: Any, found: Any, approved_rows: int, gone: Gone
) -> Planned:
    """Cut the shards, or say why there are none. `counts`: what was planned; `found`: what is pending."""
    allowed = search.job.max_planned_rows + approved_rows  # rows that came since the release have their own allowance
    if not counts.rows and not gone.rows:
        table.drop_work(search.here, run_id, generation)
        return Planned(run_id, generation, "empty", "; ".join(filter(None, ["nothing is pending", gone.message])))
    oldest = None
    if counts.rows:
        oldest = (
            queries.run(search.here, SQL["oldest"], job=search.job.name, oldest=found.oldest).scalar_one().isoformat()
        )
    if counts.rows > allowed:
        table.drop_work(search.here, run_id, generation)
        message = (
            f"{counts.rows} rows are pending, above max_planned_rows {allowed}. If that is right: python -m inference "
            f"release {run_id}, then trigger the job again; or plan fewer with row_limit"
        )
        return Planned(run_id, generation, "held", message, [], counts.rows, counts.rows, oldest)
    table.create_result(search.here, run_id, generation, search.model.artifact.signature.outputs)
    shards = worklist.cut(search, run_id, generation, counts.inputs) if counts.rows else []
    message = f"{counts.rows} rows in {len(shards)} shards by {search.model}"
    message = "; ".join(filter(None, [message, gone.message]))
    return Planned(run_id, generation, "planned", message, shards, counts.rows, found.rows, oldest)


def _record(here: Connection, run_id: int, planned: Planned, search: Search | None = None, seconds: float = 0) -> None:
    everything = search is not None and search.request.mode in ("pending", "rescore") and not search.request.dry_run
    queries.run(
        here,
        SQL["record"],
        run_id=run_id,
        state=planned.state,
        message=planned.message,
        pending=planned.pending,
        planned=planned.planned,
        sweep=bool(search and search.sweep),
        window_start=search.window_start if search else None,
        complete=everything and planned.state == "empty",  # of a planned run, publish decides
        oldest=planned.oldest_pending,
        seconds=seconds,
        by_key=search is not None and search.job.by_key and search.here is search.there,
        schema=search and search.job.source.schema_name,
        relation=search and search.job.source.relation,
    )
