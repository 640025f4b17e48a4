"""The REST client against a server that answers from a list: services/airflow_api.py."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from services.airflow_api import AirflowApi, AirflowError


class Server(ThreadingHTTPServer):
    """`answers` are given in turn; `seen` holds method, path, token and body of each request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, Any]] = []
        self.seen: list[tuple[str, str, str | None, Any]] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")
        self.server.seen.append((self.command, self.path, self.headers.get("Authorization"), body))
        status, answer = self.server.answers.pop(0)
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PATCH = do_POST

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def api(server: Server) -> AirflowApi:
    return AirflowApi(f"http://127.0.0.1:{server.server_port}", "admin", "hush")


TOKEN = (201, {"access_token": "t1"})


def test_a_run_is_triggered_with_a_token(server: Server, api: AirflowApi) -> None:
    server.answers = [TOKEN, (200, {"dag_run_id": "r1"})]
    assert api.trigger("intent", {"limit": 3}) == "r1"
    assert server.seen == [
        ("POST", "/auth/token", None, {"username": "admin", "password": "hush"}),
        ("POST", "/api/v2/dags/intent/dagRuns", "Bearer t1", {"logical_date": None, "conf": {"limit": 3}}),
    ]


def test_a_token_that_has_run_out_is_renewed(server: Server, api: AirflowApi) -> None:
    server.answers = [TOKEN, (401, {}), (201, {"access_token": "t2"}), (200, {"state": "running"})]
    assert api.run("intent", "r1") == {"state": "running"}
    assert server.seen[-1][2] == "Bearer t2"


def test_a_refused_conf_shows_why(server: Server, api: AirflowApi) -> None:
    server.answers = [TOKEN, (400, {"detail": "limit: -1 is less than 0"})]
    with pytest.raises(AirflowError, match="limit: -1 is less than 0") as caught:
        api.trigger("intent", {"limit": -1})
    assert caught.value.status == 400


def test_waiting_ends_with_the_run(server: Server, api: AirflowApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.airflow_api.POLL_SECONDS", 0)
    server.answers = [TOKEN, *((200, {"state": state}) for state in ("queued", "running", "failed"))]
    states: list[str] = []
    assert api.wait("intent", "r1", 10, lambda run: states.append(run["state"])) == "failed"
    assert states == ["queued", "running", "failed"]


def test_waiting_is_bounded(server: Server, api: AirflowApi) -> None:
    server.answers = [TOKEN, (200, {"state": "running"})]
    with pytest.raises(AirflowError, match=r"r1 of intent is running after 0 s: look at http"):
        api.wait("intent", "r1", 0)


def test_a_dag_that_does_not_appear_shows_the_import_errors(server: Server, api: AirflowApi) -> None:
    broken = {"import_errors": [{"filename": "predictions.py", "stack_trace": "NameError: x"}]}
    server.answers = [TOKEN, (404, {}), (200, broken)]
    with pytest.raises(AirflowError, match=r"'intent' did not appear .* predictions\.py: NameError: x"):
        api.await_dag("intent", 0)


def test_a_pool_that_exists_is_changed(server: Server, api: AirflowApi) -> None:
    server.answers = [TOKEN, (409, {}), (200, {})]
    api.set_pool("predictions", 2, "why")
    assert server.seen[-1][:2] == ("PATCH", "/api/v2/pools/predictions")
    assert server.seen[-1][3]["slots"] == 2


def test_logs_come_as_lines(server: Server, api: AirflowApi) -> None:
    error = {"exc_type": "ValueError", "exc_value": "no shard 7"}
    events = [
        {"timestamp": "12:00", "event": "hello", "level": "info", "logger": "task"},
        {"timestamp": "12:01", "event": "failed", "level": "error", "error_detail": [error]},
        {"timestamp": None, "event": "::group::"},
    ]
    server.answers = [TOKEN, (200, {"content": events})]
    assert api.log("intent", "r1", "plan") == "12:00 hello\n12:01 ERROR failed ValueError: no shard 7\n::group::"


def test_no_server_is_an_error_without_the_password(server: Server) -> None:
    api = AirflowApi("http://127.0.0.1:1", "admin", "hush")
    with pytest.raises(AirflowError, match="does not answer") as caught:
        api.health()
    assert "hush" not in str(caught.value)
