"""Every command and every task, with what people get wrong: an error in words, its exit code, and no stack trace."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowSkipException
from sqlalchemy.engine import make_url

from batch_prediction import tasks
from inference import pipeline
from inference.base.database import Databases
from inference.errors import BadInput, ConfigurationError, InferenceError, PermanentError, Unavailable
from inference.jobs.job import Job
from inference.models import model_version
from inference.operations import doctor
from inference.shard import command, shard
from tests.integration.test_cli import COMMANDS, CommandLine, Ended
from tests.stub import Digest, Pipeline, assert_current, create_messages, job, sql

# `metrics` serves until it is stopped, and says 503 then: tests/integration/test_metrics.py.
ARGUMENTS = {
    "check": "1",
    "db prepare": "intent",
    "db upgrade": "",
    "discard": "1",
    "doctor": "",
    "image build": "intent@champion",
    "image prune": "",
    "jobs": "--drop ghost",
    "jobs new": "fresh --model intent --source message --owner me",
    "models alias": "intent:1 champion",
    "models list": "",
    "models prepare": "intent",
    "models register": "docs --name x",
    "models sign": "intent --example rows.json",
    "plan": "intent",
    "prune": "--older-than 90d",
    "publish": "1",
    "quarantine drop": "intent --all",
    "quarantine list": "",
    "quarantine replay": "intent --all",
    "release": "1",
    "repair": "",
    "run": "intent",
    "shard": "--run 1 --generation 1 --shard 1",
    "status": "",
}
ROLES = itertools.count(1)
WITHOUT_DATABASE = {
    "image build",
    "image prune",
    "models alias",
    "models list",
    "models register",
    "models sign",
}  # they end before they need one, if nothing is there


class Company:
    """A planned run of the job `intent`, and a role of its own that may nothing yet."""

    def __init__(self, databases: Databases, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.admin, self.folder, self._patch = databases, folder, patch
        self.role = f"walker_{next(ROLES)}"
        create_messages(databases, ["one", "two"])
        self.pipeline = Pipeline(databases)
        assert self.pipeline.plan().run_id == 1
        sql(databases, f"CREATE ROLE {self.role} LOGIN PASSWORD 'geheim'")
        self.write(self.pipeline.job)
        self.connect(username=self.role, password="geheim")

    def write(self, a_job: Job) -> None:
        content = a_job.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        (self.folder / f"{a_job.name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")

    def connect(self, **changes: Any) -> None:
        url = self.admin.url("predictions").set(drivername="postgresql", **changes)
        self._patch.setenv("AIRFLOW_CONN_PREDICTIONS", url.render_as_string(False))

    def read_by_role(self) -> None:
        """The source by a connection of its own, which names the role; the predictions as their owner."""
        url = self.admin.url("predictions").set(drivername="postgresql", username=self.role, password="geheim")
        self._patch.setenv("AIRFLOW_CONN_CRM", url.render_as_string(False))
        self.connect()
        self.write(job(source__connection="crm"))

    def end_run(self) -> None:
        """So that the next one has something to do."""
        with suppress(ConfigurationError):  # without the schema there is none
            sql(self.admin, "UPDATE prediction.run SET state = 'failed'")

    def grant(self, *rights: str) -> None:
        for right in rights:
            sql(self.admin, f"GRANT {right} TO {self.role}")


@pytest.fixture
def company(databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("INFERENCE_JOBS", str(tmp_path))
    monkeypatch.setenv("INFERENCE_STATE", str(tmp_path / "state"))
    made = Company(databases, tmp_path, monkeypatch)
    monkeypatch.setattr(
        model_version, "resolve", lambda given, *_: model_version.known(given, made.pipeline.model.version)
    )
    registry = SimpleNamespace(resolve=lambda *_: made.pipeline.model.version)
    monkeypatch.setattr(doctor, "Registry", lambda: registry)
    monkeypatch.setattr(command, "load", lambda work: Digest())
    monkeypatch.setattr(command, "_die_with_parent", lambda: None)

    def score(given: Databases, registry: Any, a_job: Job, a_model: Any, run: int, generation: int, n: int) -> None:
        shard.run(given, run, generation, n, lambda work: Digest())

    monkeypatch.setitem(pipeline.runner.RUNNERS, "venv", pipeline.runner.Runner(score))
    yield made
    sql(databases, f"DROP OWNED BY {made.role}")
    sql(databases, f"DROP ROLE {made.role}")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    in_process = CommandLine(monkeypatch, capsys)

    def ended(words: str, arguments: str) -> Ended:
        if words != "shard":
            return in_process(*words.split(), *arguments.split())
        capsys.readouterr()
        code = command.main(arguments.split())
        found = capsys.readouterr()
        return Ended(code, "", found.out + found.err)

    return ended


PREDICTION = ("USAGE ON SCHEMA prediction, prediction_work", "SELECT ON ALL TABLES IN SCHEMA prediction")
EVERYTHING = (
    "ALL ON SCHEMA prediction, prediction_work",
    "ALL ON ALL TABLES IN SCHEMA prediction, prediction_work",
    "ALL ON ALL SEQUENCES IN SCHEMA prediction",
)


def _no_schema(company: Company) -> None:
    sql(company.admin, "DROP SCHEMA prediction CASCADE")
    sql(company.admin, "DROP SCHEMA prediction_work CASCADE")
    company.connect()


def _read_only(company: Company) -> None:
    sql(company.admin, f"ALTER ROLE {company.role} SUPERUSER")
    sql(company.admin, f"ALTER ROLE {company.role} SET default_transaction_read_only = on")


def _source(**changes: Any) -> Callable[[Company], None]:
    def change(company: Company) -> None:
        company.connect()
        company.write(job(**{f"source__{name}": value for name, value in changes.items()}))

    return change


def _reserved_key(company: Company) -> None:
    sql(company.admin, "ALTER TABLE message RENAME id TO input_hash")
    _source(key=["input_hash"])(company)


def _foreign_table(company: Company) -> None:
    """Somebody made what the job's tables are called."""
    sql(company.admin, "DROP VIEW prediction.intent__current, prediction.intent")
    sql(company.admin, "CREATE TABLE prediction.intent (x int)")
    company.connect()


