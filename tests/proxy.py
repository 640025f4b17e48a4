"""A way to Postgres that loses the answer to a COMMIT, as a network does."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Literal

Lost = Literal["answer", "request"]


class Proxy:
    """Forwards connections to a server. `losses`: what becomes of the COMMIT of each chunk, in order.

    `answer`: the server commits, and the connection breaks before it can say so.
    `request`: the connection breaks before the server hears of it. None: nothing happens.
    """

    def __init__(self, port: int, losses: list[Lost | None]) -> None:
        self._server = port
        self._losses = losses
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.lost = 0

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server))
            threading.Thread(target=self._up, args=(client, server), daemon=True).start()
            threading.Thread(target=self._down, args=(client, server), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        copied = False
        while block := _receive(client):
            copied = copied or b"COPY " in block
            if copied and b"COMMIT\0" in block:
                copied = False
                loss = self._losses.pop(0) if self._losses else None
                if loss:
                    self.lost += 1
                    _end(client)
                    if loss == "answer":
                        server.sendall(block)
                        continue
                    break
            try:
                server.sendall(block)
            except OSError:
                break
        _end(server, socket.SHUT_WR)

    def _down(self, client: socket.socket, server: socket.socket) -> None:
        while block := _receive(server):
            try:
                client.sendall(block)
            except OSError:  # the client's side is cut; the server goes on
                continue
        _end(client)
        client.close()
        server.close()


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except OSError:
        return b""


def _end(connection: socket.socket, how: int = socket.SHUT_RDWR) -> None:
    with suppress(OSError):
        connection.shutdown(how)
