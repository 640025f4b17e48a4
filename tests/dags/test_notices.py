"""What notifiers are told: each event of a run, as a receiver of the webhook gets it."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowSkipException

from batch_prediction import notices, tasks, webhook
from dags import predictions
from inference import pipeline
from inference.base.database import Databases
from inference.errors import CheckFailed, RunHeld, Unavailable
from inference.jobs.job import Job
from inference.models import model_version
from inference.shard import shard
from tests.dags.receiver import SECRET, Receiver
from tests.stub import Digest, create_messages, job, register, run_row, sql

WEBHOOK = {"notifier": "batch_prediction.webhook.WebhookNotifier", "arguments": {"url_connection": "alarm"}}
LINK = "http://airflow.example/dags/intent/runs/1/tasks/"


class TaskInstance(SimpleNamespace):
    """A task instance with its XComs."""

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed = {key: value}

    def xcom_pull(self, task_ids: str, key: str) -> Any:
        return getattr(self, "pushed", {}).get(key)


class Airflow:
    """One DAG run, without Airflow's services."""

    def __init__(self) -> None:
        self.ti = TaskInstance(dag_id="intent")
        self.run_id = "manual__1"
        self.conf: dict[str, Any] = {}

    def context(self, task_id: str) -> dict[str, Any]:
        self.ti.task_id, self.ti.log_url = task_id, LINK + task_id
        return {"dag_run": SimpleNamespace(run_id=self.run_id, conf=self.conf), "ti": self.ti}

    @property
    def run(self) -> int:
        return int(self.ti.pushed["run"])

    def task(self, name: str, a_job: Job, *arguments: Any) -> Any:
        """Run a body as its task; what fails goes through the callbacks that the DAG gives Airflow."""
        context = self.context(name)
        tasks.get_current_context = lambda: context  # type: ignore[assignment]
        try:
            return getattr(tasks, name)(a_job, *arguments)
        except AirflowSkipException:
            return None
        except Exception as error:
            self.fail(name, a_job, {**context, "exception": error})
            raise

    def fail(self, name: str, a_job: Job, context: dict[str, Any]) -> None:
        """One context for all callbacks of the DAG's task, as Airflow has it."""
        for callback in predictions.make(a_job).get_task(name).on_failure_callback:
            with suppress(Unavailable):  # Airflow logs it, and goes on
                callback(context)

    def score(self, a_job: Job) -> int:
        for shard_of_run in self.task("plan", a_job):
            tasks.predict(a_job, **shard_of_run)
        return self.run