# What is wrong, and what an error has to name (of commands that meet it).
RIGHTS: dict[str, tuple[Callable[[Company], None], str]] = {
    "no right to the schema": (lambda c: None, "schema prediction|prediction"),
    "no right to a table": (lambda c: c.grant("USAGE ON SCHEMA prediction, prediction_work"), "prediction|table"),
    "reading alone": (lambda c: c.grant(*PREDICTION), "permission denied|owner|may not|right"),
    "no right to the source": (lambda c: c.grant(*EVERYTHING), "message|owner|right"),
    "no right to one column": (
        lambda c: c.grant(*EVERYTHING, "SELECT (id, channel) ON message"),
        "message|owner|right",
    ),
    "no right to the source as its own connection's role": (Company.read_by_role, "message"),
    "no schema": (_no_schema, "db upgrade"),
    "a database that takes no writes": (_read_only, "read-only transaction"),
}
ADDRESSES: dict[str, tuple[dict[str, Any], str]] = {
    "a port where nobody listens": ({"port": 1}, "does not answer"),
    "a host that is not there": ({"host": "no-such-host.invalid"}, "does not answer"),
    "a folder without a socket": ({"host": "", "query": {"host": "/no/such/folder"}}, "does not answer|address"),
    "another database": ({"database": "no_such_database"}, "no_such_database"),
    "a wrong password": ({"password": "wrong"}, "password authentication failed"),
    "a role that is not there": ({"username": "nobody_here", "password": "x"}, "nobody_here"),
    "a wrong sslmode": ({"query": {"sslmode": "perhaps"}}, "sslmode"),
    "an option that is none": ({"query": {"sslmodus": "x"}}, "sslmodus"),
    "another kind of database": ({"drivername": "mysql"}, "is not one of PostgreSQL"),
}
SOURCES: dict[str, tuple[Callable[[Company], None], str]] = {
    "no such schema": (_source(schema="nowhere"), "nowhere"),
    "no such table": (_source(relation="nothing"), "nothing"),
    "no such column": (_source(inputs=["texts"]), "'texts' is no column"),
    "no such column in where": (_source(where="texts = 'x'"), '"texts" does not exist'),
    "a where that fails on a row": (_source(where="text::int > 1"), "fails on a row"),
    "an aggregate in where": (_source(where="count(*) > 1"), "aggregate functions"),
    "no address of its connection": (_source(connection="elsewhere"), "AIRFLOW_CONN_ELSEWHERE"),
    "a key with a name of the pipeline's": (_reserved_key, "input_hash"),
}  # fmt: skip


