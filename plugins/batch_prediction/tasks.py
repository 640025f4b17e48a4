"""Task bodies: they ask Airflow for connections and ids, and call `inference.pipeline`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from airflow.sdk import Connection, get_current_context
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowSkipException

from batch_prediction import notices
from inference import pipeline
from inference.base.database import PREDICTIONS, Databases
from inference.errors import RunHeld, TakenOver
from inference.jobs import request
from inference.jobs.job import Job
from inference.jobs.sections import Notifier
from inference.operations import status
from inference.schema.lease import Caller
from inference.schema.run import fail

log = logging.getLogger(__name__)
ORCHESTRATOR = "airflow"


def databases(job: Job) -> Databases:
    """The job's connections, as Airflow has them."""
    found = {name: Connection.get(name) for name in (PREDICTIONS, job.source.connection)}
    for name in tuple(found):
        with suppress(AirflowNotFoundException):  # shards get the same role then
            found[f"{name}_shard"] = Connection.get(f"{name}_shard")
    return Databases({name: connection.get_uri() for name, connection in found.items()})


def plan(job: Job) -> list[dict[str, Any]]:
    """Find the pending rows; returns the arguments of each shard's task, and pushes the run's number."""
    context = get_current_context()
    run = context["dag_run"]
    asked = request.parse(run.conf or {})
    try:
        planned = pipeline.plan(databases(job), job, asked, Caller(ORCHESTRATOR, run.run_id, serialises=True))
    except RunHeld:
        _tell(job, job.notify.on_held, "held", "", context)
        raise
    context["ti"].xcom_push(key="run", value=planned.run_id)
    log.info("run %d is %s: %s", planned.run_id, planned.state, planned.message)
    if notices.stale(job, planned.oldest_pending):
        message = f"the oldest row without a prediction is from {planned.oldest_pending}: older than max_age "
        message += str(job.notify.max_age)
        log.warning(message)
        _tell(job, job.notify.on_stale, "stale", message, context)
    return [{"run": planned.run_id, "generation": planned.generation, "shard": number} for number in planned.shards]


def predict(job: Job, run: int, generation: int, shard: int) -> None:
    """Score one shard in the environment of its model."""
    pipeline.predict(databases(job), run, generation, shard)


def check(job: Job, run: int) -> None:
    """Judge the results; skipped where there are none."""
    checked = pipeline.check(databases(job), run)
    log.info("%s", checked.message)
    if checked.state == "held":
        _tell(job, job.notify.on_held, "held", "", get_current_context())
    if checked.state != "checked":
        raise AirflowSkipException(checked.message)


def publish(job: Job, run: int) -> None:
    """Make the results visible; its success is the event of the job's asset."""
    published = pipeline.publish(databases(job), run)
    log.info("%s", published.message)
    if not published.news:
        raise AirflowSkipException(published.message)
    if job.notify.max_quarantine_rate is not None:
        _judge_quarantine(job, job.notify.max_quarantine_rate, get_current_context())


def report(job: Job, run: int) -> None:
    """Log the run to MLflow."""
    pipeline.report(databases(job), run)


def record_failure(job: Job, context: Any) -> None:
    """After the last retry: the run is over, and the next one need not wait for it.

    Leaves the event in the context, for the notifiers that Airflow calls next.
    """
    message = f"task {context['ti'].task_id} failed: {context.get('exception')}"
    context[notices.EVENT] = notices.Event.of("failure", job.name, None, message, context)
    run = context["ti"].xcom_pull(task_ids="plan", key="run")
    if run is not None and not isinstance(context.get("exception"), TakenOver):
        fail(databases(job), int(run), message)
    context[notices.EVENT] = notices.Event.of("failure", job.name, _row(job, context), message, context)


def _judge_quarantine(job: Job, limit: float, context: Any) -> None:
    row = _row(job, context) or {"quarantined": 0, "planned": 0}
    rate = row["quarantined"] / max(row["planned"], 1)
    if rate > limit:
        message = (
            f"{row['quarantined']} of {row['planned']} rows ({rate:.2%}) are in quarantine: more than "
            f"notify.max_quarantine_rate {limit:.2%}"
        )
        log.warning(message)
        _tell(job, job.notify.on_quarantine, "quarantine", message, context)


def _tell(job: Job, notifiers: tuple[Notifier, ...], event: str, message: str, context: Any) -> None:
    if notifiers:
        notices.tell(notifiers, context, notices.Event.of(event, job.name, _row(job, context), message, context))


def _row(job: Job, context: Any) -> Mapping[str, Any] | None:
    """This DAG run's row of `prediction.run`, if there is one; what is told does not depend on it."""
    try:
        return status.run_of(databases(job), job.name, ORCHESTRATOR, context["dag_run"].run_id)
    except Exception:
        log.exception("the run's row cannot be read")
        return None
