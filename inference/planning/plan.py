"""Plan: find the pending rows, write the work list and its shards, in one transaction."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import psycopg2.extensions
from croniter import croniter
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DataError

from inference.base import matching, queries, source
from inference.base.database import PREDICTIONS, UNTRANSLATABLE, Databases, code, said, server_encoding
from inference.base.pooler import require_session
from inference.errors import JobError, RunHeld, SourceError
from inference.jobs import definition, sql_expression
from inference.jobs.field_types import interval
from inference.jobs.job import Job, section
from inference.jobs.request import Request
from inference.models.model_version import Model
from inference.planning import output_checks, params, past_entries, work_list  # fmt: skip
from inference.planning import search as searching
from inference.planning.search import Search
from inference.planning.work_list import Counts, Gone
from inference.schema import job_tables, lease, roles, work_tables
from inference.schema.lease import Caller

SQL = queries.load("planning/plan")
log = logging.getLogger(__name__)
TIMEOUT = "timeouts.plan"
CLOCK_TOLERANCE = 60.0  # seconds that the source's clock and a worker's may drift apart between two runs


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


@dataclass(frozen=True)
class Clock:
    """The source's clock."""

    time: datetime  # a search that begins now sees everything that was committed before
    offset: float  # seconds that it is ahead of this machine's


def plan(databases: Databases, job: Job, request: Request, model: Model, caller: Caller) -> Planned:
    """Plan one run of `job` with `model`. Calling it again starts that run over, unless it is published.

    Raises SourceError, ModelError (the source or the model does not fit the job), RunHeld (more rows
    than `max_planned_rows`; the run is recorded as held).
    """
    started = time.monotonic()
    model = model.named(job.model.outputs)
    params.check(job.model.params, model.artifact.signature.params, str(model))
    with (
        databases.begin(PREDICTIONS, job.timeouts.plan, TIMEOUT) as here,
        _source(databases, job, here) as there,
    ):
        clock = _clock(there)  # first: the time there is that of its transaction's first statement
        decision = lease.take(here, job, caller, request.dry_run)
        if decision.ended:
            return _ended_before(here, job, request, model, caller, decision, clock)
        columns = source.describe(there, section(job))
        sql_expression.check(there, section(job), job.cost)
        feeds = matching.match(model.artifact.signature, columns, list(job.source.inputs), str(model), job.model.nulls)
        output_checks.validate(here, job, model.artifact.signature.outputs)
        if request.dry_run:
            job_tables.try_out(here, job, columns, model.artifact.signature.outputs, str(model))
        else:
            job_tables.make(here, job, columns, model.artifact.signature.outputs, str(model), here is there)
        replays = bool(queries.run(here, SQL["replays"], job=job.name).scalar())
        unique, view = source.has_unique_key(there, section(job)), source.is_view(there, section(job))
        passing = source.passing_time(there, section(job))
        # A row may become another, or due, as time passes, without being written.
        everywhere = replays or bool(passing) or sql_expression.depends_on_time(there, section(job)) is not None
        window_start, sweep = _window(here, job, request, model, everywhere, clock)
        search = Search(
            job, request, model, here, there, columns, window_start, sweep, unique, view, passing, replays,
            entries=not request.dry_run and past_entries.unresolved(here, job.name),
            positions=matching.positions(feeds),
        )  # fmt: skip
        try:
            planned = _plan_run(search, caller, decision, clock, started)
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
    """Raise JobError or SourceError if the error is about a character that the predictions' database cannot hold: of
    the job file, or of a row."""
    encoding = server_encoding(here)
    codec = psycopg2.extensions.encodings.get(encoding)
    if code(error) != UNTRANSLATABLE or codec is None or encoding == "UTF8":
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
    raise SourceError(
        "source: a key, or an input of a view, has a character that has no place in the encoding of the predictions' "
        f"database, {encoding}. Exclude those rows by source.where, or use a database in UTF8"
    ) from None


def prepare(databases: Databases, job: Job, model: Model) -> None:
    """Make or extend the tables of `job`, as the role that owns the schema, so that one that may not can plan."""
    model = model.named(job.model.outputs)
    with databases.begin(PREDICTIONS) as here, _source(databases, job, here) as there:
        lease.lock(here, job.name)
        columns = source.describe(there, section(job))
        output_checks.validate(here, job, model.artifact.signature.outputs)
        job_tables.make(here, job, columns, model.artifact.signature.outputs, str(model), here is there)
        roles.grant(here)


@contextmanager
def _source(databases: Databases, job: Job, here: Connection) -> Iterator[Connection]:
    if databases.same(job.source.connection, PREDICTIONS):
        yield here
    else:
        with databases.begin(job.source.connection, job.timeouts.plan, TIMEOUT) as there:
            yield there


