"""Planted passwords and personal data, runs that fail in many ways, and a look at all that they leave behind."""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from inference import pipeline
from inference.base.database import PREDICTIONS, Databases
from inference.errors import CheckFailed, InferenceError, RetryableError, SourceError, Unavailable
from inference.jobs.job import Job
from inference.jobs.request import Request
from inference.models import model_version
from inference.models.artifact import Artifact
from inference.models.mlflow_rest import Registry, Version
from inference.runners import venv
from services.mlflow_server import DATABASE, MlflowServer
from services.postgres import Postgres
from tests.stub import TEXT, create_messages, job, predictions, run_row, sql

ROOT = Path(__file__).parents[2]
DATABASE_PASSWORD = "planted-database-7f3a9c"
MLFLOW_PASSWORD = "planted-mlflow-51be02"
SECRETS = (DATABASE_PASSWORD, MLFLOW_PASSWORD)
PERSON = "Jane Planted of Elm Street 7"
SHARD = """#!INTERPRETER
import sys
sys.path.insert(0, "ROOT")
from pathlib import Path
import pandas as pd
from inference.shard import command as shard_command
from tests.stub import Digest

class Model(Digest):
    def predict(self, data):
        if data["text"].str.startswith("echo").any():
            return pd.DataFrame({"digest": data["text"], "length": 0})
        return super().predict(data)

commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
Path("SEEN").write_bytes(b"\\n".join(commands))
shard_command.load = lambda work: Model(lambda text: text.startswith("fail"))
sys.exit(shard_command.main(sys.argv[4:]))
"""


@dataclass
class World:
    """A company whose every password is planted; `said`: all that anybody was told."""

    databases: Databases
    seen: Path
    said: io.StringIO = field(default_factory=io.StringIO)

    def run(self, a_job: Job | None = None, **request: Any) -> int | None:
        """A run as the command line does it; its number, or none."""
        arguments = (a_job or job(runner="venv"), Request(**request), lambda text: self.say(text))
        return pipeline.run(self.databases, *arguments, lambda planned: nullcontext()).run_id

    def fails(self, error: type[InferenceError], action: Callable[[], Any]) -> str:
        with pytest.raises(error) as raised:
            action()
        self.say("".join(traceback.format_exception(raised.value)))
        return str(raised.value)

    def say(self, text: str) -> None:
        self.said.write(text + "\n")


@pytest.fixture
def world(
    databases: Databases,
    postgres: Postgres,
    mlflow_server: MlflowServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    sql(databases, f"CREATE ROLE planted SUPERUSER LOGIN PASSWORD '{DATABASE_PASSWORD}'")
    address = databases.url(PREDICTIONS).set(username="planted", password=DATABASE_PASSWORD)
    found = World(Databases({PREDICTIONS: address.render_as_string(hide_password=False)}), tmp_path / "commands")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.url.replace("//", f"//me:{MLFLOW_PASSWORD}@"))
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", MLFLOW_PASSWORD)
    monkeypatch.setenv("INFERENCE_STATE", str(tmp_path / "state"))
    interpreter = tmp_path / "python"
    interpreter.write_text(
        SHARD.replace("SEEN", str(found.seen)).replace("INTERPRETER", sys.executable).replace("ROOT", str(ROOT))
    )
    interpreter.chmod(0o755)
    monkeypatch.setattr(venv, "prepare", lambda registry, planned: interpreter)
    register(found.databases)
    yield found
    sql(databases, "DROP OWNED BY planted CASCADE")
    sql(databases, "DROP ROLE planted")


def register(databases: Databases) -> None:
    """A version in MLflow, as a name only, and its row as if it had been fetched."""
    registry = Registry()
    with suppress(InferenceError):  # there from another test
        registry.call("POST", "registered-models/create", name="intent")
    made = registry.call("POST", "model-versions/create", name="intent", source="s3://models/intent")
    version = made["model_version"]["version"]
    registry.call("POST", "registered-models/alias", name="intent", alias="champion", version=version)
    artifact = Artifact("d" * 64, "3.11.7", (), TEXT, False)
    with databases.begin(PREDICTIONS) as connection:
        model_version._add(connection, Version("intent", version, "s3://models/intent", None), artifact)


