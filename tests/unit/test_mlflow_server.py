"""MLflow is healthy when it says so; whatever else is heard on its port is not an answer."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from services.mlflow_server import MlflowServer
from services.postgres import Postgres


@pytest.mark.parametrize(
    ("answer", "healthy"),
    [(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True), (b"GET /health HTTP/1.1\r\n\r\n", False), (b"", False)],
    ids=["well", "itself", "nothing"],
)
def test_only_an_answer_of_a_server_counts(tmp_path: Path, answer: bytes, healthy: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = MlflowServer(tmp_path / "mlflow", Postgres(tmp_path / "postgres"), port=listener.getsockname()[1])

        def say() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        speaker = threading.Thread(target=say)
        speaker.start()
        try:
            assert server._answers() is healthy
        finally:
            speaker.join()
