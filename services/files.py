"""Small things that several services keep on disk or ask of the machine."""

from __future__ import annotations

import os
import random
import secrets
import socket
from pathlib import Path

HOST = "127.0.0.1"
# Linux gives the ports from 32768 on to connections: a client that waits for a server on one of those can be given that
# very port, is connected to itself, and the server finds it in use. From 30000 on they are Kubernetes' node ports.
OTHER_PORTS = range(20_000, 30_000)
TRIES = 50


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def read_or_create_secret(path: Path, size: int = 24) -> str:
    """A random secret that is made once and kept; hexadecimal, so that no URL needs quoting."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, secrets.token_hex(size))
    return path.read_text().strip()


def free_port(preferred: int) -> int:
    """The preferred port of 127.0.0.1 if nobody listens there, else one of OTHER_PORTS that is free now."""
    for port in (preferred, *random.sample(OTHER_PORTS, TRIES)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("this machine has no free port left")
