"""A stub of MLflow over HTTP: calls that `inference/models/mlflow_rest.py` makes, and the ways in which it fails."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from chaos import model

SLOW = 0.5  # seconds


class Registry:
    """Versions 1 and 2 of the model `stub`, the files of each in `folder`. `tell` hears of every call."""

    def __init__(self, folder: Path, numbers: bool, amount: str, tell: Callable[[], None]) -> None:
        self._folder = folder
        self._tell = tell
        self.champion = 1
        self.deleted = False  # whether the champion has been
        self.failure = ""  # `down`, `slow`, `500` or nothing
        self.reports = 0
        for version in (1, 2):
            model.write_files(folder / str(version), version, numbers, amount)
        handler = type("Bound", (_Handler,), {"registry": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, values: dict[str, str]) -> tuple[int, dict[str, Any] | None]:
        """Status and content; no content is a connection that breaks."""
        self._tell()
        if self.failure == "down":
            return 0, None
        if self.failure == "500":
            return 500, {"message": "out of order"}
        if self.failure == "slow":
            time.sleep(SLOW)
        call = path.removeprefix("/api/2.0/mlflow/")
        if call == "runs/create":
            self.reports += 1
            return 200, {"run": {"info": {"run_id": f"report-{self.reports}"}}}
        if call == "experiments/get-by-name":
            return 200, {"experiment": {"experiment_id": "1"}}
        if call.startswith("runs/"):
            return 200, {}
        if self.deleted:
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "there is no such version"}
        version = values.get("version", str(self.champion))
        if call == "model-versions/get-download-uri":
            return 200, {"artifact_uri": str(self._folder / version)}
        found = {"name": "stub", "version": version, "source": f"models:/m-{version}", "run_id": ""}
        return 200, {"model_version": found}


class _Handler(BaseHTTPRequestHandler):
    registry: Registry

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        self._send(address.path, {name: values[0] for name, values in parse_qs(address.query).items()})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._send(self.path, {})

    def _send(self, path: str, values: dict[str, str]) -> None:
        status, content = self.registry.answer(path, values)
        if content is None:
            self.close_connection = True
            return
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass
