"""The demo's servers and commands, started side by side and stopped together."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import requests

from demo.state import FOLDER, REPOSITORY, DemoError
from services.airflow import Airflow
from services.files import write_private
from services.mlflow_server import MlflowServer
from services.postgres import HOST, USER, Postgres
from services.process import Child, start

CONNECTION = "predictions"
COMMAND_SECONDS = 3600  # the first one downloads packages
JOBS = ("intent", "keyword")
ALIAS = "champion"


class Stack:
    """PostgreSQL, MLflow and Airflow with their state in `folder`."""

    def __init__(self, database: str, folder: Path = FOLDER) -> None:
        self.folder = folder
        self.database = database
        self.postgres = Postgres(folder / "postgres")
        self.mlflow = MlflowServer(folder / "mlflow", self.postgres)
        self.airflow: Airflow | None = None
        self._commands: list[Child] = []
        self._stopping = threading.Event()

    def start_postgres(self) -> None:
        self.postgres.start()
        self.postgres.create_database(self.database)
        port, password = self.postgres.port, (self.postgres.folder / "password").read_text()
        write_private(self.folder / "pgpass", f"{HOST}:{port}:*:{USER}:{password}\n")

    def start_airflow(self) -> Airflow:
        """Start it, and return when it reports healthy."""
        self._refuse_when_stopping()
        self.airflow = Airflow(
            self.folder / "airflow",
            self.postgres,
            connections={CONNECTION: self.url},
            extra_env={**self.mlflow.env(), "INFERENCE_STATE": str(self.folder)},
        )
        self.airflow.start()
        self.airflow.wait_healthy()
        return self.airflow

    @property
    def url(self) -> str:
        """Of the database with the messages and the predictions."""
        return self.postgres.libpq_url(self.database)

    def env(self) -> dict[str, str]:
        """For commands that work on this stack."""
        return {
            **os.environ,
            **self.mlflow.env(),
            "AIRFLOW_CONN_" + CONNECTION.upper(): self.url,
            "INFERENCE_STATE": str(self.folder),
            "PYTHONPATH": str(REPOSITORY),
        }

    def command(self, name: str, arguments: Sequence[str | Path]) -> None:
        """Run `python ARGUMENTS` to its end; ServiceError with the end of its log if it fails."""
        self._refuse_when_stopping()
        log = self.folder / "logs" / (name.replace(" ", "-") + ".log")
        child = start(name, [sys.executable, *arguments], log, env=self.env(), cwd=REPOSITORY)
        self._commands.append(child)
        if not child.wait(COMMAND_SECONDS):
            child.kill()
            raise child.failure(f"was not done after {COMMAND_SECONDS} s")
        self._refuse_when_stopping()
        if child.exit_code != 0:
            raise child.failure(f"ended with exit code {child.exit_code}")
        child.kill()

    def has_model(self, name: str) -> bool:
        """Whether the registry knows a version with the alias that the jobs use."""
        answer = requests.get(
            self.mlflow.url + "/api/2.0/mlflow/registered-models/alias",
            params={"name": name, "alias": ALIAS},
            timeout=30,
        )
        if answer.ok or answer.status_code == 404:
            return answer.ok
        # MLflow answers 400 to the name of an alias that does not exist.
        if answer.json().get("error_code") in (
            "RESOURCE_DOES_NOT_EXIST",
            "INVALID_PARAMETER_VALUE",
        ):
            return False
        raise DemoError(f"MLflow says {answer.status_code}: {answer.text[:500]}. Log: {self.mlflow.log}")

    def check(self) -> None:
        """ServiceError if a server has ended by itself."""
        self.postgres.check()
        self.mlflow.check()
        if self.airflow is not None:
            self.airflow.check()

    def stop(self) -> None:
        """Stop everything, the database last; may be called from any state and more than once."""
        self._stopping.set()
        for child in self._commands:
            child.kill()
        if self.airflow is not None:
            self.airflow.stop()
        self.mlflow.stop()
        self.postgres.stop()

    def _refuse_when_stopping(self) -> None:
        if self._stopping.is_set():
            raise DemoError("the demo is being stopped")


def train(name: str) -> list[str | Path]:
    """Arguments that train and register a model: the intent model on the versions of this
    environment, the keyword model on those of its own requirements."""
    options = ["--name", name, "--alias", ALIAS]
    if name == "intent":
        return [REPOSITORY / "examples" / name / "train.py", *options]
    return ["-m", "inference", "models", "register", REPOSITORY / "examples" / name, *options]