def _add_run(
    here: Connection, job: Job, request: Request, model: Model, caller: Caller, run_id: int | None, clock: Clock
) -> tuple[int, int]:
    values = {
        "model_id": model.model_id,
        "definition": definition.write(job),
        "request": request.model_dump_json(),
        "source_time": clock.time,
        "clock_offset": clock.offset,
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
    here: Connection, job: Job, request: Request, model: Model, caller: Caller, decision: lease.Decision, clock: Clock
) -> Planned:
    """This run has nothing to do: it is published already, or another one is at work."""
    if decision.own_run_id is not None and decision.state != "empty":
        return Planned(decision.own_run_id, decision.generation, decision.state, decision.message)
    run_id, generation = _add_run(here, job, request, model, caller, decision.own_run_id, clock)
    _record(here, run_id, Planned(run_id, generation, "empty", decision.message))
    return Planned(run_id, generation, "empty", decision.message)


def _clock(there: Connection) -> Clock:
    before = datetime.now(timezone.utc)
    time_there = queries.run(there, SQL["source_time"]).scalar_one()
    after = datetime.now(timezone.utc)
    return Clock(time_there, (time_there - before - (after - before) / 2).total_seconds())


def _window(
    here: Connection, job: Job, request: Request, model: Model, everywhere: bool, clock: Clock
) -> tuple[datetime | None, bool]:
    """Where the search starts (None: everywhere), and whether this run is a sweep."""
    if request.mode != "pending":
        return None, False
    start = None if job.source.cursor is None or everywhere else _window_start(here, job, model, clock)
    if start is None or _sweep_is_due(here, job, clock.time):
        return None, not request.dry_run
    return start, False


def _window_start(here: Connection, job: Job, model: Model, clock: Clock) -> datetime | None:
    """None unless the last complete run did what this one would do, by the same clock, and nothing else came after."""
    values = {"source": json.dumps(section(job)), "rule": job.model.on_new_version, "model_id": model.model_id}
    last = queries.run(here, SQL["last_complete"], job=job.name, **values).first()
    if last is None or not last.same or last.source_time > clock.time:
        return None
    set_back = 0.0 if last.clock_offset is None else last.clock_offset - clock.offset  # seconds, since then
    if abs(set_back) > CLOCK_TOLERANCE:
        return None
    start: datetime = last.source_time - timedelta(seconds=max(set_back, 0.0)) - interval(job.source.lookback)
    return start


def _sweep_is_due(here: Connection, job: Job, now: datetime) -> bool:
    swept = queries.run(here, SQL["last_sweep"], job=job.name, now=now).scalar()
    tick = croniter(job.source.sweep, now.astimezone(ZoneInfo(job.schedule.time_zone))).get_prev(datetime)
    return swept is None or bool(swept < tick)


def _plan_run(search: Search, caller: Caller, decision: lease.Decision, clock: Clock, started: float) -> Planned:
    own, approved_rows = decision.own_run_id, decision.approved_rows
    run_id, generation = _add_run(search.here, search.job, search.request, search.model, caller, own, clock)
    if not search.request.dry_run:
        lease.clear(search.here, search.job.name)
    for connection in {search.here, search.there}:
        require_session(connection)
    candidates = searching.candidates(search)
    if not search.request.dry_run:
        past_entries.settle(search, candidates)
    counts = work_list.create(search, run_id, generation, candidates)
    gone = work_list.judge_gone(search, run_id, generation)
    planned = _conclude(search, run_id, generation, counts, approved_rows, gone)
    _record(search.here, run_id, planned, search, time.monotonic() - started)
    return planned


def _conclude(search: Search, run_id: int, generation: int, counts: Counts, approved_rows: int, gone: Gone) -> Planned:
    """Cut the shards, or say why there are none."""
    allowed = search.job.max_planned_rows + approved_rows  # rows that came since the release have their own allowance
    if not counts.rows and not gone.rows:
        work_tables.drop_work(search.here, run_id, generation)
        return Planned(run_id, generation, "empty", "; ".join(filter(None, ["nothing is pending", gone.message])))
    oldest = None
    if counts.rows:
        oldest = (
            queries.run(search.here, SQL["oldest"], job=search.job.name, oldest=counts.oldest).scalar_one().isoformat()
        )
    if counts.rows > allowed and not search.request.dry_run:
        work_tables.drop_work(search.here, run_id, generation)
        message = (
            f"{counts.rows} rows are pending, above max_planned_rows {allowed}. If that is right: python -m inference "
            f"release {run_id}, then trigger the job again; or plan fewer with row_limit"
        )
        return Planned(run_id, generation, "held", message, [], counts.rows, counts.rows, oldest)
    work_tables.create_result(search.here, run_id, generation, search.model.artifact.signature.outputs)
    shards = work_list.cut(search, run_id, generation, counts.inputs) if counts.rows else []
    message = f"{counts.rows} rows in {len(shards)} shards by {search.model}"
    if search.positions:
        log.info("%s takes its %s", search.model, search.positions)
    changed = work_list.changed_by_itself(search, run_id, generation)
    message = "; ".join(filter(None, [message, search.positions, changed, gone.message]))
    return Planned(run_id, generation, "planned", message, shards, counts.rows, counts.found, oldest)


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
        searched=search is not None,
        window_start=search.window_start if search else None,
        complete=everything and planned.state == "empty",  # of a planned run, publish decides
        oldest=planned.oldest_pending,
        seconds=seconds,
        by_key=search is not None and search.job.by_key and search.here is search.there and not search.view,
        schema=search and search.job.source.schema_name,
        relation=search and search.job.source.relation,
    )
