"""One Airflow DAG for each job file in `dags/jobs`: plan, predict (mapped over shards), check, publish, report.

A job file that is wrong gives no DAG here; `job_files.py` shows what is wrong with it.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pendulum
from airflow.sdk import DAG, Asset, CronTriggerTimetable, ExceptionRetryPolicy, RetryAction, RetryRule, task

from batch_prediction import notices, parameters, tasks
from inference.errors import BadInput, JobError, PermanentError
from inference.jobs.field_types import interval
from inference.jobs.job import Job, load_all

FOLDER = Path(__file__).parent / "jobs"
# The error tree knows whether a retry can help.
RETRY_POLICY = ExceptionRetryPolicy([RetryRule([BadInput, PermanentError], RetryAction.FAIL)])

PAGE = """
{description}

Scores `{schema}.{relation}` with **{model}@{alias}** into the view `prediction.{name}`.
Runs in its own steps: *plan* finds the rows whose prediction is missing or out of date, *predict* scores them
shard by shard, *check* judges the results, *publish* shows them all at once, *report* tells MLflow.
A failed or cancelled run shows nothing, and the next one simply goes on. To re-score, to replay quarantined
rows or for a dry run: *Trigger*, with parameters.
"""


def make(job: Job) -> DAG:
    """The DAG of one job."""
    cron, zone = job.schedule.cron, job.schedule.time_zone
    failed = [partial(tasks.record_failure, job), *notices.callbacks(job.notify.on_failure)]
    common = {
        "retry_policy": RETRY_POLICY,
        "retries": job.retries.count,
        "retry_delay": interval(job.retries.delay),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": interval(job.retries.max_delay),
        "execution_timeout": interval(job.retries.timeout),
        "on_failure_callback": failed,
    }
    with DAG(
        dag_id=job.name,
        schedule=CronTriggerTimetable(cron, timezone=zone) if cron else None,
        start_date=pendulum.datetime(2024, 1, 1),
        catchup=False,
        max_active_runs=1,
        params=parameters.trigger_form(),
        default_args={"owner": job.owner, **common},
        tags=["prediction", *job.tags],
        description=job.description,
        doc_md=PAGE.format(
            description=job.description, schema=job.source.schema_name, relation=job.source.relation,
            model=job.model.name, alias=job.model.alias, name=job.name,
        ),
    ) as dag:  # fmt: skip
        wire(job)
    return dag


def wire(job: Job) -> None:
    """The tasks of one DAG and their order."""

    @task
    def plan() -> list[dict[str, Any]]:
        return tasks.plan(job)

    @task(
        pool=job.pool,
        max_active_tis_per_dagrun=job.max_parallel_shards,
        map_index_template="shard {{ task.op_kwargs['shard'] }}",
    )
    def predict(run: int, generation: int, shard: int) -> None:
        tasks.predict(job, run, generation, shard)

    @task(trigger_rule="none_failed")  # no shards, and so none that succeeded, where there is only to delete
    def check(run: int) -> None:
        tasks.check(job, run)

    @task(outlets=[Asset(name=f"prediction.{job.name}", uri=f"prediction://{job.name}")])
    def publish(run: int) -> None:
        tasks.publish(job, run)

    @task
    def report(run: int) -> None:
        tasks.report(job, run)

    planned = plan()
    run = planned["run"]
    shards = predict.expand_kwargs(planned)
    shards >> check(run) >> publish(run) >> report(run)


for _job in load_all(FOLDER)[0].values():
    with suppress(JobError):  # job_files.py shows it
        globals()[_job.name] = make(_job)
