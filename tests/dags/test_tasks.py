"""The tasks' bodies, called as functions: what they ask of Airflow, and what they tell it."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import BaseNotifier, Connection
from airflow.sdk.exceptions import AirflowSkipException
from pydantic import ValidationError

from batch_prediction import notices, tasks
from inference import pipeline
from inference.base.database import Databases
from inference.errors import CheckFailed, PermanentError, RequestError, RunHeld, TakenOver
from inference.jobs.job import Job
from inference.models import model_version
from inference.shard import shard
from tests.stub import Digest, assert_current, create_messages, job, predictions, register, run_row, sql

ROOT = Path(__file__).parents[2]


class Recorder(BaseNotifier):
    """Keeps what it was told."""

    told: ClassVar[list[tuple[str, Any]]] = []

    def __init__(self, channel: str) -> None:
        super().__init__()
        self.channel = channel

    def notify(self, context: Any) -> None:
        if self.channel == "broken":
            raise ConnectionError("no such channel")
        self.told.append((self.channel, context["dag_run"].run_id))


class TaskInstance:
    """The XComs of task `plan`."""

    def __init__(self, task_id: str = "plan") -> None:
        self.task_id = task_id
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value

    def xcom_pull(self, task_ids: str, key: str) -> Any:
        assert task_ids == "plan"
        return self.pushed.get(key)


class Airflow:
    """One DAG run after the other, without Airflow's services."""

    def __init__(self, databases: Databases) -> None:
        self.databases = databases
        self.context: dict[str, Any] = {}
        self.runs = 0

    def trigger(self, **conf: Any) -> Airflow:
        self.runs += 1
        run = SimpleNamespace(run_id=f"manual__{self.runs}", conf=conf or None)
        self.context = {"dag_run": run, "ti": TaskInstance()}
        return self

    @property
    def run(self) -> int:
        return int(self.context["ti"].pushed["run"])

    def plan(self, a_job: Job) -> list[dict[str, Any]]:
        return tasks.plan(a_job)

    def score(self, a_job: Job) -> int:
        """Plan and predict; the run's number."""
        for arguments in self.plan(a_job):
            tasks.predict(a_job, **arguments)
        return self.run

    def fail(self, a_job: Job, error: Exception, task_id: str = "predict") -> None:
        """What Airflow does after the last retry."""
        self.context["ti"].task_id = task_id
        tasks.record_failure(a_job, {**self.context, "exception": error})


