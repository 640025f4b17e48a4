"""The life of a run, top to bottom: what the DAG's tasks and the command line call."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from inference.base import log_lines
from inference.base.database import Databases
from inference.errors import InferenceError, WorkLost
from inference.jobs.job import Job
from inference.jobs.request import Request
from inference.models import model_version
from inference.models.mlflow_rest import Registry
from inference.planning import plan as planning
from inference.planning.plan import Planned
from inference.publishing import check as checking
from inference.publishing import publish as publishing
from inference.publishing import report as reporting
from inference.publishing.check import Verdict
from inference.runners import runner
from inference.schema import migrate
from inference.schema.lease import Caller
from inference.schema.run import recorded

Watch = Callable[[Planned], AbstractContextManager[None]]


def plan(databases: Databases, job: Job, request: Request, caller: Caller) -> Planned:
    """Resolve the alias once; write the work list and the shards."""
    log_lines.note(job=job.name)
    migrate.require(databases)
    registry, reference = Registry(), request.model or job.model.alias
    found = model_version.resolve(databases, registry, job.model.name, reference, job.model.allow_pickle)
    planned = planning.plan(databases, job, request, runner.ready(registry, job, found), caller)
    log_lines.note(run=planned.run_id)
    if not request.dry_run:
        runner.clean(databases, job)
    return planned


def predict(databases: Databases, run_id: int, generation: int, shard: int) -> None:
    """Score one shard by the job's runner, on the model that was planned."""
    runner.run(databases, Registry(), run_id, generation, shard)


def check(databases: Databases, run_id: int) -> Verdict:
    """Judge the results, while nothing of them is visible."""
    with recorded(databases, run_id, WorkLost):
        return checking.check(databases, run_id)


def publish(databases: Databases, run_id: int) -> Verdict:
    """Make them visible, all at once."""
    with recorded(databases, run_id, WorkLost):
        return publishing.publish(databases, run_id)


def report(databases: Databases, run_id: int) -> None:
    """Tell MLflow; never fails a run that is published."""
    reporting.report(databases, run_id, lambda: Registry(retries=4))


def run(
    databases: Databases, job: Job, request: Request, say: Callable[[str], None], watch: Watch
) -> Planned | Verdict:
    """The whole run in this process; returns the last stage's word. `watch` shows the shards' progress."""
    planned = plan(databases, job, request, Caller.command_line())
    say(f"run {planned.run_id}: {planned.state}: {planned.message}")
    if planned.state != "planned":
        return planned
    with recorded(databases, planned.run_id, InferenceError):
        with watch(planned), runner.threads(databases, job, planned.run_id) as threads:
            list(threads.map(partial(predict, databases, planned.run_id, planned.generation), planned.shards))
        checked = check(databases, planned.run_id)
        say(f"run {planned.run_id}: {checked.state}: {checked.message}")
        if checked.state != "checked":
            return checked
        published = publish(databases, planned.run_id)
    report(databases, planned.run_id)
    return published
