"""Repair: remove what dead runs have left; a run that gives signs of life, or waits for a person, is left alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from inference.base import queries
from inference.base.database import PREDICTIONS, Databases
from inference.errors import PermanentError
from inference.jobs import definition
from inference.jobs.job import Job
from inference.operations import status
from inference.runners import runner
from inference.schema import lease, work_tables
from inference.schema.run import end, read_run

SQL = queries.load("operations/repair")


@dataclass(frozen=True)
class Dead:
    run_id: int
    text: str


def dead_run(connection: Connection, job: str) -> Dead | None:
    """The job's open run, if it has been silent for so long that the next plan would take over.

    Raises PermanentError if newer code has planned it, or this code cannot take its job.
    """
    run = queries.run(connection, lease.SQL["open_run"], job=job).first()
    if run is None or run.state == "held":
        return None
    planned = definition.read(read_run(connection, run.run_id).definition, run.run_id, checks=False)
    if run.silent < lease.allowed_silence(run.orchestrator, planned):
        return None
    return Dead(run.run_id, f"run {run.run_id} of {job} ({run.state}), {run.silent:.0f} s without a sign of life")


def repair(databases: Databases, jobs: Iterable[Job]) -> Iterator[str]:
    """Says what was removed, one thing each. `jobs`: those with a file, whose containers and pods are looked for.

    Raises Unavailable if a plan or publish of a job is at work.
    """
    for job in status.known(databases):
        said = []
        with databases.begin(PREDICTIONS) as connection:
            lease.lock(connection, job)
            queries.run(connection, lease.SQL["clock_set_back"], job=job)
            try:
                dead = dead_run(connection, job)
            except PermanentError as error:  # whoever can read it may be at work on it
                dead = None
                said.append(f"job {job}: its open run is left as it is: {error}")
            if dead:
                end(connection, dead.run_id, f"ended by repair: {dead.text}")
                said.append(f"ended {dead.text}")
            removed = lease.clear(connection, job)
        yield from said
        yield from (f"job {job}: removed {what}" for what in removed)
    with databases.begin(PREDICTIONS) as connection:
        strays = [row.name for row in queries.run(connection, SQL["leftovers"]) if row.stray]
        for name in strays:
            queries.run(connection, work_tables.SQL["drop"], {"table": queries.work_table(name)})
    yield from (f"removed table {name}, of a run that nothing is known of" for name in strays)
    for one in jobs:
        left = runner.RUNNERS[one.runner].left(databases, one)
        runner.clean(databases, one)
        yield from (f"job {one.name}: removed {name}" for name in left)
