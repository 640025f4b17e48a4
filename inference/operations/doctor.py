"""Doctor: everything that a run needs, looked at one by one, and what to do where it is not right."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from inference.base import address, queries, source, state_folder
from inference.base.database import PREDICTIONS, Databases
from inference.base.pooler import require_session
from inference.errors import InferenceError, PermanentError
from inference.jobs import sql_expression
from inference.jobs.job import Job, section
from inference.models import environment, model_version
from inference.models.mlflow_rest import Registry
from inference.operations import repair, status  # fmt: skip
from inference.planning import plan
from inference.runners.runner import RUNNERS
from inference.schema import migrate, roles

SQL = queries.load("operations/doctor")

CLOCK_SECONDS = 30.0  # by which two clocks may differ
ROOM = 5 << 30  # bytes: an environment with torch takes 1 GB, and is made beside the old one
Check = Callable[[], Iterable["Finding"]]


@dataclass(frozen=True)
class Finding:
    """`level`: ok, warning or error; the text says what to do."""

    level: str
    text: str


def examine(databases: Databases, jobs: Iterable[Job]) -> Iterator[Finding]:
    """All findings, in an order in which the first error may explain later ones."""
    jobs = list(jobs)
    names = sorted({PREDICTIONS, *(job.source.connection for job in jobs)})
    reached = True
    for given in dict.fromkeys(given for name in names for given in (name, databases.of_shard(name))):
        for finding in _guarded(partial(_connection, databases, given)):
            yield finding
            reached &= finding.level != "error"
    yield from _disk()
    if not reached:
        return
    migrated = list(_guarded(partial(_migrations, databases)))
    yield from migrated
    if any(finding.level == "error" for finding in migrated):
        return
    checks: list[Check] = [partial(_planner, databases), partial(_orphans, databases)]
    if any(job.runner != "kubernetes" for job in jobs):  # pods have their addresses from a Secret
        checks.insert(1, partial(_predictor, databases))
    for job in jobs:
        checks += [partial(each, databases, job) for each in (_source, _time, _where, _model, _containers)]
    for check in checks:
        yield from _guarded(check)


def _guarded(check: Check) -> Iterator[Finding]:
    try:
        yield from check()
    except InferenceError as error:
        yield Finding("error", str(error))
    except DBAPIError as error:
        yield Finding("error", f"Postgres says: {error.orig}. Is it the right role? See docs/security.md")


def _connection(databases: Databases, name: str) -> Iterator[Finding]:
    before = datetime.now(timezone.utc)
    with databases.begin(name) as connection:
        opened = datetime.now(timezone.utc)
        session = queries.run(connection, SQL["session"]).one()
        after = datetime.now(timezone.utc)
    where = address.where(databases.url(name))
    yield Finding("ok", f"connection {name}: {where} as {session.role}, PostgreSQL {session.version.split()[0]}")
    if session.read_only and name in (PREDICTIONS, databases.of_shard(PREDICTIONS)):
        yield Finding(
            "error",
            f"connection {name}: nothing can be written there: the server is a standby, or read-only. After a failover "
            "the address must lead to the new primary",
        )
    with databases.connect(name) as connection, databases.begin(name) as other:
        require_session(other)
        with connection.begin():  # beside another transaction, where a pooler cannot give it the same session by luck
            require_session(connection)
    if session.superuser:
        yield Finding("warning", f"connection {name}: {session.role} is a superuser; use a role of sql/roles.sql")
    ahead = (session.now - opened - (after - opened) / 2).total_seconds()
    if abs(ahead) > CLOCK_SECONDS:
        yield Finding(
            "warning",
            f"connection {name}: the clock there is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this "
            "machine's: notify.max_age goes by both, and jobs with a cursor search everything whenever the difference "
            "changes. Let both follow one time server (NTP)",
        )
    if (opened - before).total_seconds() > CLOCK_SECONDS / 10:
        yield Finding("warning", f"connection {name}: took {(opened - before).total_seconds():.0f} s to open")


def _disk() -> Iterator[Finding]:
    folder = state_folder.folder()
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    text = f"disk: {free / 1e9:.1f} GB free for {folder}"
    if free >= ROOM:
        yield Finding("ok", text)
    else:
        yield Finding("warning", f"{text}: an environment with torch takes 1 GB; delete what no job needs of it")


def _migrations(databases: Databases) -> Iterator[Finding]:
    migrate.require(databases)
    yield Finding("ok", "the schema `prediction` is at the migration that this code needs")


def _planner(databases: Databases) -> Iterator[Finding]:
    with databases.begin(PREDICTIONS) as connection:
        granted = roles.granted(connection)
        if not queries.run(connection, SQL["may_plan"]).scalar():
            yield Finding(
                "error",
                f"connection {PREDICTIONS}: this role may not plan: it cannot make tables in prediction_work and add "
                "runs. Apply sql/roles.sql, run `db upgrade` as the owner, and connect as prediction_planner",
            )
    if not granted:
        yield Finding("warning", "one role owns the schema `prediction` and does everything; see docs/security.md")


def _predictor(databases: Databases) -> Iterator[Finding]:
    shards = databases.of_shard(PREDICTIONS)
    with databases.begin(shards) as connection:
        if not queries.run(connection, SQL["may_score"]).scalar():
            yield Finding("error", f"connection {shards}: this role may not score: shards need prediction_predictor")
        elif queries.run(connection, SQL["may_plan"]).scalar():
            yield Finding(
                "warning",
                "code of models runs with a role that may plan and publish. Give shards their own: connection "
                f"{PREDICTIONS}_shard, of the role prediction_predictor (docs/security.md)",
            )
        else:
            yield Finding("ok", "shards have a role of their own, which may not publish")


def _dead(connection: Connection, job: str) -> Finding | None:
    """What to say of a job's open run that nobody is at work on, or of one that this code cannot read."""
    try:
        run = repair.dead_run(connection, job)
    except PermanentError as error:
        return Finding("warning", f"job {job}: {error}")
    if run is None:
        return None
    return Finding("warning", f"{run.text}: the job's next plan takes over, or now: python -m inference repair")


