"""Backup and restore as docs/operations.md says it: pg_dump, pg_restore, and MLflow's artifacts beside its database."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inference.base.database import Databases
from inference.errors import ConfigurationError, Unavailable
from inference.models import model_version
from inference.models.mlflow_rest import Registry
from inference.planning import plan
from inference.planning.plan import Planned
from inference.schema import migrate
from inference.shard import shard
from services import postgres_binaries
from services.mlflow_server import DATABASE, MlflowServer
from services.postgres import Postgres
from tests import roles
from tests.conftest import memory_folder
from tests.integration.test_registry import MODEL
from tests.stub import Digest, Pipeline, assert_current, create_messages, job, run_row, sql

YEARLY = "0 0 1 1 *"


class Backup:
    """The two programs, beside the server's or on PATH."""

    def __init__(self, postgres: Postgres, folder: Path) -> None:
        self.postgres = postgres
        self.folder = folder
        self.made: list[str] = []

    def dump(self, database: str, *options: str) -> Path:
        file = self.folder / f"{database}.dump"
        self._run("pg_dump", "--format=custom", "--no-unlogged-table-data", f"--file={file}", *options, database)
        return file

    def restore(self, file: Path, database: str, postgres: Postgres | None = None) -> str:
        """Restore into a database, made if there is none; its URL."""
        server = postgres or self.postgres
        if server.create_database(database) and postgres is None:
            self.made.append(database)
        self._run("pg_restore", "--exit-on-error", f"--dbname={database}", str(file), server=server)
        return server.url(database)

    def _run(self, name: str, *arguments: str, server: Postgres | None = None) -> None:
        at = server or self.postgres
        password = (at.folder / "password").read_text().strip()
        place = {"PGHOST": "127.0.0.1", "PGPORT": str(at.port), "PGUSER": "postgres", "PGPASSWORD": password}
        subprocess.run([self._program(name), *arguments], env={**os.environ, **place}, check=True)

    def _program(self, name: str) -> str:
        beside = postgres_binaries.find((self.postgres.folder / "data").resolve(), None) / name
        found = str(beside) if beside.exists() else shutil.which(name)
        if found is None:
            message = f"{name} is neither beside postgres nor on PATH"
            if os.environ.get("CI"):
                raise RuntimeError(message)
            pytest.skip(message)
        return found


@pytest.fixture
def backup(postgres: Postgres, tmp_path: Path) -> Iterator[Backup]:
    found = Backup(postgres, tmp_path)
    yield found
    for name in found.made:
        postgres.drop_database(name)


def name_of(databases: Databases, connection: str = "predictions") -> str:
    return str(databases.url(connection).database)


def planned_keys(databases: Databases, planned: Planned) -> set[int]:
    if not planned.planned:
        return set()
    table = f"prediction_work.work_{planned.run_id}_{planned.generation}"
    return {key for (key,) in sql(databases, f"SELECT key1 FROM {table} WHERE ordinal > 0")}  # noqa: S608


def change(databases: Databases, name: str = "predictions") -> set[int]:
    """What the company does in a day; the keys of the rows that need a new prediction."""
    sql(databases, "INSERT INTO message (id, text) SELECT n, 'new ' || n FROM generate_series(301, 305) n", name)
    sql(databases, "UPDATE message SET text = 'edited', updated_at = now() WHERE id BETWEEN 11 AND 17", name)
    return {*range(301, 306), *range(11, 18)}


def messages(databases: Databases, name: str = "predictions") -> None:
    create_messages(databases, [f"message {number}" for number in range(300)], name)


def finish(pipeline: Pipeline, planned: Planned) -> None:
    if planned.state == "planned":
        pipeline.predict(planned)
        assert pipeline.finish(planned) == "published"


def elsewhere(pipeline: Pipeline, **urls: str) -> Pipeline:
    """The same job on other databases, whose rows of `prediction.model` were restored."""
    moved = object.__new__(Pipeline)
    moved.databases, moved.job = Databases(urls), pipeline.job
    moved.predictor, moved.model = Digest(), pipeline.model
    return moved