def assert_told(ended: Ended, words: str, wanted: str, elsewhere: Container[str] = ()) -> None:
    """`elsewhere`: commands that end by something else."""
    text = ended.out + ended.err
    assert ended.code in (0, 2, 65, 66, 75), f"{words}: {ended}"
    assert "Traceback" not in text, f"{words}: {text}"
    assert "geheim" not in text
    if ended.code and words not in elsewhere:
        assert any(word.lower() in text.lower() for word in wanted.split("|")), f"{words}: {text}"


def walk(run: Callable[..., Ended], wanted: str, elsewhere: Container[str]) -> dict[str, int]:
    codes = {}
    for words, arguments in ARGUMENTS.items():
        if words == "db upgrade" and wanted == words:  # it is the way out
            continue
        ended = run(words, arguments)
        assert_told(ended, words, wanted, elsewhere)
        codes[words] = ended.code
    return codes


def walk_tasks(company: Company, monkeypatch: pytest.MonkeyPatch, *names: str) -> dict[str, type[Exception]]:
    """What each task's body raises: errors of ours, or nothing."""
    context = {
        "dag_run": SimpleNamespace(run_id="manual__1", conf=None),
        "ti": SimpleNamespace(task_id="plan", xcom_push=lambda **_: None, xcom_pull=lambda **_: 1),
        "exception": ValueError("x"),
    }
    monkeypatch.setattr(tasks, "get_current_context", lambda: context)
    a_job = Job.model_validate(yaml.safe_load((company.folder / "intent.yaml").read_text()))
    bodies: dict[str, Callable[[], Any]] = {
        "plan": lambda: tasks.plan(a_job),
        "predict": lambda: tasks.predict(a_job, 1, 1, 1),
        "check": lambda: tasks.check(a_job, 1),
        "publish": lambda: tasks.publish(a_job, 1),
        "report": lambda: tasks.report(a_job, 1),
        "record_failure": lambda: tasks.record_failure(a_job, context),
    }
    raised = {}
    for name in names or bodies:
        try:
            bodies[name]()
        except (InferenceError, AirflowSkipException, AirflowNotFoundException) as error:
            raised[name] = type(error)
    return raised


def test_the_walk_leaves_no_command_out() -> None:
    assert set(ARGUMENTS) == set(COMMANDS) - {"metrics"}