def _orphans(databases: Databases) -> Iterator[Finding]:
    with databases.begin(PREDICTIONS) as connection:
        tables = [row.name for row in queries.run(connection, repair.SQL["leftovers"])]
        sessions = queries.run(connection, SQL["sessions"]).scalar_one()
        dead = [found for job in status.known(databases) if (found := _dead(connection, job))]
    yield from dead
    if tables or sessions:
        what = [f"tables {', '.join(tables)}"] if tables else []
        what += [f"{sessions} sessions of shards"] if sessions else []
        yield Finding(
            "warning",
            f"left by runs that are over: {'; '.join(what)}. They go at the job's next plan, or now: "
            "python -m inference repair",
        )
    if not (dead or tables or sessions):
        yield Finding("ok", "no run that is over has left anything")


def _source(databases: Databases, job: Job) -> Iterator[Finding]:
    name = job.source.connection
    seen = {given: _seen(databases, given, job) for given in dict.fromkeys((name, databases.of_shard(name)))}
    where = f"job {job.name}: {job.source.schema_name}.{job.source.relation}"
    for given, row in seen.items():
        if row is None or not row.readable:
            wrong = "does not exist" if row is None else "cannot be read"
            yield Finding("error", f"{where} {wrong} on connection {given}; GRANT SELECT to its role")
            return
    if len({(row.restricted, tuple(row.policies)) for row in seen.values()}) > 1:
        met = "; ".join(f"{given} meets {', '.join(row.policies) or 'none'}" for given, row in seen.items())
        yield Finding(
            "error",
            f"{where} has row-level security that plan and shards meet differently ({met}): rows that only plan sees "
            "vanish in each run. Write the policy TO prediction_predictor: the planner is a member",
        )
    else:
        yield Finding("ok", f"{where} can be read" + (", under the same policies" if seen[name].restricted else ""))
    yield from _passing_time(databases, job, where)
    with databases.begin(PREDICTIONS) as connection:
        if roles.granted(connection) and not queries.run(connection, SQL["prepared"], job=job.name).scalar():
            yield Finding(
                "error", f"job {job.name}: has no tables yet. As the owner: python -m inference db prepare {job.name}"
            )


def _passing_time(databases: Databases, job: Job, where: str) -> Iterator[Finding]:
    with databases.begin(job.source.connection) as connection:
        names = source.passing_time(connection, section(job))
    if names:
        yield Finding(
            "warning",
            f"{where} is a view that calls {', '.join(names)}: its rows change as time passes, without being written. "
            "Rows whose inputs change so are scored again by each run, and with a cursor each run searches everything",
        )


def _seen(databases: Databases, name: str, job: Job) -> Any:
    with databases.begin(name) as connection:
        columns = [*job.source.key, *job.source.inputs, *filter(None, [job.source.cursor])]
        values = {"schema": job.source.schema_name, "relation": job.source.relation, "columns": columns}
        return queries.run(connection, SQL["source"], **values).first()


def _time(databases: Databases, job: Job) -> Iterator[Finding]:
    with databases.begin(PREDICTIONS) as connection:
        last = queries.run(connection, SQL["last_complete"], job=job.name).first()
    with databases.begin(job.source.connection) as connection:
        now = queries.run(connection, plan.SQL["source_time"]).scalar_one()
    if last is not None and last.source_time > now:
        yield Finding(
            "warning",
            f"job {job.name}: run {last.run_id} looked at {last.source_time:%Y-%m-%d %H:%M:%S %Z} by the clock of "
            f"connection {job.source.connection}, where it is {now:%Y-%m-%d %H:%M:%S %Z} now: that clock was ahead. "
            "The next run searches without a window; let the clock follow a time server (NTP)",
        )


def _where(databases: Databases, job: Job) -> Iterator[Finding]:
    if job.source.cursor is None:
        return
    with databases.begin(job.source.connection) as connection:
        found = sql_expression.depends_on_time(connection, section(job))
    if found:
        yield Finding(
            "warning",
            f"job {job.name}: source.where has {found}, so rows become due without a change that source.cursor tells "
            "of: each run searches the whole source. Keep such a condition out of `where`, or leave the cursor out",
        )


def _model(databases: Databases, job: Job) -> Iterator[Finding]:
    registry = Registry()
    version = registry.resolve(job.model.name, job.model.alias)
    image = RUNNERS[job.runner].image(registry, version)
    if image is not None:
        yield Finding("ok", f"job {job.name}: {version}, image {image.name}")
        return
    known = model_version.known(databases, version)
    if known is None:
        yield Finding("ok", f"job {job.name}: {version} is new here; the next plan fetches it")
    else:
        environment.find_interpreter(environment.short(known.artifact.python_version))
        yield Finding("ok", f"job {job.name}: {version} on Python {known.artifact.python_version}, which is here")


def _containers(databases: Databases, job: Job) -> Iterator[Finding]:
    for name in RUNNERS[job.runner].left(databases, job):
        yield Finding(
            "warning",
            f"job {job.name}: {name} is at work for a run that is over. It goes at the job's next plan, or now: "
            "python -m inference repair",
        )
