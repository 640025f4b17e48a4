"""The main road, through a real scheduler: scheduled runs, triggered runs, faults on the way.

The tests build on one another's data, in the order of this file.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import mlflow
import pandas as pd
import psutil
import pytest

from tests.e2e.conftest import NEVER, World
from tests.e2e.messages import messages
from tests.stub import predictions, present_hashes, run_row, sql

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, on its import


def await_true(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.1)
    return found


def last_run(world: World, job: str) -> dict[str, Any]:
    ((number,),) = sql(world.databases, "SELECT max(run_id) FROM prediction.run WHERE job = :job", job=job)
    return dict(run_row(world.databases, number))


def visible(world: World, job: str) -> dict[int, str]:
    """What people see of each row: the hash of the input that its prediction was made from."""
    return {key: str(row["input_hash"]) for key, row in predictions(world.databases, f"prediction.{job}").items()}


def wrong(world: World, job: str) -> set[tuple[int, str]]:
    """Rows whose prediction is missing, left over, or made from another input than the present one."""
    present = present_hashes(world.databases, {"inputs": ["text"]})
    return set(visible(world, job).items()) ^ {(key, str(value)) for key, value in present.items()}


def shard_process() -> psutil.Process | None:
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] and process.info["cmdline"][1:4] == ["-m", "prediction_runtime", "shard"]:
            return process
    return None


def test_a_scheduled_run_predicts_every_row_with_the_registered_model(world: World) -> None:
    def done() -> bool:
        runs = world.api.runs("intent")
        return any(run["run_type"] == "scheduled" and run["state"] == "success" for run in runs)

    world.api.unpause("intent")
    await_true(done, 150, "a scheduled run of intent")
    world.schedule("intent", NEVER)

    found = predictions(world.databases)
    assert wrong(world, "intent") == set()
    assert {(row["model_name"], row["model_version"]) for row in found.values()} == {("intent", "1")}
    assert len({row["run_id"] for row in found.values()}) == 1
    mlflow.set_tracking_uri(world.mlflow.url)
    model = mlflow.pyfunc.load_model("models:/intent@champion")
    expected = model.predict(pd.DataFrame({"text": messages()}))
    ordered = [found[number] for number in range(1, len(found) + 1)]
    assert [row["intent"] for row in ordered] == expected["intent"].tolist()
    assert [row["confidence"] for row in ordered] == pytest.approx(expected["confidence"].tolist(), abs=1e-5)


def test_publish_is_an_asset_event_and_the_report_is_a_run_in_mlflow(world: World) -> None:
    events = world.api.call("GET", "/assets/events")["asset_events"]
    assert "prediction.intent" in {event["name"] for event in events}

    (found,) = mlflow.search_runs(experiment_names=["predictions/intent"]).to_dict("records")
    rows = len(messages())
    assert (found["params.model"], found["params.version"], found["metrics.planned"]) == ("intent", "1", rows)
    assert found["metrics.predicted"] + found["metrics.reused"] == rows
    assert found["metrics.rows_per_second"] > 0
    assert found["metrics.peak_memory_bytes"] > 0
    assert "models:/intent/1" in found["tags.mlflow.note.content"]


def test_nothing_pending_ends_as_empty_with_its_shards_skipped(world: World) -> None:
    run, state = world.run_dag("intent")

    assert state == "success"
    assert world.tasks("intent", run) == {
        "plan": ["success"], "predict": ["skipped"], "check": ["skipped"], "publish": ["skipped"], "report": ["skipped"]
    }  # fmt: skip
    assert last_run(world, "intent")["state"] == "empty"


def test_only_what_changed_is_scored(world: World) -> None:
    sql(world.databases, "UPDATE message SET text = text || '!', updated_at = now() WHERE id <= 100")
    sql(world.databases, "INSERT INTO message (text) SELECT 'new message ' || n FROM generate_series(1, 50) n")
    assert world.run_dag("intent")[1] == "success"
    assert last_run(world, "intent")["planned"] == 150
    assert wrong(world, "intent") == set()

    sql(world.databases, "UPDATE message SET channel = 'mail', updated_at = now()")
    assert world.run_dag("intent")[1] == "success"
    assert (last_run(world, "intent")["planned"], last_run(world, "intent")["state"]) == (0, "empty")


def test_a_run_with_parameters_is_held_and_then_released(world: World) -> None:
    before = visible(world, "intent")
    sql(world.databases, "UPDATE message SET text = text || '?', updated_at = now() WHERE id <= 30")
    run, state = world.run_dag("intent", publish="hold", row_limit=20)
    held = last_run(world, "intent")
    assert (state, held["state"], held["planned"]) == ("success", "held", 20)
    assert world.tasks("intent", run)["publish"] == ["skipped"]
    assert set(visible(world, "intent").items()) == set(before.items())

    _, state = world.run_dag("intent")
    blocked = last_run(world, "intent")
    assert (state, blocked["state"]) == ("success", "empty")
    assert f"run {held['run_id']} is held" in blocked["message"]

    released = world.command("release", str(held["run_id"]))
    assert released.returncode == 0, released.stderr
    assert len(set(visible(world, "intent").items()) - set(before.items())) == 20
    assert world.run_dag("intent")[1] == "success"
    assert last_run(world, "intent")["planned"] == 10
    assert wrong(world, "intent") == set()


def test_wrong_parameters_are_refused_with_field_and_value(world: World) -> None:
    before = last_run(world, "intent")["run_id"]
    run, state = world.run_dag("intent", rows=3, mode="pending")
    log = world.api.log("intent", run, "plan")

    assert state == "failed"
    assert "rows: is no parameter" in log
    assert len(world.tasks("intent", run)["plan"]) == 1
    assert last_run(world, "intent")["run_id"] == before


def test_a_dry_run_shows_samples_and_writes_nothing(world: World) -> None:
    before = visible(world, "intent")
    sql(world.databases, "UPDATE message SET text = text || '.', updated_at = now() WHERE id <= 500")
    run, state = world.run_dag("intent", dry_run=True)

    log = world.api.log("intent", run, "check")
    assert (state, last_run(world, "intent")["state"]) == ("success", "empty")
    assert "500 rows are pending" in last_run(world, "intent")["message"]
    assert log.count("sample: ") == 10
    assert "'intent': " in log
    assert set(visible(world, "intent").items()) == set(before.items())


def test_the_command_line_does_the_same_as_the_dag(world: World) -> None:
    done = world.command("run", "intent", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["state"] == "published"
    assert last_run(world, "intent")["planned"] == 500
    assert wrong(world, "intent") == set()

    status = world.command("status", "intent", "--json")
    (job,) = json.loads(status.stdout)["jobs"]
    assert (job["pending"], job["model_version"], job["quarantined"]) == (0, "1", 0)


def test_a_shard_that_is_killed_goes_on_from_its_last_chunk_in_the_models_own_environment(world: World) -> None:
    run = world.api.trigger("keyword", {"mode": "key_range", "key_from": "1"})
    started = (
        "SELECT max(s.cursor) FROM prediction.shard s JOIN prediction.run r USING (run_id) "
        "WHERE r.job = 'keyword' AND r.state = 'predicting'"
    )
    await_true(lambda: (sql(world.databases, started)[0][0] or 0) > 0, 120, "a chunk of keyword")
    process = shard_process()
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)

    assert world.api.wait("keyword", run, 120) == "success"
    (attempts,) = sql(
        world.databases,
        "SELECT attempt FROM prediction.shard WHERE run_id = :run",
        run=last_run(world, "keyword")["run_id"],
    )
    assert attempts[0] >= 2
    found = predictions(world.databases, "prediction.keyword")
    assert wrong(world, "keyword") == set()
    assert all(len(row["keywords"]) == len(row["scores"]) for row in found.values())
    frameworks = sql(world.databases, "SELECT requirements FROM prediction.model WHERE name IN ('intent', 'keyword')")
    assert len({line for (lines,) in frameworks for line in lines if line.startswith("numpy==")}) == 2


def test_a_cancelled_run_leaves_no_process_and_the_next_one_goes_on(world: World) -> None:
    sql(world.databases, "UPDATE message SET text = text || '~', updated_at = now()")
    run = world.api.trigger("keyword")
    process = await_true(shard_process, 60, "a shard of keyword")
    world.api.call("PATCH", f"/dags/keyword/dagRuns/{run}", {"state": "failed"})
    await_true(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, 30, "the end of the shard")

    assert world.run_dag("keyword")[1] == "success"
    assert wrong(world, "keyword") == set()
    states = sql(world.databases, "SELECT state FROM prediction.run WHERE job = 'keyword' ORDER BY run_id DESC LIMIT 2")
    assert [state for (state,) in states] == ["published", "superseded"]


def test_clearing_a_published_run_is_a_no_op_that_says_so(world: World) -> None:
    run, _ = world.run_dag("keyword", mode="key_range", key_to="5")
    published = last_run(world, "keyword")
    before = predictions(world.databases, "prediction.keyword")
    events = world.api.call("GET", "/assets/events")["total_entries"]
    says = {
        "predict": "is published already: nothing to do",
        "report": "is reported already",
        "publish": "is published already: nothing to publish",
        "plan": "is published already: nothing to do",
    }
    for task, words in says.items():
        world.api.clear("keyword", run, [task])
        assert world.api.wait("keyword", run, 60) == "success"
        index = 0 if task == "predict" else -1
        assert f"run {published['run_id']} {words}" in world.api.log("keyword", run, task, 2, index)
    assert str(predictions(world.databases, "prediction.keyword")) == str(before)
    assert last_run(world, "keyword") == published
    assert world.api.call("GET", "/assets/events")["total_entries"] == events


def test_a_run_by_the_dag_ends_as_empty_while_the_command_line_is_at_work(world: World) -> None:
    sql(world.databases, "UPDATE message SET text = text || '1', updated_at = now() WHERE id <= 10")
    planned = world.command("plan", "intent", "--json")
    assert planned.returncode == 0, planned.stderr
    number = json.loads(planned.stdout)[0]["run_id"]

    assert world.run_dag("intent")[1] == "success"
    ended = last_run(world, "intent")
    assert (ended["state"], ended["planned"]) == ("empty", 0)
    assert f"run {number} (command line on " in ended["message"]
    assert "is at work" in ended["message"]


def test_mlflow_that_is_down_fails_plan_at_once_with_its_address(world: World) -> None:
    world.mlflow.stop()
    try:
        run, state = world.run_dag("keyword")
    finally:
        world.mlflow.start()
        world.mlflow.wait_healthy()

    assert state == "failed"
    assert f"MLflow at {world.mlflow.url} does not answer" in world.api.log("keyword", run, "plan", 1)


def test_the_password_is_in_no_log_no_rendered_field_and_no_xcom(world: World) -> None:
    secret = (world.postgres.folder / "password").read_text().strip()
    assert secret in world.env["AIRFLOW_CONN_PREDICTIONS"]
    logs = [path for path in (world.folder / "airflow").rglob("*.log") if path.is_file()]
    assert len(logs) > 20
    assert [path for path in logs if secret in path.read_text(errors="replace")] == []
    for run in world.api.runs("intent"):
        for item in world.api.task_instances("intent", run["dag_run_id"]):
            assert secret not in json.dumps(item)
    with_secret = "SELECT count(*) FROM {table} t WHERE t::text LIKE '%' || :secret || '%'"
    airflow = type(world.databases)({"airflow": world.postgres.libpq_url("airflow")})
    for table in ("xcom", "rendered_task_instance_fields", "log", "task_instance", "serialized_dag"):
        query = with_secret.replace("{table}", table)
        assert sql(airflow, query, "airflow", secret=secret) == [(0,)]