@pytest.mark.parametrize("what", RIGHTS)
def test_rights(company: Company, run: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """F17, F18, C: exit code 1 is for bugs."""
    arrange, wanted = RIGHTS[what]
    arrange(company)

    walk(run, wanted, set(ARGUMENTS))

    company.end_run()
    expected = Unavailable if "read-only" in wanted else PermanentError  # a failover may be on its way
    for words in ("plan", "run"):
        ended = run(words, "intent")
        assert_told(ended, words, wanted)
        assert ended.code == expected.exit_code
    raised = walk_tasks(company, monkeypatch)
    assert issubclass(raised["plan"], expected)


@pytest.mark.parametrize("own_connection", [False, True])
def test_the_rights_that_a_job_needs_are_enough(
    company: Company, run: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, own_connection: bool
) -> None:
    """F17, F18: the columns that it names, of the role that reads them; whatever else the table has."""
    company.end_run()
    sql(company.admin, "DROP TABLE prediction_work.work_1_1, prediction_work.result_1_1")
    company.grant("SELECT (id, text) ON message")
    if own_connection:
        company.read_by_role()
    else:
        company.grant(*EVERYTHING)

    ended = run("run", "intent")

    assert (ended.code, "published" in ended.out + ended.err) == (0, True), ended
    assert_current(company.admin)
    for words in ("plan", "run", "status"):
        ended = run(words, ARGUMENTS[words])
        assert (ended.code, "Traceback" in ended.out + ended.err) == (0, False), ended
    assert "message can be read" in run("doctor", "").out
    assert walk_tasks(company, monkeypatch, "plan") == {}


@pytest.mark.parametrize("what", ADDRESSES)
def test_addresses(company: Company, run: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    changes, wanted = ADDRESSES[what]
    company.connect(**{key: value for key, value in changes.items() if key != "drivername"})
    if "drivername" in changes:
        url = make_url("mysql://boss:geheim@127.0.0.1/company")
        monkeypatch.setenv("AIRFLOW_CONN_PREDICTIONS", url.render_as_string(False))
    for name in ("DELAYS",):  # how long a lost connection is waited for
        monkeypatch.setattr(f"inference.shard.session.{name}", (0,))

    codes = walk(run, wanted, WITHOUT_DATABASE)

    assert {codes[words] for words in ("plan", "run", "status", "check", "shard", "doctor")} <= {65, 75}
    assert "plan" in walk_tasks(company, monkeypatch)


@pytest.mark.parametrize("what", SOURCES)
def test_sources(company: Company, run: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    arrange, wanted = SOURCES[what]
    company.end_run()
    arrange(company)

    for words in ("plan", "run", "db prepare"):
        ended = run(words, "intent")
        assert_told(ended, words, wanted)
        assert ended.code == 65 or (words == "db prepare" and "where" in what)
    assert_told(run("doctor", ""), "doctor", "intent|elsewhere")
    assert issubclass(walk_tasks(company, monkeypatch, "plan")["plan"], (PermanentError, AirflowNotFoundException))


def test_a_table_of_somebody_elses_with_the_jobs_name(company: Company, run: Callable[..., Ended]) -> None:
    """F35: it is not in the way of reading job files, so plan says it."""
    company.end_run()
    _foreign_table(company)

    ended = run("plan", "intent")

    assert_told(ended, "plan", "intent")
    assert ended.code == 65


def test_a_registry_that_does_not_answer(
    company: Company, run: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    company.connect()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("INFERENCE_JOBS", str(company.folder))
    for words in ("plan", "run", "models prepare", "doctor", "image build"):
        ended = run(words, ARGUMENTS[words])
        assert_told(ended, words, "127.0.0.1:1")
        assert ended.code in (65, 75)


JOB_FILES = {
    "run.yaml": "name: run",
    "intent__blue.yaml": "name: intent__blue",
    "no.yaml": "{name: no, description: x, owner: x, source: {relation: m, key: [id], inputs: [no]}, model: {name: m}}",
    "list.yaml": "[1, 2]",
    "broken.yaml": "name: [",
    "where.yaml": "{name: where, description: x, owner: x, model: {name: m}, "
    "source: {relation: m, key: [id], inputs: [a], where: '(1=1) OR (1=1'}}",
}


@pytest.mark.parametrize("name", JOB_FILES)
@pytest.mark.parametrize("words", ["jobs", "plan", "run", "models prepare", "db prepare"])
def test_job_files(company: Company, run: Callable[..., Ended], name: str, words: str) -> None:
    """F21, F22, F35"""
    company.connect()
    (company.folder / name).write_text(JOB_FILES[name], encoding="utf-8")

    ended = run(words, "" if words == "jobs" else name.removesuffix(".yaml"))

    assert_told(ended, words, name)
    assert ended.code == BadInput.exit_code


@pytest.fixture(autouse=True)
def _no_handlers() -> Iterator[None]:
    """`logging.basicConfig` of one command must not write to the captured stream of another."""
    yield
    logging.getLogger().handlers.clear()
