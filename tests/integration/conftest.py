"""A real MLflow server, started by the first test that asks for it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.mlflow_server import MlflowServer
from services.postgres import Postgres
from tests.conftest import WORKER, memory_folder


@pytest.fixture(scope="session")
def mlflow_server(postgres: Postgres) -> Iterator[MlflowServer]:
    folder = Path(tempfile.mkdtemp(prefix="inference-mlflow-", dir=memory_folder()))
    server = MlflowServer(folder, postgres, port=25500 + WORKER)
    server.start()
    server.wait_healthy()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def unpickling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether MLflow unpickles is said for a whole process: a test that loads a model leaves nothing of it behind."""
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")