@pytest.fixture
def airflow(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Airflow:
    """Airflow's answers, the registry's, and a model of this process that cannot score texts with "bad"."""

    def score(databases: Databases, _: Any, a_job: Job, a_model: Any, run: int, generation: int, number: int) -> None:
        shard.run(databases, run, generation, number, lambda work: Digest(lambda text: "bad" in text))

    known = register(databases)
    monkeypatch.setenv("AIRFLOW_CONN_PREDICTIONS", databases.url("predictions").render_as_string(False))
    monkeypatch.setattr(model_version, "resolve", lambda *_: known)
    monkeypatch.setattr(pipeline, "Registry", lambda *_: None)
    monkeypatch.setitem(pipeline.runner.RUNNERS, "venv", pipeline.runner.Runner(score))
    monkeypatch.setattr(tasks, "get_current_context", None)  # given back at the end
    return Airflow()


def watched(**changes: Any) -> Job:
    """A job that tells the webhook everything."""
    notify = {f"on_{event}": [WEBHOOK] for event in ("failure", "held", "quarantine", "stale")}
    return job(notify={**notify, "max_quarantine_rate": 0.1, "max_age": "1h"}, source__cursor="updated_at", **changes)


def counted(**counts: int) -> dict[str, int]:
    return {name: counts.get(name, 0) for name in notices.COUNTS}


def test_a_task_that_fails_for_good(airflow: Airflow, databases: Databases, receiver: Receiver) -> None:
    create_messages(databases, ["a", "b", "c"])
    a_job = watched(checks={"outputs": {"length": {"max": 0}}})
    run = airflow.score(a_job)

    with pytest.raises(CheckFailed):
        airflow.task("check", a_job, run)

    said = "outputs: length: 3 values are too large; allowed: <= 0"
    assert receiver.posts == [
        {"event": "failure", "job": "intent", "run": run, "state": "failed", "message": f"task check failed: {said}",
         "counts": counted(pending=3, planned=3, predicted=3), "link": f"{LINK}check"}
    ]  # fmt: skip
    ((path, headers),) = receiver.requests
    assert (path, headers["Content-Type"]) == (f"/services/{SECRET}", "application/json")


def test_a_task_that_fails_while_the_database_is_away(
    airflow: Airflow, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PREDICTIONS", "postgresql://boss:geheim@127.0.0.1:1/company")
    context = {**airflow.context("predict"), "exception": ConnectionError("gone")}

    airflow.fail("predict", watched(), context)

    assert receiver.posts == [
        {"event": "failure", "job": "intent", "run": None, "state": None, "message": "task predict failed: gone",
         "counts": {}, "link": f"{LINK}predict"}
    ]  # fmt: skip


def test_a_failure_that_was_not_recorded_at_all(airflow: Airflow, receiver: Receiver) -> None:
    webhook.WebhookNotifier("alarm")(airflow.context("publish"))

    assert receiver.posts == [
        {"event": "failure", "job": "intent", "run": None, "state": None, "message": "task publish failed",
         "counts": {}, "link": f"{LINK}publish"}
    ]  # fmt: skip


def test_a_run_that_was_asked_to_wait(airflow: Airflow, databases: Databases, receiver: Receiver) -> None:
    create_messages(databases, ["a", "b"])
    airflow.conf = {"publish": "hold"}
    run = airflow.score(watched())

    airflow.task("check", watched(), run)

    assert receiver.posts == [
        {"event": "held", "job": "intent", "run": run, "state": "held",
         "message": "2 rows in 1 shards by intent version 1; predicted 2",
         "counts": counted(pending=2, planned=2, predicted=2), "link": f"{LINK}check"}
    ]  # fmt: skip
    airflow.run_id = "manual__2"  # the next one finds it waiting, and is silent
    airflow.task("plan", watched())
    airflow.task("check", watched(), airflow.run)
    assert len(receiver.posts) == 1


def test_a_plan_above_the_limit_is_held_and_a_failed_task(
    airflow: Airflow, databases: Databases, receiver: Receiver
) -> None:
    create_messages(databases, ["a", "b", "c"])

    with pytest.raises(RunHeld) as held:
        airflow.task("plan", watched(max_planned_rows=2))

    ((run,),) = sql(databases, "SELECT run_id FROM prediction.run")
    common = {"job": "intent", "run": run, "state": "held", "counts": counted(pending=3, planned=3),
              "link": f"{LINK}plan"}  # fmt: skip
    assert receiver.posts == [
        {"event": "held", "message": str(held.value), **common},
        {"event": "failure", "message": f"task plan failed: {held.value}", **common},
    ]


@pytest.mark.parametrize(("bad", "told"), [(2, True), (1, False)])
def test_quarantine_above_the_share_of_a_published_run(
    airflow: Airflow, databases: Databases, receiver: Receiver, bad: int, told: bool
) -> None:
    create_messages(databases, [f"bad {number}" if number < bad else f"fine {number}" for number in range(10)])
    a_job = watched()
    run = airflow.score(a_job)
    airflow.task("check", a_job, run)
    assert receiver.posts == []

    airflow.task("publish", a_job, run)

    assert run_row(databases, run)["state"] == "published"
    expected = {
        "event": "quarantine", "job": "intent", "run": run, "state": "published",
        "message": "2 of 10 rows (20.00%) are in quarantine: more than notify.max_quarantine_rate 10.00%",
        "counts": counted(pending=10, planned=10, predicted=8, quarantined=2), "link": f"{LINK}publish",
    }  # fmt: skip
    assert receiver.posts == ([expected] if told else [])


def test_rows_that_wait_too_long(airflow: Airflow, databases: Databases, receiver: Receiver) -> None:
    create_messages(databases, ["a", "b"])
    sql(databases, "UPDATE message SET updated_at = '2026-01-02 03:04:05Z' WHERE id = 1")

    airflow.task("plan", watched())

    assert receiver.posts == [
        {"event": "stale", "job": "intent", "run": airflow.run, "state": "planned",
         "message": "the oldest row without a prediction is from 2026-01-02T03:04:05+00:00: older than max_age 1h",
         "counts": counted(pending=2, planned=2), "link": f"{LINK}plan"}
    ]  # fmt: skip


def test_a_task_whose_webhook_fails_goes_on(
    airflow: Airflow, databases: Databases, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    create_messages(databases, ["bad", "b"])
    sql(databases, "UPDATE message SET updated_at = '2026-01-02Z'")
    receiver.answers = [500] * 100

    run = airflow.score(watched())
    airflow.task("check", watched(), run)
    airflow.task("publish", watched(), run)

    assert run_row(databases, run)["state"] == "published"
    assert (len(receiver.requests), receiver.posts) == (6, [])  # stale and quarantine, three times each
    assert SECRET not in caplog.text


def test_the_job_file_of_the_handbook_is_right_and_gives_a_dag(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    text = (root / "docs" / "operations.md").read_text()
    section = text.partition("## Being told")[2].partition("\n## ")[0]
    shown = yaml.safe_load(section.partition("```yaml\n")[2].partition("```")[0])
    content = yaml.safe_load((root / "dags" / "jobs" / "intent.yaml").read_text())
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "intent.yaml").write_text(yaml.safe_dump({**content, **shown}))
    for name in ("predictions.py", "job_files.py"):
        (tmp_path / name).write_text((root / "dags" / name).read_text())

    bag = DagBag(str(tmp_path))

    assert (bag.import_errors, list(bag.dags)) == ({}, ["intent"])
    event = json.loads(section.partition("```json\n")[2].partition("```")[0])
    assert list(event) == list(notices.Event.__dataclass_fields__)
    assert list(event["counts"]) == list(notices.COUNTS)
