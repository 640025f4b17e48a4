"""A Kubernetes API server of the size of these tests: the calls on pods that the runner makes, over HTTP with a token.

Pods are admitted by `admission.py` and run by `node.py`.
"""

from __future__ import annotations

import json
import secrets as random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import docker
import yaml

from tests.e2e.admission import violations
from tests.e2e.node import RunningPod


class ApiServer(ThreadingHTTPServer):
    """`secrets`: by name, then by key. `received`: all request bodies. `cut_log`: lines after which the next log that
    is followed breaks off, as when a connection is lost."""

    daemon_threads = True

    def __init__(self, client: Any) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.client = client
        self.pods: dict[tuple[str, str], RunningPod] = {}
        self.secrets: dict[str, dict[str, str]] = {}
        self.received: list[str] = []
        self.cut_log: int | None = None
        self.lock = threading.Lock()
        self.token = random.token_hex(16)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def write_kubeconfig(self, path: Path) -> None:
        name = {"name": "test"}
        content = {
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{**name, "cluster": {"server": self.url}}],
            "users": [{**name, "user": {"token": self.token}}],
            "contexts": [{**name, "context": {"cluster": "test", "user": "test"}}],
        }  # fmt: skip
        path.write_text(yaml.safe_dump(content))

    def create(self, namespace: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        name = body["metadata"]["name"]
        broken = violations(body)
        if broken:
            return status(403, f'pods "{name}" is forbidden: violates PodSecurity "restricted": {", ".join(broken)}')
        with self.lock:
            if (namespace, name) in self.pods:
                return status(409, f'pods "{name}" already exists')
            pod = self.pods[namespace, name] = RunningPod(self.client, body, self.secrets)
        threading.Thread(target=pod.start, daemon=True).start()
        return 201, pod.json()

    def find(self, namespace: str, selector: str) -> list[dict[str, Any]]:
        wanted = set(filter(None, selector.split(",")))
        with self.lock:
            pods = [pod for (place, _), pod in self.pods.items() if place == namespace]
        return [
            pod.json() for pod in pods
            if wanted <= {f"{key}={value}" for key, value in pod.body["metadata"].get("labels", {}).items()}
        ]  # fmt: skip

    def delete(self, key: tuple[str, str], seconds: int) -> None:
        self.pods[key].delete(seconds, lambda: self.pods.pop(key, None))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ApiServer

    def handle_one_request(self) -> None:
        with suppress(ConnectionError):  # a task that was killed
            super().handle_one_request()

    def do_GET(self) -> None:
        self._route()

    def do_POST(self) -> None:
        self._route()

    def do_DELETE(self) -> None:
        self._route()

    def _route(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.server.received.append(body)
        address = urlsplit(self.path)
        query = dict(parse_qsl(address.query))
        _, _, _, _, namespace, _, *rest = address.path.split("/")  # /api/v1/namespaces/NAMESPACE/pods...
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            return self._answer(*status(401, "Unauthorized"))
        if not rest:
            if self.command == "POST":
                return self._answer(*self.server.create(namespace, json.loads(body)))
            return self._answer(200, {"items": self.server.find(namespace, query.get("labelSelector", ""))})
        pod = self.server.pods.get((namespace, rest[0]))
        if pod is None:
            return self._answer(*status(404, f'pods "{rest[0]}" not found'))
        if self.command == "DELETE":
            self.server.delete((namespace, rest[0]), int(query["gracePeriodSeconds"]))
        if rest[1:] == ["log"]:
            return self._log(pod, query)
        return self._answer(200, pod.json())

    def _answer(self, code: int, content: Mapping[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _log(self, pod: RunningPod, query: Mapping[str, str]) -> None:
        if pod.container is None:
            return self._answer(*status(400, "container is waiting to start"))
        since = {"since": time.time() - int(query["sinceSeconds"])} if "sinceSeconds" in query else {}
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        left, self.server.cut_log = self.server.cut_log, None
        with suppress(docker.errors.NotFound), following(pod.container, **since) as lines:
            for line in lines:
                if left == 0:
                    self.close_connection = True
                    return None
                left = None if left is None else left - 1
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n")
        return None

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: this server's requests are no part of a test's output."""


@contextmanager
def following(container: Any, **since: float) -> Iterator[Iterator[bytes]]:
    lines = container.logs(stream=True, follow=True, timestamps=True, **since)
    try:
        yield lines
    finally:
        lines._response.close()  # its own close() leaves a half of the socket open


def status(code: int, message: str) -> tuple[int, dict[str, Any]]:
    return code, {"kind": "Status", "status": "Failure", "code": code, "message": message}


@contextmanager
def serving(client: Any) -> Iterator[ApiServer]:
    """An API server, and at the end none of its containers."""
    server = ApiServer(client)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        for pod in list(server.pods.values()):
            pod.stop(0)
