"""Task bodies: they ask Airflow for connections and ids, and call `inference.pipeline`."""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk import Connection, get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from batch_prediction import notices
from inference import check as checking
from inference import pipeline, request
from inference.database import PREDICTIONS, Databases
from inference.errors import TakenOver
from inference.job import Job
from inference.lease import Caller

log = logging.getLogger(__name__)
ORCHESTRATOR = "airflow"


def databases(job: Job) -> Databases:
    """The job's connections, as Airflow has them."""
    names = {PREDICTIONS, job.source.connection}
    return Databases({name: Connection.get(name).get_uri() for name in names})


def plan(job: Job) -> list[dict[str, Any]]:
    """Find the pending rows; returns the arguments of each shard's task, and pushes the run's number."""
    context = get_current_context()
    run = context["dag_run"]
    asked = request.parse(run.conf or {})
    planned = pipeline.plan(databases(job), job, asked, Caller(ORCHESTRATOR, run.run_id, serialises=True))
    log.info("run %d is %s: %s", planned.run_id, planned.state, planned.message)
    if notices.stale(job, planned.oldest_pending):
        log.warning("the oldest row without a prediction is from %s: older than max_age %s",
                    planned.oldest_pending, job.notify.max_age)  # fmt: skip
        for notify in notices.callbacks(job.notify.on_stale):
            notify(context)
    context["ti"].xcom_push(key="run", value=planned.run_id)
    return [{"run": planned.run_id, "generation": planned.generation, "shard": number} for number in planned.shards]


def predict(job: Job, run: int, generation: int, shard: int) -> None:
    """Score one shard in the environment of its model."""
    pipeline.predict(databases(job), run, generation, shard)


def check(job: Job, run: int) -> None:
    """Judge the results; skipped where there are none."""
    checked = pipeline.check(databases(job), run)
    log.info("%s", checked.message)
    if checked.state != "checked":
        raise AirflowSkipException(checked.message)


def publish(job: Job, run: int) -> None:
    """Make the results visible; its success is the event of the job's asset."""
    published = pipeline.publish(databases(job), run)
    log.info("%s", published.message)
    if not published.news:
        raise AirflowSkipException(published.message)


def report(job: Job, run: int) -> None:
    """Log the run to MLflow."""
    pipeline.report(databases(job), run)


def record_failure(job: Job, context: Any) -> None:
    """After the last retry: the run is over, and the next one need not wait for it."""
    run = context["ti"].xcom_pull(task_ids="plan", key="run")
    if run is not None and not isinstance(context.get("exception"), TakenOver):
        checking.fail(databases(job), int(run), f"task {context['ti'].task_id} failed: {context.get('exception')}")
