"""Retention: what is old goes, what a next run goes by stays, and counters do not fall."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from inference.base.database import Databases
from inference.errors import CheckFailed, Unavailable
from inference.models.mlflow_rest import Registry
from inference.operations import metrics
from inference.operations.prune import AT_ONCE, prune
from inference.planning import plan
from inference.publishing import mlflow_run
from services.mlflow_server import MlflowServer
from services.postgres import Postgres
from tests import roles
from tests.stub import Digest, Pipeline, assert_current, create_messages, job, register, run_row, sql

AGE = timedelta(days=90)
SEARCH = {"source__cursor": "updated_at", "source__lookback": "1s", "source__sweep": "0 0 1 1 *"}


def removed(databases: Databases, server: Registry | None = None) -> list[str]:
    def connect() -> Registry:
        assert server is not None
        return server

    return list(prune(databases, AGE, connect))


def age(databases: Databases, days: int = 100, runs: str = "true") -> None:
    """As if it had all been so long ago."""
    back = f"interval '{days} days'"
    sql(databases, f"UPDATE prediction.run SET finished_at = finished_at - {back} WHERE {runs}")  # noqa: S608
    sql(databases, f"UPDATE prediction.quarantine SET resolved_at = resolved_at - {back}")  # noqa: S608


def runs(databases: Databases) -> list[int]:
    return [run_id for (run_id,) in sql(databases, "SELECT run_id FROM prediction.run ORDER BY run_id")]


def touch(databases: Databases, key: int) -> None:
    sql(databases, "UPDATE message SET text = text || '!', updated_at = now() WHERE id = :key", key=key)


def test_old_runs_go_and_the_last_of_each_kind_stays(databases: Databases) -> None:
    create_messages(databases, [f"message {number}" for number in range(50)])
    pipeline = Pipeline(databases, job(**SEARCH))
    swept = pipeline.run().run_id
    for key in (1, 2, 3):
        touch(databases, key)
        pipeline.run()
    empty = [pipeline.run().run_id for _ in range(3)]
    everything = runs(databases)
    assert removed(databases) == []

    age(databases)
    assert removed(databases) == ["job intent: 4 runs, 0 reports, 0 resolved entries of quarantine"]

    published = everything[3]
    assert runs(databases) == [swept, published, empty[-1]]
    assert sql(databases, "SELECT DISTINCT run_id FROM prediction.shard ORDER BY 1") == [(swept,), (published,)]
    touch(databases, 7)
    found = pipeline.run()
    assert (found.planned, run_row(databases, found.run_id)["window_start"] is None) == (1, False)
    assert_current(databases)


def test_what_is_younger_stays(databases: Databases) -> None:
    create_messages(databases, ["one"])
    pipeline = Pipeline(databases)
    for _ in range(5):
        pipeline.run()
    age(databases, 100, "run_id <= 3")
    age(databases, 80, "run_id > 3")

    assert removed(databases) == ["job intent: 2 runs, 0 reports, 0 resolved entries of quarantine"]
    assert runs(databases) == [1, 4, 5]


def test_another_search_and_another_model_keep_their_own_last_run(databases: Databases) -> None:
    create_messages(databases, [f"message {number}" for number in range(20)])
    first = Pipeline(databases, job(**SEARCH))
    first.run()
    other = Pipeline(databases, job(source__where="id > 0", **SEARCH))
    other.run()
    newer = Pipeline(databases, job(**SEARCH))
    newer.model = register(databases, "2")
    newer.run()
    age(databases)

    assert removed(databases) == []
    assert sql(databases, "SELECT count(DISTINCT (search_hash, model_id)) FROM prediction.run") == [(3,)]
    assert run_row(databases, first.run().run_id)["sweep"]
    touch(databases, 1)
    assert run_row(databases, first.run().run_id)["window_start"] is not None


def test_open_and_held_runs_stay_however_old(databases: Databases) -> None:
    create_messages(databases, ["one"])
    pipeline = Pipeline(databases)
    for state in ("held", "planned"):
        run_id = pipeline.plan().run_id
        sql(databases, "UPDATE prediction.run SET state = :s, finished_at = created_at - interval '1 year' "
                       "WHERE run_id = :r", s=state, r=run_id)  # fmt: skip
        assert removed(databases) == []
        sql(databases, "UPDATE prediction.run SET state = 'failed', finished_at = now() WHERE run_id = :r", r=run_id)


def test_quarantine_goes_when_it_is_resolved_and_its_run_stays_until_then(databases: Databases) -> None:
    create_messages(databases, ["bad", "fine"])
    pipeline = Pipeline(databases, predictor=Digest(lambda text: text.startswith("bad")))
    first = pipeline.run().run_id
    sql(databases, "INSERT INTO message (text) VALUES ('another')")
    pipeline.run()
    age(databases)
    assert removed(databases) == []
    assert runs(databases)[0] == first

    sql(databases, "UPDATE message SET text = 'good' WHERE id = 1")
    pipeline.run()
    assert removed(databases) == ["job intent: 2 runs, 0 reports, 0 resolved entries of quarantine"]
    assert sql(databases, "SELECT state FROM prediction.quarantine") == [("resolved",)]
    age(databases, 100, "false")
    assert removed(databases) == ["job intent: 0 runs, 0 reports, 1 resolved entries of quarantine"]
    assert_current(databases)


def test_more_runs_than_one_transaction_takes(databases: Databases) -> None:
    create_messages(databases, ["one"])
    Pipeline(databases).run()
    sql(databases, "INSERT INTO prediction.run (job, orchestrator, external_id, state, model_id, definition, request, "
                   "source_time, finished_at) SELECT job, 'x', n::text, 'failed', model_id, definition, request, "
                   "source_time, now() FROM prediction.run, generate_series(1, :n) n", n=AT_ONCE + 5)  # fmt: skip
    age(databases)

    assert removed(databases) == [f"job intent: {AT_ONCE + 4} runs, 0 reports, 0 resolved entries of quarantine"]
    assert len(runs(databases)) == 2


def test_counters_of_prometheus_do_not_fall_also_across_a_restart(databases: Databases) -> None:
    create_messages(databases, ["one"])
    pipeline = Pipeline(databases, predictor=Digest(lambda text: True), a_job=job(checks__min_quarantine_rows=1))
    for _ in range(4):
        with pytest.raises(CheckFailed):
            pipeline.run()
    before = exported(metrics.Exporter(databases))
    assert 'batch_prediction_runs_total{job="intent",state="failed"} 4.0' in before
    running = metrics.Exporter(databases)
    running.answer("")
    age(databases)

    assert removed(databases) == ["job intent: 3 runs, 0 reports, 0 resolved entries of quarantine"]

    assert exported(running) == exported(metrics.Exporter(databases)) == before
    with pytest.raises(CheckFailed):
        pipeline.run()
    for exporter in (running, metrics.Exporter(databases)):
        assert 'batch_prediction_runs_total{job="intent",state="failed"} 5.0' in exported(exporter)


def exported(exporter: metrics.Exporter) -> list[str]:
    return [line for line in exporter.answer("")[2].decode().splitlines() if line.startswith("batch_prediction_runs")]


def test_reports_in_mlflow_go_with_their_runs(databases: Databases, mlflow_server: MlflowServer) -> None:
    create_messages(databases, ["one"])
    pipeline, registry = Pipeline(databases), Registry(mlflow_server.url)
    reports = []
    for _ in range(3):
        touch(databases, 1)
        run_id = pipeline.run().run_id
        reports.append(mlflow_run.log(registry, "prune", f"run {run_id}", {}, {}, {}))
        sql(databases, "UPDATE prediction.run SET report = :id WHERE run_id = :run", id=reports[-1], run=run_id)
    age(databases)
    registry.call("POST", "runs/delete", run_id=reports[0])  # by somebody else

    with pytest.raises(Unavailable):
        removed(databases, Registry("http://127.0.0.1:1"))
    assert len(runs(databases)) == 3
    assert removed(databases, registry) == ["job intent: 2 runs, 2 reports, 0 resolved entries of quarantine"]

    def stage(run_id: str) -> Any:
        return registry.call("GET", "runs/get", run_id=run_id)["run"]["info"]["lifecycle_stage"]

    assert [stage(run_id) for run_id in reports] == ["deleted", "deleted", "active"]


def test_the_planner_may_prune(postgres: Postgres) -> None:
    postgres.create_database("test_prune")
    by_role = roles.company(postgres, "test_prune")
    create_messages(by_role["admin"], ["one"])
    sql(by_role["admin"], "GRANT SELECT ON message TO prediction_predictor")
    pipeline = Pipeline(by_role["planner"])
    plan.prepare(by_role["owner"], pipeline.job, pipeline.model)
    for _ in range(3):
        pipeline.run()
    age(by_role["admin"])

    assert removed(by_role["planner"]) == ["job intent: 1 runs, 0 reports, 0 resolved entries of quarantine"]
    postgres.drop_database("test_prune")
