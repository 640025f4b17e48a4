"""A company with MLflow, whose models are trained and called in environments made by uv."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Engine, create_engine, text

from services.mlflow_server import MlflowServer
from services.postgres import Postgres
from tests.conftest import WORKER, memory_folder
from tests.e2e.flavors.entry import Entry

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
STATE = ROOT / ".state" / "tests"


@dataclass
class Company:
    """`env`: of a command of the pipeline."""

    folder: Path
    engine: Engine
    env: dict[str, str] = field(repr=False)
    _had: set[str] = field(default_factory=set)

    def have(self, entry: Entry, rows: list[dict[str, Any]]) -> None:
        """The entry's model in the registry and its rows in a table; once in a session."""
        if entry.name not in self._had:
            self.train(entry)
            self.create(entry, rows)
            self._had.add(entry.name)

    def sql(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run one statement in a transaction of its own; its rows, if it has any."""
        with self.engine.begin() as connection:
            result = connection.execute(text(query), values)
            return [tuple(row) for row in result] if result.returns_rows else []

    def train(self, entry: Entry) -> None:
        """Log and register the entry's model in an environment of its pins, with the alias `champion`."""
        import mlflow

        self.alone(training_environment(entry.pins), str(HERE / "training" / f"{entry.name}.py"), entry.name)
        client = mlflow.MlflowClient()
        (found,) = client.search_model_versions(f"name = '{entry.name}'")
        client.set_registered_model_alias(entry.name, "champion", found.version)

    def alone(self, python: Path | str, *arguments: str) -> None:
        """Run a script apart from this project: in a folder of its own, and without the project's path."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        names = ("PATH", "HOME", "LANG", "MLFLOW_TRACKING_URI", "MLFLOW_DISABLE_TELEMETRY")
        env = {name: self.env[name] for name in names if name in self.env} | {
            "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
        }  # fmt: skip
        # What the environment has, and not what the interpreter that it was made from has.
        env["PATH"] = f"{Path(python).parent}{os.pathsep}{env['PATH']}"
        done = subprocess.run(
            [str(python), *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]

    def create(self, entry: Entry, rows: list[dict[str, Any]]) -> None:
        """The entry's table with its rows, with ids from 0 on."""
        columns = ", ".join(f"{name} {kind}" for name, kind in entry.columns.items())
        self.sql(f"CREATE TABLE {entry.name} (id bigint PRIMARY KEY, {columns})")
        numbered = [{"id": number, **row} for number, row in enumerate(rows)]
        self.sql(
            f"INSERT INTO {entry.name} SELECT * "  # noqa: S608
            f"FROM jsonb_populate_recordset(NULL::{entry.name}, CAST(:rows AS jsonb))",
            rows=json.dumps(numbered),
        )

    def write_job(self, entry: Entry, runner: str) -> str:
        """The job file of an entry on a runner; returns the job's name."""
        name = f"{entry.name}_{runner}"
        job = {
            "name": name, "description": f"{entry.flavour}.", "owner": "tests", "runner": runner,
            "source": {"relation": entry.name, "key": ["id"], "inputs": list(entry.columns)},
            "model": {"name": entry.name, **entry.model}, "deduplicate": False,
            "sizes": {"chunk_rows": 200, "batch_rows": 64},
            "checks": {
                "max_quarantine_rate": 0.2, "outputs": {column: {"nulls": True} for column in entry.outputs},
            },
            "resources": {"memory": "1Gi"},
        }  # fmt: skip
        (self.folder / "jobs" / f"{name}.yaml").write_text(yaml.safe_dump(job))
        return name

    def command(self, *arguments: str) -> str:
        """What `python -m inference ...` prints."""
        command = [sys.executable, "-W", "ignore", "-m", "inference", *arguments]
        done = subprocess.run(command, env=self.env, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stderr[-6000:]}"
        return done.stdout

    def directly(self, python: str, entry: Entry, rows: list[dict[str, Any]]) -> list[list[Any]]:
        """The columns that the model answers for these rows without this project."""
        task, answer = self.folder / "task.json", self.folder / "answer.json"
        content = {
            "model": f"models:/{entry.name}@champion", "form": entry.form, "columns": entry.columns, "rows": rows,
            "params": entry.params,
        }  # fmt: skip
        task.write_text(json.dumps(content), encoding="utf-8")
        self.alone(python, str(HERE / "direct.py"), str(task), str(answer))
        columns: list[list[Any]] = json.loads(answer.read_text(encoding="utf-8"))
        return columns


def training_environment(pins: tuple[str, ...]) -> Path:
    """The interpreter of an environment with these packages, made by uv and kept between sessions."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(json.dumps([python, *sorted(pins)]).encode()).hexdigest()[:16]
    folder = STATE / "training" / digest
    interpreter = folder / "bin" / "python"
    if (folder / "complete").exists():
        return interpreter
    uv = str(Path(sys.executable).with_name("uv"))
    wheels = [argument for link in find_links() for argument in ("--find-links", link)]
    for command in (
        ["venv", "--quiet", "--clear", "--seed", "--python", sys.executable, str(folder)],
        ["pip", "install", "--quiet", "--python", str(folder), *wheels, *pins],
    ):
        done = subprocess.run([uv, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    (folder / "complete").touch()
    return interpreter


def find_links() -> list[str]:
    """Where pip finds a CPU build of torch, which uv does not read by itself."""
    own = os.environ.get("INFERENCE_FIND_LINKS", os.environ.get("PIP_FIND_LINKS"))
    if own is None:
        command = [sys.executable, "-m", "pip", "config", "get", "global.find-links"]
        own = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return own.split()


@pytest.fixture(scope="session")
def registry_company() -> Iterator[Company]:
    import mlflow

    folder = Path(tempfile.mkdtemp(prefix="inference-flavors-", dir=memory_folder()))
    folder.chmod(0o755)
    with (
        Postgres(folder / "postgres", port=28432 + WORKER, settings={"fsync": "off"}) as postgres,
        pytest.MonkeyPatch.context() as patch,
    ):
        server = MlflowServer(folder / "mlflow", postgres, port=28500 + WORKER)
        server.start()
        try:
            postgres.create_database("company")
            address = postgres.url("company")
            (folder / "jobs").mkdir()
            server.wait_healthy()
            for name, value in server.env().items():
                patch.setenv(name, value)
            mlflow.set_tracking_uri(server.url)
            settings = {
                "AIRFLOW_CONN_PREDICTIONS": address,
                "INFERENCE_STATE": str(STATE), "INFERENCE_JOBS": str(folder / "jobs"), "PYTHONPATH": str(ROOT),
                "INFERENCE_DOCKER_NETWORK": "host",  # this Postgres listens on 127.0.0.1 only
            }  # fmt: skip
            company = Company(folder, create_engine(address), {**os.environ, **settings})
            company.command("db", "upgrade")
            yield company
            company.engine.dispose()
        finally:
            server.stop()
    shutil.rmtree(folder, ignore_errors=True)
