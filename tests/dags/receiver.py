"""A receiver of webhooks on this machine; the fixture is in conftest.py."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

SECRET = "T0-geheim"  # in the path


class Receiver:
    """Keeps what was posted; gives `answers` in turn, then 200."""

    def __init__(self) -> None:
        self.posts: list[Any] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.answers: list[int] = []
        self.wait = 0.0  # seconds before an answer
        self.port = 0


@contextmanager
def receiving() -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.requests.append((self.path, dict(self.headers)))
            time.sleep(found.wait)
            status = found.answers.pop(0) if found.answers else 200
            if status == 200:
                found.posts.append(json.loads(body))
            self.send_response(status)
            self.send_header("Location", f"http://127.0.0.1:{found.port}/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        found.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        server.shutdown()
        thread.join()
