"""Figures 8 and 9: plan in a table where almost everything is predicted: with a cursor, and without."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Session

from benchmarks.bare import input_hash
from benchmarks.machine import Machine
from benchmarks.tabular import TABULAR
from benchmarks.verdict import Measured
from benchmarks.workload import columns, vacuum
from inference.base import queries
from inference.base.database import PREDICTIONS, Databases
from inference.jobs.request import Request
from inference.models import model_version
from inference.models.mlflow_rest import Registry
from inference.planning import plan as planning
from inference.schema import job_tables
from inference.schema.lease import Caller

FIGURES = {8, 9}
MANY, FEW, NEW = 5_000_000, 500_000, 1_000
REPEATS = 5
SOURCE = {"cursor": "updated_at", "sweep": "0 0 1 1 *"}
WITH_CURSOR = TABULAR.job(source=SOURCE)
SWEEP = TABULAR.job()
# The same caller starts its run over: each plan finds the same rows.
CALLER = Caller("benchmark", "1", serialises=True)


def measure(machine: Machine) -> Iterator[Measured]:
    few, fill = _table(machine, FEW)
    in_few = _plans(few, WITH_CURSOR)
    machine.drop(fill)
    many, fill = _table(machine, MANY)
    in_many = _plans(many, WITH_CURSOR)
    detail = {"seconds": {"in 500,000": round(in_few, 4), "in 5,000,000": round(in_many, 4)}, "new rows": NEW}
    yield Measured("plan with a cursor: time in 5,000,000 rows / in 500,000", in_many / in_few, detail)
    sweeps, alone = [], []
    for _ in range(3):
        sweeps.append(_plan(many, SWEEP))
        alone.append(_anti_join(many))
        print(f"sweep: {sweeps[-1]:.2f} s, the anti-join alone: {alone[-1]:.2f} s", flush=True)
    machine.drop(fill)
    seconds = {"sweep": round(statistics.median(sweeps), 3), "alone": round(statistics.median(alone), 3)}
    detail = {"seconds": seconds, "alone": "CREATE UNLOGGED TABLE AS SELECT key, hash ... WHERE NOT EXISTS, as in psql"}
    yield Measured(
        "sweep of 5,000,000 rows: time / the same anti-join alone", seconds["sweep"] / seconds["alone"], detail
    )


def _table(machine: Machine, rows: int) -> tuple[Databases, str]:
    """A source of which all rows but NEW have a prediction, since a run that left nothing over; its database."""
    name, databases = machine.empty()
    with databases.begin(PREDICTIONS) as connection:
        connection.exec_driver_sql(
            f"CREATE TABLE measurement (id bigint PRIMARY KEY, {columns(TABULAR.inputs)}, updated_at timestamptz)"
        )
        connection.exec_driver_sql("CREATE INDEX ON measurement (updated_at)")
    before = replace(CALLER, external_id="0")
    planned = planning.plan(databases, WITH_CURSOR, Request(), _model(databases), before)
    assert planned.state == "empty"
    with databases.begin(PREDICTIONS) as connection:
        cursor = connection.connection.cursor()
        _insert(cursor, 1, rows - NEW, "now() - interval '30 days'")
        target = queries.text(connection, job_tables.target(TABULAR.name))
        cursor.execute(
            f"INSERT INTO {target} (id, input_hash, model_id, run_id, predicted_at, score) "
            f"SELECT s.id, {input_hash(TABULAR)}, 1, {planned.run_id}, now(), 0 FROM measurement s ORDER BY s.id"
        )
        _insert(cursor, rows - NEW + 1, rows, "now()")
    vacuum(databases, "measurement")
    vacuum(databases, target)
    return databases, name


def _insert(cursor: Any, first: int, last: int, moment: str) -> None:
    values = ", ".join("random() * 2 - 1" for _ in TABULAR.inputs)
    cursor.execute(f"INSERT INTO measurement SELECT n, {values}, {moment} FROM generate_series({first}, {last}) n")


def _model(databases: Databases) -> model_version.Model:
    return model_version.resolve(databases, Registry(), TABULAR.model, "champion", False)


def _plans(databases: Databases, job: Any) -> float:
    _plan(databases, job)
    seconds = [_plan(databases, job) for _ in range(REPEATS)]
    print(f"plan: {statistics.median(seconds):.3f} s", flush=True)
    return statistics.median(seconds)


def _plan(databases: Databases, job: Any) -> float:
    """Seconds of one plan, without the question to MLflow."""
    found = _model(databases)
    started = time.monotonic()
    planned = planning.plan(databases, job, Request(), found, CALLER)
    seconds = time.monotonic() - started
    assert planned.planned == NEW, planned.message
    return seconds


def _anti_join(databases: Databases) -> float:
    """What a person would write in psql for the same work list, with the same index and statistics."""
    session: Session = psycopg2.connect(databases.url(PREDICTIONS).set(drivername="postgresql").render_as_string(False))
    with session, session.cursor() as cursor:
        target = job_tables.target(TABULAR.name).as_string(cursor)
        started = time.monotonic()
        cursor.execute(
            f"CREATE UNLOGGED TABLE pending AS SELECT s.id, {input_hash(TABULAR)} AS input_hash FROM measurement s "
            f"WHERE NOT EXISTS (SELECT FROM {target} p WHERE p.id = s.id "
            f"AND p.input_hash IS NOT DISTINCT FROM {input_hash(TABULAR)})"
        )
        session.commit()
        seconds = time.monotonic() - started
        cursor.execute("SELECT count(*) FROM pending")
        assert cursor.fetchall() == [(NEW,)]
        cursor.execute("DROP TABLE pending")
    session.close()
    return seconds