def test_a_whole_database_of_yesterday_in_the_middle_of_a_run(databases: Databases, backup: Backup) -> None:
    messages(databases)
    sql(databases, "UPDATE message SET text = 'bad' WHERE id = 100")
    pipeline = Pipeline(databases, job(), Digest(lambda text: text == "bad"))
    pipeline.run()
    changed = change(databases)
    open_run = pipeline.plan()
    pipeline.predict(open_run)

    file = backup.dump(name_of(databases))
    pipeline.finish(open_run)
    sql(databases, "UPDATE message SET text = 'of today, and lost' WHERE id > 200")
    pipeline.run()
    restored = elsewhere(pipeline, predictions=backup.restore(file, f"{name_of(databases)}_restored"))

    found = restored.plan()

    assert run_row(restored.databases, open_run.run_id)["state"] == "superseded"
    assert found.run_id == open_run.run_id + 1  # as the run that was lost
    assert planned_keys(restored.databases, found) == changed
    finish(restored, found)
    assert sql(restored.databases, "SELECT key FROM prediction.quarantine_open") == [(["100"],)]
    sql(restored.databases, "DELETE FROM message WHERE id = 100")
    assert_current(restored.databases)
    assert restored.plan().planned == 0
    sql(restored.databases, "UPDATE message SET text = 'after' WHERE id IN (1, 305)")
    after = restored.plan()
    assert planned_keys(restored.databases, after) == {1, 305}
    finish(restored, after)
    assert_current(restored.databases)


@pytest.mark.parametrize("cursor", [None, "updated_at"])
def test_the_schema_of_yesterday_beside_the_source_of_today(
    databases: Databases, backup: Backup, cursor: str | None
) -> None:
    messages(databases)
    section = {"source__cursor": cursor, "source__lookback": "1s", "source__sweep": YEARLY} if cursor else {}
    pipeline = Pipeline(databases, job(source__on_delete="delete", **section))
    pipeline.run()
    file = backup.dump(name_of(databases), "--schema=prediction")
    changed = change(databases)
    if cursor is None:
        sql(databases, "DELETE FROM message WHERE id BETWEEN 50 AND 52")
    finish(pipeline, pipeline.plan())
    assert_current(databases)

    sql(databases, "DROP SCHEMA prediction CASCADE")
    backup.restore(file, name_of(databases))
    found = pipeline.plan()

    assert planned_keys(databases, found) == changed
    assert (run_row(databases, found.run_id)["window_start"] is None) == (cursor is None)
    finish(pipeline, found)
    assert_current(databases)
    assert pipeline.plan().planned == 0


@pytest.mark.parametrize("cursor", [None, "updated_at"])
def test_the_source_of_yesterday_below_the_schema_of_today(
    databases: Databases, backup: Backup, postgres: Postgres, cursor: str | None
) -> None:
    shop = f"{name_of(databases)}_shop"
    postgres.create_database(shop)
    backup.made.append(shop)
    both = Databases({"predictions": databases.url("predictions").render_as_string(False), "shop": postgres.url(shop)})
    messages(both, "shop")
    section = {"source__cursor": cursor, "source__lookback": "1s", "source__sweep": YEARLY} if cursor else {}
    pipeline = Pipeline(both, job(source__connection="shop", source__on_delete="delete", **section))
    pipeline.run()
    sql(both, "UPDATE message SET updated_at = now() - interval '1 hour'", "shop")
    file = backup.dump(shop)
    change(both, "shop")
    finish(pipeline, pipeline.plan())

    postgres.drop_database(shop)
    backup.restore(file, shop)
    found = pipeline.plan()

    if cursor:  # the rows that went back have times from before the window: until the next sweep
        assert planned_keys(both, found) == set()
        sql(both, "UPDATE prediction.run SET source_time = source_time - interval '2 years'")
        found = pipeline.plan()
        assert run_row(both, found.run_id)["sweep"]
    assert planned_keys(both, found) == set(range(11, 18))  # and the predictions of 301 to 305 are deleted
    finish(pipeline, found)
    assert_current(both, "shop")
    assert pipeline.plan().planned == 0


