"""Figure 14: a whole DAG run in Airflow, from its start to its end as Airflow has them, beside an empty DAG's."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from benchmarks.machine import STATE, Machine
from benchmarks.tabular import TABULAR
from benchmarks.verdict import Measured
from benchmarks.workload import ROOT
from inference.base.database import PREDICTIONS, Databases
from services.airflow import Airflow
from services.airflow_api import AirflowApi

FIGURES = {14}
REPEATS = 5
SECONDS = 180  # of one DAG run at most
# Job, and the DAG without content that has the same tasks to run.
PAIRS = {"nothing": "empty_without", "one": "empty_with"}
NAMES = {
    "nothing": "DAG run, nothing pending: time / an empty DAG",
    "one": "DAG run, one shard of nothing to load: time / an empty DAG",
}


def measure(machine: Machine) -> Iterator[Measured]:
    name, databases = machine.empty()
    with databases.begin(PREDICTIONS) as connection:
        for job in PAIRS:
            connection.exec_driver_sql(f"CREATE TABLE {job} (id bigint PRIMARY KEY, {_columns()})")
    dags = [dag for pair in PAIRS.items() for dag in pair]
    seconds: dict[str, list[float]] = {dag: [] for dag in dags}
    with _airflow(machine, machine.postgres.libpq_url(name)) as api:
        for turn in range(REPEATS + 1):
            for dag in dags:
                if dag == "one":
                    _insert(databases, turn)
                took = _run(api, dag)
                print(f"{dag}: {took:.2f} s{'' if turn else ', to warm up'}", flush=True)
                if turn:
                    seconds[dag].append(took)
    assert _published(databases) == REPEATS + 1
    medians = {dag: statistics.median(found) for dag, found in seconds.items()}
    for job, empty in PAIRS.items():
        detail = {"seconds": {dag: [round(one, 2) for one in seconds[dag]] for dag in (job, empty)}}
        yield Measured(NAMES[job], medians[job] / medians[empty], detail)


@contextmanager
def _airflow(machine: Machine, address: str) -> Iterator[AirflowApi]:
    with tempfile.TemporaryDirectory(prefix="benchmark-airflow-") as name:
        folder = Path(name)
        shutil.copytree(ROOT / "dags", folder / "dags", ignore=shutil.ignore_patterns("__pycache__", "jobs"))
        shutil.copy(ROOT / "benchmarks" / "empty_dags.py", folder / "dags")
        (folder / "dags" / "jobs").mkdir()
        for job in PAIRS:
            content = replace(TABULAR, name=job, relation=job).definition()
            (folder / "dags" / "jobs" / f"{job}.yaml").write_text(yaml.safe_dump(content))
        airflow = Airflow(
            folder / "airflow", machine.postgres, dags=folder / "dags", connections={PREDICTIONS: address}, port=28080,
            extra_env={"INFERENCE_STATE": os.environ.get("INFERENCE_STATE", str(STATE))},
        )  # fmt: skip
        airflow.start()
        try:
            airflow.wait_healthy()
            api = airflow.api()
            for dag in (*PAIRS, *PAIRS.values()):
                api.await_dag(dag, 120)
                api.unpause(dag)
            yield api
        finally:
            airflow.stop()


def _run(api: AirflowApi, dag: str) -> float:
    run = api.trigger(dag)
    state = api.wait(dag, run, SECONDS)
    assert state == "success", f"{dag} {state}"
    found = api.run(dag, run)
    start, end = (datetime.fromisoformat(found[name]) for name in ("start_date", "end_date"))
    return (end - start).total_seconds()


def _insert(databases: Databases, number: int) -> None:
    values = ", ".join("0.5" for _ in TABULAR.inputs)
    with databases.begin(PREDICTIONS) as connection:
        connection.exec_driver_sql(f"INSERT INTO one VALUES ({number}, {values})")


def _published(databases: Databases) -> Any:
    with databases.begin(PREDICTIONS) as connection:
        return connection.exec_driver_sql("SELECT count(*) FROM prediction.one").scalar_one()


def _columns() -> str:
    return ", ".join(f"{name} {kind}" for name, kind in TABULAR.inputs.items())
