"""A published run in a real MLflow; and MLflow's absence, which must not harm it."""

from __future__ import annotations

import logging
import socket

import pytest

from inference import pipeline
from inference.base.database import Databases
from inference.errors import ModelError
from inference.models.mlflow_rest import Registry
from inference.publishing import report
from services.mlflow_server import MlflowServer
from tests.stub import Digest, Pipeline, create_messages, job, run_row, sql


@pytest.fixture
def closed() -> str:
    """The address of a port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def logged(registry: Registry, mlflow_run: str) -> tuple[dict[str, str], dict[str, float], dict[str, str], str]:
    """Parameters, metrics, tags and state of an MLflow run."""
    run = registry.call("GET", "runs/get", run_id=mlflow_run)["run"]
    data = run["data"]
    return (
        {item["key"]: item["value"] for item in data["params"]},
        {item["key"]: item["value"] for item in data["metrics"]},
        {item["key"]: item["value"] for item in data["tags"]},
        run["info"]["status"],
    )


def test_a_published_run_is_reported_with_its_parameters_and_counts(
    databases: Databases, mlflow_server: MlflowServer
) -> None:
    registry = Registry(mlflow_server.url)
    texts = [f"message {number}" for number in range(300)] + ["message 7", "bad"]
    create_messages(databases, texts)
    stub = Pipeline(databases, job(sizes__shard_rows=200), Digest(lambda text: text == "bad"))
    planned = stub.run()
    row = run_row(databases, planned.run_id)
    ((calls, memory),) = sql(databases, "SELECT sum(calls)::int, max(peak_memory) FROM prediction.shard")

    mlflow_run = report.report(databases, planned.run_id, lambda: registry)

    assert mlflow_run is not None
    parameters, metrics, tags, status = logged(registry, mlflow_run)
    assert parameters == {
        "run_id": str(planned.run_id), "mode": "pending", "model": "intent", "version": "1", "digest": "digest-1",
        "sweep": "True", "shards": "2", "orchestrator": "airflow", "external_id": row["external_id"],
    }  # fmt: skip
    timings = row["timings"]
    assert set(timings) == {"plan", "predict", "check", "publish"}
    assert metrics == {
        "planned": 302, "predicted": 300, "reused": 1, "quarantined": 1, "vanished": 0, "deferred": 0,
        "changed_at_read": 0, "deleted": 0, "calls": calls, "peak_memory_bytes": memory,
        **{f"seconds_{stage}": seconds for stage, seconds in timings.items()},
        "rows_per_second": 300 / timings["predict"],
    }  # fmt: skip
    assert calls > 4
    assert memory > 10_000_000
    link = f"[models:/intent/1]({mlflow_server.url}/#/models/intent/versions/1)"
    assert (tags["mlflow.note.content"], tags["model_version"]) == (f"{link}: {row['message']}", "models:/intent/1")
    assert tags["mlflow.runName"] == f"run {planned.run_id}"
    assert status == "FINISHED"


def test_each_run_of_a_job_is_one_run_of_the_jobs_experiment(databases: Databases, mlflow_server: MlflowServer) -> None:
    registry = Registry(mlflow_server.url)
    create_messages(databases, ["a"])
    stub = Pipeline(databases, job(name="daily"))
    first = stub.run()
    sql(databases, "INSERT INTO message (text) VALUES ('b')")
    second = stub.run()

    reported = [report.report(databases, run.run_id, lambda: registry) for run in (first, second)]
    again = [report.report(databases, run.run_id, lambda: registry) for run in (first, second)]

    experiment = registry.call("GET", "experiments/get-by-name", experiment_name="predictions/daily")["experiment"]
    found = registry.call("POST", "runs/search", experiment_ids=[experiment["experiment_id"]])["runs"]
    assert sorted(run["info"]["run_id"] for run in found) == sorted(map(str, reported))
    assert again == reported


def test_a_run_that_is_not_published_is_not_reported(databases: Databases, mlflow_server: MlflowServer) -> None:
    registry = Registry(mlflow_server.url)
    create_messages(databases, ["a"])
    stub = Pipeline(databases, job(name="unseen"))
    held = stub.plan(publish="hold")
    stub.predict(held)
    assert stub.finish(held) == "held"

    assert report.report(databases, held.run_id, lambda: registry) is None

    with pytest.raises(ModelError, match="predictions/unseen"):
        registry.call("GET", "experiments/get-by-name", experiment_name="predictions/unseen")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_without_mlflow_a_published_run_stays_green_with_one_warning(
    databases: Databases, closed: str, caplog: pytest.LogCaptureFixture
) -> None:
    create_messages(databases, ["a"])
    planned = Pipeline(databases).run()
    before = run_row(databases, planned.run_id)

    assert report.report(databases, planned.run_id, lambda: Registry(closed)) is None

    assert warnings(caplog) == [
        f"run {planned.run_id} is published, but not reported to MLflow: MLflow at {closed} does not answer: "
        "[Errno 111] Connection refused. Is the server up, and is MLFLOW_TRACKING_URI right?"
    ]
    assert run_row(databases, planned.run_id) == {**before, "report": ""}


def test_without_an_address_of_mlflow_a_published_run_stays_green(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    create_messages(databases, ["a"])
    planned = Pipeline(databases).run()

    pipeline.report(databases, planned.run_id)

    assert warnings(caplog) == [
        f"run {planned.run_id} is published, but not reported to MLflow: MLFLOW_TRACKING_URI: '' is no address of an "
        "MLflow server; set http://host:port"
    ]