def test_a_restored_database_has_its_roles_with_what_they_may_and_what_not(postgres: Postgres, backup: Backup) -> None:
    postgres.create_database("test_backup_roles")
    backup.made.append("test_backup_roles")
    before = roles.company(postgres, "test_backup_roles")
    messages(before["admin"])
    sql(before["admin"], "GRANT SELECT ON message TO prediction_predictor")
    pipeline = Pipeline(before["planner"])
    plan.prepare(before["owner"], pipeline.job, pipeline.model)
    pipeline.run()
    changed = change(before["admin"])
    lost = pipeline.plan()

    backup.restore(backup.dump("test_backup_roles"), "test_backup_roles_restored")
    after = roles.connections(postgres, "test_backup_roles_restored")
    restored = elsewhere(pipeline, predictions=after["planner"].url("predictions").render_as_string(False))
    migrate.upgrade(after["owner"], lambda _: None)
    found = restored.plan()

    assert planned_keys(restored.databases, found) == changed
    assert run_row(restored.databases, lost.run_id)["state"] == "superseded"
    for number in found.shards:
        shard.run(after["predictor"], found.run_id, found.generation, number, lambda work: Digest())
    for forbidden in ("UPDATE prediction.run SET state = 'published'", "SELECT * FROM prediction.intent__blue",
                      "CREATE TABLE prediction_work.mine ()"):  # fmt: skip
        with pytest.raises(ConfigurationError, match=r"permission denied|row-level security"):
            sql(after["predictor"], forbidden)
    assert restored.finish(found) == "published"
    assert_current(Databases({"predictions": postgres.url("test_backup_roles_restored")}))


# MLflow

LOG = """
import sys
import tempfile
import mlflow
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

signature = ModelSignature(Schema([ColSpec("string", "text")]), Schema([ColSpec("string")]))
mlflow.set_experiment("backup")
with mlflow.start_run():
    mlflow.pyfunc.log_model(name="model", python_model=sys.argv[1], signature=signature, pip_requirements=["pandas"],
                            registered_model_name="restored")
mlflow.MlflowClient().set_registered_model_alias("restored", "champion", "1")
"""
LOAD = """
import json
import mlflow, pandas
loaded = mlflow.pyfunc.load_model("models:/restored@champion")
print(json.dumps([str(item) for item in loaded.predict(pandas.DataFrame({"text": ["yes"]}))]))
"""


def mlflow_process(server: MlflowServer, code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments], capture_output=True, text=True, check=False,
        env={**os.environ, **server.env(), "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def second_machine() -> Iterator[Callable[[Callable[[Postgres], Any]], MlflowServer]]:
    """Makes a Postgres and an MLflow server of their own; `prepare` is called before the latter starts."""
    folder = Path(tempfile.mkdtemp(prefix="inference-restored-", dir=memory_folder()))
    folder.chmod(0o755)
    with Postgres(folder / "postgres", port=25442, settings={"fsync": "off"}) as postgres:
        server = MlflowServer(folder / "mlflow", postgres, port=25520)

        def start(prepare: Callable[[Postgres], Any]) -> MlflowServer:
            prepare(postgres)
            server.start()
            server.wait_healthy()
            return server

        yield start
        server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.filterwarnings("ignore")  # mlflow warns while it is imported
def test_mlflows_database_and_artifacts_on_another_machine_are_the_same_model(
    databases: Databases,
    mlflow_server: MlflowServer,
    backup: Backup,
    second_machine: Callable[[Callable[[Postgres], Any]], MlflowServer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INFERENCE_STATE", str(tmp_path / "state"))
    (tmp_path / "shout.py").write_text(MODEL)
    mlflow_process(mlflow_server, LOG, str(tmp_path / "shout.py"))
    before = model_version.resolve(databases, Registry(mlflow_server.url), "restored", "champion", False)

    file = backup.dump(DATABASE)  # first the database, then the artifacts: what it names is there
    shutil.copytree(mlflow_server.folder / "artifacts", tmp_path / "artifacts")
    restored = second_machine(lambda postgres: backup.restore(file, DATABASE, postgres))
    shutil.rmtree(tmp_path / "state")
    sql(databases, "DELETE FROM prediction.model")

    with pytest.raises(
        Unavailable, match="restored version 1: its files cannot be fetched"
    ):  # the database alone is not enough
        model_version.resolve(databases, Registry(restored.url), "restored", "champion", False)
    shutil.copytree(tmp_path / "artifacts", restored.folder / "artifacts", dirs_exist_ok=True)
    after = model_version.resolve(databases, Registry(restored.url), "restored", "champion", False)

    assert (after.version, after.artifact) == (before.version, before.artifact)
    assert json.loads(mlflow_process(restored, LOAD)) == ["YES"]
