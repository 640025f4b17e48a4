"""The way to Postgres: it knows the points that pass, and lets the injector strike there."""

from __future__ import annotations

import re
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

from chaos.injector import Injector
from chaos.scenario import POINTS, Fault

STALL = 1.0  # seconds
ANSWER = 2.0  # seconds that the answer to a message is waited for
SLOW_BLOCK, SLOW_PAUSE = 256, 0.004  # bytes, seconds


class Proxy:
    """Forwards connections to the server that `port` names at the time."""

    def __init__(self, injector: Injector) -> None:
        self._injector = injector
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._injector.server.port), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            connection = _Connection(self._injector, client, server)
            threading.Thread(target=connection.up, daemon=True).start()
            threading.Thread(target=connection.down, daemon=True).start()


class _Connection:
    def __init__(self, injector: Injector, client: socket.socket, server: socket.socket) -> None:
        self._injector, self._client, self._server = injector, client, server
        self._pid = 0
        self._point = ""  # the last one of this transaction
        self._copying = False
        self._slow = 0  # bytes that pass slowly
        self._muted = False
        self._answered = threading.Event()

    def up(self) -> None:
        """From the client to the server."""
        with suppress(OSError):
            while block := self._client.recv(65536):
                if not self._pid:
                    self._pid = _sender(block)
                point = self._recognise(block)
                fault = self._injector.hit(point, self._pid) if point else None
                if fault is None:
                    self._send(block)
                elif not self._strike(fault, block):
                    break
        _end(self._server, socket.SHUT_WR)

    def down(self) -> None:
        """From the server to the client."""
        with suppress(OSError):
            while block := self._server.recv(65536):
                self._answered.set()
                if not self._muted:
                    with suppress(OSError):  # the client's side is cut; the server goes on
                        self._client.sendall(block)
        self._answered.set()
        _end(self._client)
        self._client.close()
        self._server.close()

    def _recognise(self, block: bytes) -> str:
        """The point that this block is, if any. Data of a COPY comes after its command."""
        if self._copying and block[:1] == b"d":
            self._copying = False
            self._point = "copy"
            return "copy"
        if b"COMMIT\0" in block:
            point, self._point = self._point, ""
            return f"commit:{point}" if point else ""
        for point, mark in POINTS.items():
            if mark in block:
                if point == "copy":
                    self._copying = True
                    return ""
                self._point = point
                return point
        return ""

    def _strike(self, fault: Fault, block: bytes) -> bool:
        """Let the fault happen before, in the middle of or after this message; False if the connection is gone."""
        part = {"before": 0, "middle": len(block) // 2, "after": len(block)}[fault.moment]
        # The message takes effect, and its sender never hears of it.
        self._muted = fault.moment == "after" and fault.action in ("cut", "kill", "crash", "kill -9", "kill -9 session")
        self._answered.clear()
        self._send(block[:part])
        if fault.moment == "after":
            self._answered.wait(ANSWER)
        if fault.action in ("cut", "kill"):
            if fault.action == "kill":
                self._injector.act(fault, self._pid)
            _end(self._client)
            return False
        if fault.action == "slow":
            self._slow = 200_000
        elif fault.action == "stall":
            time.sleep(STALL)
        else:
            self._injector.act(fault, self._pid)
        while stopped(self._pid):
            time.sleep(0.01)
        self._muted = False
        self._send(block[part:])
        return True

    def _send(self, block: bytes) -> None:
        while block:
            size = SLOW_BLOCK if self._slow > 0 else len(block)
            if self._slow > 0:
                time.sleep(SLOW_PAUSE)
                self._slow -= size
            self._server.sendall(block[:size])
            block = block[size:]


def _sender(startup: bytes) -> int:
    """The process that connects says so in its application_name."""
    found = re.search(rb"application_name\0[a-z]+:(\d+)\0", startup)
    return int(found[1]) if found else 0


def stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except (OSError, IndexError):
        return False


def _end(connection: socket.socket, how: int = socket.SHUT_RDWR) -> None:
    with suppress(OSError):
        connection.shutdown(how)
