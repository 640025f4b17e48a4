"""Who may work on a job: one active run, and the latest attempt of each shard."""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from inference.base import queries
from inference.errors import Unavailable
from inference.jobs.field_types import seconds
from inference.jobs.job import Job
from inference.schema import work_tables

SQL = queries.load("schema/lease")

# Seconds without a sign of life after which a run counts as dead. Shards give one every 10 s, and who starts a shard
# gives them until its process does.
SILENCE = 60
LOCK_NOT_AVAILABLE = "55P03"


@dataclass(frozen=True)
class Caller:
    """Who runs a job. An orchestrator that `serialises` never has two runs of a job at once."""

    orchestrator: str
    external_id: str
    serialises: bool

    @classmethod
    def command_line(cls) -> Caller:
        return cls(f"command line on {socket.gethostname()}", f"{os.getpid()}-{uuid.uuid4().hex[:12]}", False)


@dataclass(frozen=True)
class Decision:
    """What `take` found. `ended`: this run has nothing to do, `message` says why."""

    ended: bool
    message: str = ""
    own_run_id: int | None = None
    generation: int = 0
    state: str = "empty"
    approved_rows: int = 0


def take(connection: Connection, job: Job, caller: Caller, dry_run: bool) -> Decision:
    """Lock the job for this transaction, and decide between its open run and this caller."""
    lock(connection, job.name)
    own = queries.run(
        connection, SQL["own_run"], job=job.name, orchestrator=caller.orchestrator, external_id=caller.external_id
    ).first()
    if own and (own.state == "published" or (own.state == "held" and not own.approved)):
        message = f"run {own.run_id} is {own.state} already: nothing to do" + (
            f"; to go on: python -m inference release {own.run_id}" if own.state == "held" else ""
        )
        return Decision(True, message, own.run_id, own.generation, own.state)
    own_id = own.run_id if own else None
    if not dry_run:
        queries.run(connection, SQL["clock_set_back"], job=job.name)
    free = queries.run(connection, SQL["lock_open"], job=job.name).scalar()
    other = queries.run(connection, SQL["open_run"], job=job.name).first()
    if other is None or other.run_id == own_id:
        return Decision(False, own_run_id=own_id, approved_rows=own.planned if own and own.approved else 0)
    if other.state == "held" and not other.approved and other.silent < seconds(job.hold_timeout):
        return Decision(
            True,
            f"run {other.run_id} is held: {other.message}. Until it is released or discarded (python -m inference "
            f"release|discard {other.run_id}), or {job.hold_timeout} have passed, no other run starts",
            own_id,
        )
    silent = max(other.silent, 0)
    dead = caller.serialises and other.orchestrator == caller.orchestrator
    if other.run_id != free:
        return Decision(
            True, f"run {other.run_id} ({other.orchestrator}) is at work: its check or publish holds its row", own_id
        )
    if other.state != "held" and not dead and silent < allowed_silence(other.orchestrator, job):
        return Decision(
            True, f"run {other.run_id} ({other.orchestrator}) is at work, last sign of life {silent:.0f} s ago", own_id
        )
    if dry_run:
        return Decision(
            True,
            f"run {other.run_id} ({other.orchestrator}) is {other.state}, last sign of life {silent:.0f} s ago. "
            "A dry run ends no other: the job's next run takes over, or now: python -m inference repair",
            own_id,
        )
    message = f"superseded by a later run ({caller.orchestrator}) after {silent:.0f} s without a sign of life"
    queries.run(connection, SQL["supersede"], run_id=other.run_id, message=message)
    return Decision(False, own_run_id=own_id, approved_rows=other.planned if other.approved else 0)


def allowed_silence(orchestrator: str, job: Job) -> float:
    """Seconds without a sign of life after which an open run counts as dead: Airflow may be about to retry a task."""
    return SILENCE + (seconds(job.retries.max_delay) if orchestrator == "airflow" else 0)


def lock(connection: Connection, job: str) -> None:
    """Take the job's row lock until the transaction ends; raises Unavailable if somebody else keeps it."""
    try:
        queries.run(connection, SQL["add_job"], job=job)
        queries.run(connection, SQL["lock_job"], job=job)
    except DBAPIError as error:
        if getattr(error.orig, "pgcode", None) != LOCK_NOT_AVAILABLE:
            raise
        raise Unavailable(f"job {job!r}: another plan or publish of this job is at work and holds its lock") from None


def clear(connection: Connection, job: str) -> list[str]:
    """End what is left of this job's earlier plans, sessions of their shards and work tables; says what there was."""
    ended = queries.run(connection, SQL["terminate"], job=job).scalar_one()
    dropped = work_tables.drop_leftovers(connection, job)
    return [*([f"{ended} sessions of shards"] if ended else []), *(f"table {name}" for name in dropped)]
