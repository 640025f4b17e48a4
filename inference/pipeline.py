"""The life of a run, top to bottom. The DAG's tasks and the command line call these functions.

plan -> predict (each shard) -> check -> publish -> report
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from inference import check as checking
from inference import migrate, model, venv
from inference import plan as planning
from inference import publish as publishing
from inference import report as reporting
from inference.check import Checked
from inference.database import PREDICTIONS, Databases
from inference.errors import CheckFailed, InferenceError, WorkLost
from inference.job import Job
from inference.lease import Caller
from inference.plan import Planned
from inference.publish import Published
from inference.registry import Registry
from inference.request import Request


def plan(databases: Databases, job: Job, request: Request, caller: Caller) -> Planned:
    """Resolve the alias once; write the work list and the shards."""
    migrate.require(databases)
    version = request.model or job.model.alias
    resolved = model.resolve(databases, Registry(), job.model.name, version, job.model.allow_pickle)
    return planning.plan(databases, job, request, resolved, caller)


def predict(databases: Databases, run_id: int, generation: int, shard: int) -> None:
    """Score one shard by the job's runner, on the model that was planned."""
    with databases.begin(PREDICTIONS) as connection:
        job = checking.read_run(connection, run_id).job
        planned = model.by_run(connection, run_id)
    venv.RUNNERS[job.runner](databases, Registry(), job, planned, run_id, generation, shard)


def check(databases: Databases, run_id: int) -> Checked:
    """Judge the results, while nothing of them is visible."""
    try:
        return checking.check(databases, run_id)
    except WorkLost as error:
        checking.fail(databases, run_id, str(error))
        raise


def publish(databases: Databases, run_id: int) -> Published:
    """Make them visible, all at once."""
    try:
        return publishing.publish(databases, run_id)
    except WorkLost as error:
        checking.fail(databases, run_id, str(error))
        raise


def report(databases: Databases, run_id: int) -> None:
    """Tell MLflow; never fails a run that is published."""
    reporting.report(databases, run_id, Registry(retries=4))


def run(databases: Databases, job: Job, request: Request, say: Callable[[str], None]) -> Planned | Published | Checked:
    """The whole run in this process; returns the last stage's word."""
    planned = plan(databases, job, request, Caller.command_line())
    say(f"run {planned.run_id}: {planned.state}: {planned.message}")
    if planned.state != "planned":
        return planned
    try:
        with ThreadPoolExecutor(job.max_parallel_shards) as threads:
            jobs = [threads.submit(predict, databases, planned.run_id, planned.generation, n) for n in planned.shards]
        for finished in jobs:
            finished.result()
        checked = check(databases, planned.run_id)
    except InferenceError as error:
        if not isinstance(error, CheckFailed):
            checking.fail(databases, planned.run_id, str(error))
        raise
    say(f"run {planned.run_id}: {checked.state}: {checked.message}")
    if checked.state != "checked":
        return checked
    published = publish(databases, planned.run_id)
    report(databases, planned.run_id)
    return published
