"""A Postgres of its own, to be killed; its data in memory, and a small disk for work tables that can be filled."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2

from inference.base.database import Databases
from inference.schema import migrate
from services import postgres_binaries
from services.postgres import Postgres

MEMORY = Path("/dev/shm")
SETTINGS = {
    "fsync": "off",  # killed processes lose nothing by it, only a power cut would
    "synchronous_commit": "on",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "deadlock_timeout": "200ms",
    "log_lock_waits": "on",
}
TEMPLATE = "template_chaos"
DISK_SIZE = "24m"
CRASH_SECONDS = 60


class Server:
    """One server for many seeds; `disk` says whether there is a disk that can be filled."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="inference-chaos-", dir=MEMORY if MEMORY.is_dir() else None))
        self.folder.chmod(0o755)
        self._postgres = Postgres(self.folder, port=25632, settings=SETTINGS)
        self._disk = self.folder / "disk"
        self._lock = threading.Lock()
        self.crashes = 0
        self.disk = False

    def __enter__(self) -> Server:
        self._postgres.start()
        self._postgres.create_database(TEMPLATE)
        migrate.upgrade(Databases({"predictions": self._postgres.url(TEMPLATE)}), lambda _: None)
        self.disk = self._mount()
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._postgres.stop_immediately()
        finally:
            if self.disk:
                subprocess.run(["umount", str(self._disk)], check=True)
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def port(self) -> int:
        return self._postgres.port

    def address(self, database: str, port: int = 0) -> str:
        """For psycopg2; by way of `port` if given."""
        url = self._postgres.libpq_url(database)
        return url.replace(f":{self._postgres.port}/", f":{port or self._postgres.port}/")

    def create(self, name: str, small_disk: bool = False, template: str | None = TEMPLATE) -> None:
        self._postgres.create_database(name, template)
        if small_disk:
            with self.session("postgres") as cursor:
                cursor.execute(f"ALTER DATABASE {name} SET default_tablespace = small")

    def drop(self, name: str) -> None:
        self._postgres.drop_database(name)

    @contextmanager
    def session(self, database: str) -> Iterator[Any]:
        """A cursor in autocommit, with the settings that the hash depends on."""
        connection = psycopg2.connect(self.address(database), connect_timeout=5, application_name="harness")
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SET TimeZone = 'UTC'; SET lock_timeout = '2s'; SET extra_float_digits = 1")
                yield cursor
        finally:
            connection.close()

    def crash(self, how: str) -> None:
        """`crash` (immediate shutdown), `kill -9`, or `kill -9 session`, which ends all others; it comes back."""
        with self._lock:
            self.free()  # a server whose disk is full cannot recover: somebody makes room first
            self.crashes += 1
            if how == "kill -9 session":
                self._kill_session()
            else:
                self._postgres.stop_immediately() if how == "crash" else self._postgres.kill()
                self._postgres.start()
            self.await_ready()

    def settle(self) -> None:
        """Wait until no crash is under way."""
        with self._lock:
            pass

    def await_ready(self) -> None:
        end = time.monotonic() + CRASH_SECONDS
        while True:
            try:
                with self.session("postgres"):
                    return
            except psycopg2.Error:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def fill(self) -> None:
        """Take all the room of the small disk."""
        with suppress(OSError), (self._disk / "ballast").open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()

    def free(self) -> None:
        (self._disk / "ballast").unlink(missing_ok=True)

    def _kill_session(self) -> None:
        with self.session("postgres") as cursor:
            cursor.execute("SELECT pg_postmaster_start_time(), pg_backend_pid()")
            os.kill(cursor.fetchone()[1], signal.SIGKILL)
            with suppress(psycopg2.Error):
                cursor.execute("SELECT 1")

    def _mount(self) -> bool:
        """A tablespace on a small file system in memory; only root can mount one."""
        self._disk.mkdir()
        if os.geteuid() != 0 or shutil.which("mount") is None:
            return False
        account = postgres_binaries.account(self.folder / "data")
        owner = f",uid={account.uid},gid={account.gid}" if account else ""
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_SIZE},mode=0700{owner}", "chaos", str(self._disk)]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            return False
        with self.session("postgres") as cursor:
            (self._disk / "tables").mkdir()
            if account:
                os.chown(self._disk / "tables", account.uid, account.gid)
            cursor.execute(f"CREATE TABLESPACE small LOCATION '{self._disk / 'tables'}'")
        return True
