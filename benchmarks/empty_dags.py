"""DAGs of the pipeline's shape whose tasks do nothing: copied beside the pipeline's DAGs for figure 14."""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowSkipException


def make(name: str, shards: int) -> DAG:
    with DAG(
        dag_id=name, schedule=None, start_date=pendulum.datetime(2024, 1, 1), catchup=False, max_active_runs=1
    ) as dag:

        @task
        def plan() -> list[dict[str, Any]]:
            return [{"shard": number} for number in range(shards)]

        @task
        def predict(shard: int) -> None:
            pass

        @task(trigger_rule="none_failed")
        def check() -> None:
            if not shards:
                raise AirflowSkipException("nothing")

        @task
        def publish() -> None:
            pass

        @task
        def report() -> None:
            pass

        predict.expand_kwargs(plan()) >> check() >> publish() >> report()
    return dag


empty_without = make("empty_without", 0)
empty_with = make("empty_with", 1)