def tables(url: str, schema: str) -> dict[str, str]:
    """All rows of a schema as text."""
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        kinds = "SELECT relname FROM pg_class WHERE relkind IN ('r', 'v')"
        cursor.execute(f"{kinds} AND relnamespace = '{schema}'::regnamespace")
        names = [name for (name,) in cursor.fetchall()]
        found = {}
        for name in names:
            cursor.execute(f'SELECT t::text FROM "{schema}"."{name}" t')  # noqa: S608
            found[name] = "\n".join(text for (text,) in cursor.fetchall())
    connection.close()
    return found


def test_what_runs_leave_behind_holds_no_secret_and_no_row(
    world: World,
    postgres: Postgres,
    mlflow_server: MlflowServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    caplog.set_level("DEBUG")
    databases = world.databases
    create_messages(databases, [f"{PERSON} {number}" for number in range(50)])
    sql(databases, "INSERT INTO message (text) VALUES (:text)", text=f"fail {PERSON}")

    published = world.run()  # one row in quarantine
    sql(databases, "UPDATE message SET text = 'fail ' || text WHERE id <= 40")
    said = world.fails(CheckFailed, world.run)
    assert "most often by ValueError" in said
    world.fails(SourceError, lambda: world.run(job(runner="venv", source__where="text::date > '2020-01-01'")))

    # An error of Postgres in a COPY, whose DETAIL and CONTEXT have the whole row.
    sql(databases, "UPDATE message SET text = 'echo ' || text WHERE id > 40")
    monkeypatch.setattr("inference.runners.runner.run", constrained(databases, pipeline.runner.run))
    said = world.fails(RetryableError, world.run)
    assert "check constraint" in said
    world.fails(Unavailable, lambda: wrong_password(databases))
    for value in ("http://me:{}@127.0.0.1:1", "ftp://me:{}@mlflow"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", value.format(MLFLOW_PASSWORD))
        world.fails(InferenceError, world.run)
    monkeypatch.setenv("INFERENCE_INDEX_URL", f"https://{MLFLOW_PASSWORD}@index.example/simple")
    world.fails(InferenceError, lambda: environment(tmp_path))

    assert run_row(databases, published or 0)["state"] == "published"
    assert len(predictions(databases)) == 50
    output = capfd.readouterr()
    left = {
        "log": caplog.text, "out": output.out, "err": output.err, "said": world.said.getvalue(),
        "processes": world.seen.read_text(errors="replace"),
        "state": "".join(path.read_text() for path in (tmp_path / "state").rglob("*") if path.is_file()),
    }  # fmt: skip
    left |= tables(postgres.libpq_url(str(databases.url(PREDICTIONS).database)), "prediction")
    left |= {f"mlflow.{name}": text for name, text in tables(postgres.libpq_url(DATABASE), "public").items()}
    assert "run 1 shard 1: 51 of 51 rows" in left["log"]
    assert "run 1" in left["mlflow.runs"]
    assert "--shard" in left["processes"]
    assert [(name, secret) for name, text in left.items() for secret in SECRETS if secret in text] == []
    # Quarantine keeps what the model says, for those who may read it; see docs/security.md.
    own = {"quarantine", "quarantine_open"}
    assert {name for name, text in left.items() if "Jane" in text or "Elm" in text} == own


def constrained(databases: Databases, run: Callable[..., None]) -> Callable[..., None]:
    """Before its shard begins, the run's result table gets a constraint that no row meets."""

    def run_constrained(given: Databases, registry: Registry, run_id: int, generation: int, shard: int) -> None:
        sql(
            databases,
            f"ALTER TABLE prediction_work.result_{run_id}_{generation} ADD CHECK (length(digest) < 0) NOT VALID",
        )
        run(given, registry, run_id, generation, shard)

    return run_constrained


def wrong_password(databases: Databases) -> None:
    address = databases.url(PREDICTIONS).set(password=MLFLOW_PASSWORD).render_as_string(hide_password=False)
    pipeline.check(Databases({PREDICTIONS: address}), 1)


def environment(folder: Path) -> None:
    from inference.models import environment as environments

    runtime = ROOT / "inference" / "requirements.txt"
    environments.ensure("3.11", ["pandas"], folder / "environments", runtime, lambda _: None)