@pytest.fixture
def airflow(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Airflow:
    """Airflow's answers, the registry's, and a model of this process in place of the runner's."""

    def score(databases: Databases, registry: Any, a_job: Job, a_model: Any, run: int, generation: int, n: int) -> None:
        assert a_model == known
        shard.run(databases, run, generation, n, lambda work: Digest())

    airflow, known = Airflow(databases), register(databases)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("AIRFLOW_CONN_PREDICTIONS", databases.url("predictions").render_as_string(False))
    monkeypatch.setattr(tasks, "get_current_context", lambda: airflow.context)
    monkeypatch.setattr(model_version, "resolve", lambda *_: known)
    monkeypatch.setitem(pipeline.runner.RUNNERS, "venv", pipeline.runner.Runner(score))
    return airflow


def messages(databases: Databases, count: int = 250) -> None:
    create_messages(databases, [f"message {number}" for number in range(count)])


def test_the_bodies_in_their_order_publish_a_prediction_for_each_row(airflow: Airflow, databases: Databases) -> None:
    messages(databases)
    a_job = job(sizes__shard_rows=100)

    shards = airflow.trigger().plan(a_job)

    run = airflow.run
    assert shards == [{"run": run, "generation": 1, "shard": number} for number in (1, 2, 3)]
    row = run_row(databases, run)
    assert (row["orchestrator"], row["external_id"], row["state"]) == ("airflow", "manual__1", "planned")
    for arguments in json.loads(json.dumps(shards)):  # as XCom hands them on
        tasks.predict(a_job, **arguments)
    tasks.check(a_job, run)
    assert predictions(databases) == {}
    tasks.publish(a_job, run)
    assert_current(databases)
    assert run_row(databases, run)["state"] == "published"


def test_a_connection_of_airflow_is_asked_for_by_the_jobs_names(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = {"conn_type": "postgres", "login": "a@b", "password": "x/y:z", "host": "shop.example", "schema": "shop",
            "port": 5433, "extra": {"sslmode": "require", "nested": {"a": 1}}}  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_PREDICTIONS", "postgres://me:p%40ss@db.example/company")
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps(shop))

    found = tasks.databases(job(source__connection="shop"))

    predictions, source = found.url("predictions"), found.url("shop")
    assert (predictions.host, predictions.username, predictions.password) == ("db.example", "me", "p@ss")
    assert (source.host, source.port, source.database, source.username, source.password) == (
        "shop.example", 5433, "shop", "a@b", "x/y:z"
    )  # fmt: skip
    assert {url.drivername for url in (predictions, source)} == {"postgresql+psycopg2"}
    assert source.query == {"sslmode": "require"}


@pytest.mark.parametrize("shared", [False, True])
def test_shards_get_the_connection_of_their_own_role_if_airflow_has_one(
    monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PREDICTIONS", "postgres://planner:p@db.example/company")
    if not shared:
        monkeypatch.setattr(tasks, "Connection", Known(predictions_shard="postgres://predictor:q@db.example/company"))

    found = tasks.databases(job())

    expected = "planner:p" if shared else "predictor:q"
    assert found.environment("predictions") == {
        "AIRFLOW_CONN_PREDICTIONS": f"postgresql+psycopg2://{expected}@db.example/company"
    }
    assert found.url("predictions").username == "planner"


class Known:
    """Airflow's connections: those of the environment, and some that only Airflow knows."""

    def __init__(self, **urls: str) -> None:
        self.urls = urls

    def get(self, name: str) -> Connection:
        return Connection.from_uri(self.urls[name], conn_id=name) if name in self.urls else Connection.get(name)


def test_airflow_is_told_neither_a_row_nor_a_password_of_a_run_that_fails(
    airflow: Airflow, databases: Databases, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def score(databases: Databases, registry: Any, a_job: Job, a_model: Any, run: int, generation: int, n: int) -> None:
        shard.run(databases, run, generation, n, lambda work: Digest(lambda text: True))

    caplog.set_level("DEBUG")
    create_messages(databases, [f"Jane Planted {number}" for number in range(50)])
    monkeypatch.setitem(pipeline.runner.RUNNERS, "venv", pipeline.runner.Runner(score))
    recorder = {"notifier": f"{__name__}.Witness", "arguments": {"channel": "all"}}
    a_job = job(notify={"on_failure": [recorder]})

    run = airflow.trigger().score(a_job)
    with pytest.raises(CheckFailed) as raised:
        tasks.check(a_job, run)
    for callback in notices.callbacks(a_job.notify.on_failure):
        callback({**airflow.context, notices.EVENT: event_of(a_job, airflow, raised.value)})

    told = [*map(str, Witness.events), str(airflow.context["ti"].pushed), caplog.text, str(run_row(databases, run))]
    assert "50 of 50 rows" in told[0]
    secret = databases.url("predictions").password or ""
    assert [text for text in told if "Jane" in text or secret in text] == []


class Witness(Recorder):
    """Keeps the event."""

    events: ClassVar[list[Any]] = []

    def notify(self, context: Any) -> None:
        self.events.append(context[notices.EVENT])


def event_of(a_job: Job, airflow: Airflow, error: Exception) -> Any:
    """The event that `record_failure` leaves in the context for the notifiers."""
    context = {**airflow.context, "exception": error}
    tasks.record_failure(a_job, context)
    return context[notices.EVENT]


def test_where_nothing_is_pending_there_are_no_shards_and_the_rest_is_skipped(
    airflow: Airflow, databases: Databases
) -> None:
    messages(databases, 0)

    assert airflow.trigger().plan(job()) == []

    run = airflow.run
    said = f"run {run} is empty already: nothing to check; nothing is pending"
    with pytest.raises(AirflowSkipException, match=f"^{said}$"):
        tasks.check(job(), run)
    assert run_row(databases, run)["state"] == "empty"


def test_an_unknown_parameter_is_refused_with_those_that_there_are(airflow: Airflow, databases: Databases) -> None:
    messages(databases, 1)

    with pytest.raises(RequestError) as raised:
        airflow.trigger(limit=5, row_limit=0).plan(job())

    assert str(raised.value) == (
        "this run's parameters: 2 error(s)\n"
        "  row_limit: 0: Input should be greater than or equal to 1\n"
        "  limit: is no parameter; there are: mode, model, row_limit, key_from, key_to, dry_run, publish"
    )
    assert (airflow.context["ti"].pushed, sql(databases, "SELECT FROM prediction.run")) == ({}, [])


def test_parameters_reach_the_plan(airflow: Airflow, databases: Databases) -> None:
    messages(databases, 10)

    run = airflow.trigger(mode="key_range", key_from="3", key_to="8", row_limit=4).score(job())
    tasks.check(job(), run)
    tasks.publish(job(), run)

    assert sorted(predictions(databases)) == [3, 4, 5, 6]


def test_a_held_run_is_skipped_until_it_is_released(airflow: Airflow, databases: Databases) -> None:
    messages(databases, 3)
    run = airflow.trigger(publish="hold").score(job())

    for _ in range(2):  # a cleared task says the same
        with pytest.raises(AirflowSkipException, match="3 rows in 1 shards by intent version 1; predicted 3"):
            tasks.check(job(), run)

    assert (run_row(databases, run)["state"], predictions(databases)) == ("held", {})


def test_a_dry_run_is_skipped_with_its_count(airflow: Airflow, databases: Databases) -> None:
    messages(databases, 30)
    run = airflow.trigger(dry_run=True).score(job())

    with pytest.raises(AirflowSkipException, match=r"^dry run: 30 rows are pending, .* nothing written$"):
        tasks.check(job(), run)

    assert run_row(databases, run)["state"] == "empty"
    assert sql(databases, "SELECT to_regclass('prediction.intent')") == [(None,)]


def test_a_plan_above_the_limit_is_held_and_stays_so_when_its_task_fails(
    airflow: Airflow, databases: Databases
) -> None:
    messages(databases, 3)
    a_job = job(max_planned_rows=2)

    with pytest.raises(RunHeld, match="3 rows are pending, above max_planned_rows 2") as raised:
        airflow.trigger().plan(a_job)
    airflow.fail(a_job, raised.value, "plan")

    assert sql(databases, "SELECT state FROM prediction.run") == [("held",)]


def test_publish_twice_changes_nothing_the_second_time(
    airflow: Airflow, databases: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    messages(databases, 3)
    run = airflow.trigger().score(job())
    tasks.check(job(), run)
    tasks.publish(job(), run)
    before = run_row(databases, run), predictions(databases)
    caplog.set_level("INFO")

    tasks.publish(job(), run)

    assert (run_row(databases, run), predictions(databases)) == before
    message = "3 rows in 1 shards by intent version 1; predicted 3"
    assert caplog.messages[-1] == f"run {run} is published already: nothing to publish; {message}"


def test_a_cleared_plan_starts_the_same_run_over(airflow: Airflow, databases: Databases) -> None:
    messages(databases, 3)
    first = airflow.trigger().plan(job())

    second = airflow.plan(job())

    assert second == [{**first[0], "generation": 2}]
    with pytest.raises(TakenOver):
        tasks.predict(job(), **first[0])
    tasks.predict(job(), **second[0])
    tasks.check(job(), airflow.run)


def test_a_failed_task_ends_the_run_with_its_error_and_the_next_run_goes_on(
    airflow: Airflow, databases: Databases
) -> None:
    messages(databases, 3)
    airflow.trigger().plan(job())
    run = airflow.run

    airflow.fail(job(), PermanentError("the model cannot be loaded"))

    row = run_row(databases, run)
    assert (row["state"], row["message"]) == ("failed", "task predict failed: the model cannot be loaded")
    assert row["finished_at"] is not None
    after = airflow.trigger().score(job())
    tasks.check(job(), after)
    tasks.publish(job(), after)
    assert_current(databases)


def test_a_task_that_was_taken_over_or_had_no_run_ends_nothing(airflow: Airflow, databases: Databases) -> None:
    messages(databases, 3)
    airflow.trigger()
    airflow.fail(job(), PermanentError("before any plan"), "plan")
    airflow.plan(job())
    run = airflow.run

    airflow.fail(job(), TakenOver("a later attempt owns shard 1"))

    assert (run_row(databases, run)["state"], run_row(databases, run)["finished_at"]) == ("planned", None)


def test_a_failure_after_publish_leaves_the_run_published(airflow: Airflow, databases: Databases) -> None:
    messages(databases, 3)
    run = airflow.trigger().score(job())
    tasks.check(job(), run)
    tasks.publish(job(), run)
    before = run_row(databases, run)

    airflow.fail(job(), PermanentError("no"), "report")

    assert run_row(databases, run) == before


def test_a_failed_check_says_why(airflow: Airflow, databases: Databases) -> None:
    messages(databases, 3)
    a_job = job(checks={"outputs": {"length": {"max": 8}}})
    run = airflow.trigger().score(a_job)

    with pytest.raises(CheckFailed, match="outputs: length: 3 values are too large; allowed: <= 8") as raised:
        tasks.check(a_job, run)
    airflow.fail(a_job, raised.value, "check")

    assert run_row(databases, run)["state"] == "failed"
    with pytest.raises(TakenOver, match=rf"run {run} is failed, so it is not published"):
        tasks.publish(a_job, run)
    assert predictions(databases) == {}


# notifications


def notifying(channels: list[str], max_age: str) -> Job:
    notifiers = [{"notifier": f"{__name__}.Recorder", "arguments": {"channel": channel}} for channel in channels]
    return job(source__cursor="updated_at", notify={"on_stale": notifiers, "max_age": max_age})


@pytest.fixture(autouse=True)
def told() -> list[tuple[str, Any]]:
    Recorder.told.clear()
    return Recorder.told


@pytest.mark.parametrize(("minutes", "expected"), [(61, ["first", "second"]), (59, [])])
def test_rows_older_than_max_age_are_told_to_each_notifier_once(
    airflow: Airflow, databases: Databases, told: list[tuple[str, Any]], minutes: int, expected: list[str]
) -> None:
    messages(databases, 3)
    old = datetime.now(timezone.utc) - timedelta(minutes=minutes)
    sql(databases, "UPDATE message SET updated_at = :old WHERE id = 2", old=old)
    a_job = notifying(["first", "second"], "1h")

    run = airflow.trigger().score(a_job)

    assert told == [(channel, "manual__1") for channel in expected]
    tasks.check(a_job, run)
    tasks.publish(a_job, run)
    assert airflow.trigger().plan(a_job) == []
    assert len(told) == len(expected)  # what has its prediction is not stale


def test_a_notifier_that_fails_is_logged_and_neither_the_others_nor_the_run_suffer(
    airflow: Airflow, databases: Databases, told: list[tuple[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    messages(databases, 3)
    sql(databases, "UPDATE message SET updated_at = now() - interval '1 day'")

    shards = airflow.trigger().plan(notifying(["broken", "second"], "1h"))

    assert (len(shards), told) == (1, [("second", "manual__1")])
    assert f"notifier {__name__}.Recorder failed" in caplog.text


@pytest.fixture
def predictions_py() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dags_under_test", ROOT / "dags" / "predictions.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_task_records_its_failure_and_tells_the_jobs_notifiers(
    predictions_py: ModuleType, told: list[tuple[str, Any]]
) -> None:
    notifier = {"notifier": f"{__name__}.Recorder", "arguments": {"channel": "alarm"}}
    a_job = job(notify={"on_failure": [notifier]})

    dag = predictions_py.make(a_job)

    assert sorted(dag.task_dict) == ["check", "plan", "predict", "publish", "report"]
    for name, task in dag.task_dict.items():
        called: list[Callable[[Any], None]] = list(task.on_failure_callback)
        record, tell = called
        assert isinstance(record, partial)
        assert (record.func, record.args, record.keywords) == (tasks.record_failure, (a_job,), {})
        tell({"dag_run": SimpleNamespace(run_id=name)})
    assert sorted(told) == [("alarm", name) for name in sorted(dag.task_dict)]


def test_a_job_whose_texts_are_as_long_as_they_may_be_makes_a_dag(predictions_py: ModuleType) -> None:
    name = "n" * 40

    dag = predictions_py.make(job(name=name, description="d" * 2000, owner="o" * 2000, tags=["t" * 100]))

    assert (dag.dag_id, dag.tags) == (name, {"prediction", "t" * 100})
    with pytest.raises(ValidationError, match="at most 100 characters"):
        job(tags=["t" * 101])


def test_a_notifier_that_cannot_be_made_breaks_its_own_dag_only_and_is_named(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(ROOT / "dags", tmp_path / "dags", ignore=shutil.ignore_patterns("__pycache__")))
    text = (folder / "jobs" / "intent.yaml").read_text()
    for name, notify in (
        ("lost", "on_failure: [{notifier: nobody.Notifier}]"),
        ("odd", f"max_age: 1h, on_stale: [{{notifier: {__name__}.Recorder, arguments: {{colour: red}}}}]"),
    ):
        content = text.replace("name: intent\n", f"name: {name}\n", 1)
        (folder / "jobs" / f"{name}.yaml").write_text(f"{content}notify: {{{notify}}}\n")

    bag = DagBag(str(folder))

    # An on_stale notifier is made when it is needed, so that DAG is there; both are shown as wrong.
    assert sorted(bag.dags) == ["intent", "keyword", "odd"]
    ((path, error),) = bag.import_errors.items()
    assert Path(path).name == "job_files.py"
    assert "lost.yaml: notify: nobody.Notifier cannot be made: ModuleNotFoundError: No module named 'nobody'" in error
    assert f"odd.yaml: notify: {__name__}.Recorder cannot be made: TypeError" in error
