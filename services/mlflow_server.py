"""An MLflow tracking server on this machine: registry in PostgreSQL, artifacts in a folder."""

from __future__ import annotations

import http.client
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

from services.files import free_port, write_private
from services.postgres import HOST, Postgres
from services.process import Child, start

DATABASE = "mlflow"
START_SECONDS = 180  # a first start creates some sixty tables
STOP_SECONDS = 10
# Half the memory of the default settings, and nothing is sent to anybody.
LIGHT = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}


class MlflowServer:
    """`url` is for MLFLOW_TRACKING_URI; state lies in `folder` and in the database `mlflow`."""

    def __init__(self, folder: Path, postgres: Postgres, *, port: int = 5000) -> None:
        self.folder = folder.absolute()
        self.log = self.folder / "mlflow.log"
        self.port = port
        self._postgres = postgres
        self._child: Child | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def env(self) -> dict[str, str]:
        """What a client needs to find this server."""
        return {"MLFLOW_TRACKING_URI": self.url, "MLFLOW_DISABLE_TELEMETRY": "true"}

    def start(self) -> None:
        """Start the server; `wait_healthy` waits for it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._postgres.create_database(DATABASE)
        remembered = self.folder / "port"
        self.port = free_port(int(remembered.read_text()) if remembered.exists() else self.port)
        write_private(remembered, str(self.port))
        command = [sys.executable, "-m", "mlflow", "server", "--host", HOST]
        command += ["--port", str(self.port), "--workers", "1", "--artifacts-destination"]
        command += [str(self.folder / "artifacts")]
        # In the environment: a command line, and with it the password, is for everybody to see.
        backend = {"MLFLOW_BACKEND_STORE_URI": self._postgres.url(DATABASE)}
        environment = {**os.environ, **LIGHT, **backend}
        self._child = start("MLflow", command, self.log, env=environment, cwd=self.folder)

    def wait_healthy(self) -> None:
        if self._child is not None:
            self._child.await_ready(self._answers, START_SECONDS)

    def check(self) -> None:
        """ServiceError if it has ended by itself."""
        if self._child is not None and not self._child.running:
            raise self._child.failure("has ended")

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop(STOP_SECONDS)
            self._child = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError, http.client.HTTPException):
            return False  # also what it hears of itself: on a free port a connection may be given that very port
