"""A real PgBouncer before the tests' Postgres."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

from services.files import free_port
from services.postgres import Postgres
from tests.conftest import WORKER, memory_folder


def require_pgbouncer() -> str:
    """The program; the test is skipped where there is none, but in continuous integration it fails."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None and os.environ.get("CI"):
        pytest.fail("pgbouncer is not installed; .ci/run does it")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    return program


@contextmanager
def pgbouncer(postgres: Postgres, **settings: str) -> Iterator[int]:
    """The port of a pooler, as Debian's package configures one but for `settings`."""
    program, port = require_pgbouncer(), free_port(28432 + WORKER)
    folder = Path(tempfile.mkdtemp(prefix="inference-pgbouncer-", dir=memory_folder()))
    folder.chmod(0o755)
    password = (postgres.folder / "password").read_text().strip()
    lines = {
        "listen_addr": "127.0.0.1",
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_type": "any",
        "logfile": str(folder / "log"),
        **settings,
    }
    target = f"host=127.0.0.1 port={postgres.port} user=postgres password={password}"
    file = folder / "pgbouncer.ini"
    text = "".join(f"{key} = {value}\n" for key, value in lines.items())
    file.write_text(f"[databases]\n* = {target}\n[pgbouncer]\n{text}")
    command = [program, str(file)]
    if os.getuid() == 0:  # which it refuses to be
        shutil.chown(folder, "nobody")
        shutil.chown(file, "nobody")
        command += ["-u", "nobody"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            _await(port)
            yield port
        finally:
            process.kill()
            shutil.rmtree(folder)


def _await(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            psycopg2.connect(f"host=127.0.0.1 port={port} dbname=postgres user=postgres connect_timeout=5").close()
            return
        except psycopg2.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
