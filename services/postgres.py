"""An embedded PostgreSQL server: its binaries, its data directory, its life.

<folder>/data           the data directory (a link, if root keeps it outside a closed home)
<folder>/password       of the user `postgres`, for its owner only
<folder>/port           the port of the last start, taken again if it is free
<folder>/postgres.log
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import psutil  # type: ignore[import-untyped]
import psycopg2
from psycopg2 import sql

from services import postgres_binaries
from services.files import free_port, read_or_create_secret, write_private
from services.process import Account, Child, ServiceError, identity, start

USER = "postgres"
HOST = "127.0.0.1"
START_SECONDS = 120  # recovery after a crash reads the log of what was written since
STOP_SECONDS = 30
RETRIES = 5
OUTSIDE = Path("/var/tmp")  # for the data of a root whose home directory is closed
# Gone when tried again; the last after a crash beside a transaction with unlogged tables (PostgreSQL's bug 17731).
PASSING = ("Address already in use", "shared memory block", "could not create file")


class Postgres:
    """One server with its data in `folder`; `settings` are given on its command line."""

    def __init__(self, folder: Path, *, port: int = 5432, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder.absolute()
        self.log = self.folder / "postgres.log"
        self.port = port
        self._settings = dict(settings or {})
        self._child: Child | None = None

    def __enter__(self) -> Postgres:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._running().pid

    def start(self) -> None:
        """Start the server, with a new data directory if there is none."""
        if self._child is not None and self._child.running:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        account = postgres_binaries.account(self.folder / "data")
        data = self._data_directory(account)
        binaries = postgres_binaries.find(data, account)
        if not (data / "PG_VERSION").exists():
            self._initialise(binaries, data, account)
        self._await_predecessor(data)
        for attempt in range(RETRIES):
            try:
                return self._start_once(binaries, data, account)
            except ServiceError as error:
                if attempt == RETRIES - 1 or not any(cause in str(error) for cause in PASSING):
                    raise

    def check(self) -> None:
        """ServiceError if it has ended by itself."""
        if not self._running().running:
            raise self._running().failure("has ended")

    def stop(self) -> None:
        """End all sessions, write everything down, and stop."""
        self._end(signal.SIGINT)

    def stop_immediately(self) -> None:
        """Stop as in a power cut, yet leaving no process: the next start recovers."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """kill -9 of the server and all its sessions."""
        self._running().kill()
        self._child = None

    def url(self, database: str) -> str:
        """For SQLAlchemy."""
        return "postgresql+psycopg2" + self._address(database)

    def libpq_url(self, database: str) -> str:
        """For psql, psycopg2 and people."""
        return "postgresql" + self._address(database)

    def create_database(self, name: str, template: str | None = None) -> bool:
        """Create a database, as a copy of `template` if given; False if it was there."""
        with self._cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if cursor.fetchone():
                return False
            statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
            if template is not None:
                statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
            cursor.execute(statement)
        return True

    def drop_database(self, name: str) -> None:
        """Drop a database, ending its sessions; nothing happens if there is none."""
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        with self._cursor() as cursor:
            cursor.execute(statement)

    def _start_once(self, binaries: Path, data: Path, account: Account | None) -> None:
        self.port = free_port(self._remembered_port())
        settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            **self._settings,
        }
        command: list[str | Path] = [binaries / "postgres", "-D", data]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        child = start(
            "PostgreSQL",
            command,
            self.log,
            cwd=data.parent if account is None else Path("/"),
            account=account,
            stop_signal=signal.SIGINT,
        )
        try:
            child.await_ready(self._answers, START_SECONDS)
        except BaseException:
            child.stop()
            raise
        self._child = child
        write_private(self.folder / "port", str(self.port))

    def _remembered_port(self) -> int:
        file = self.folder / "port"
        return int(file.read_text()) if file.exists() else self.port

    def _answers(self) -> bool:
        try:
            psycopg2.connect(self.libpq_url("postgres"), connect_timeout=5).close()
        except psycopg2.OperationalError:
            return False
        return True

    def _data_directory(self, account: Account | None) -> Path:
        data = self.folder / "data"
        if account is None or data.exists() or postgres_binaries.can_reach(self.folder, account):
            return data.resolve()
        # A server that is not root cannot enter root's home directory.
        elsewhere = OUTSIDE / f"postgres-{secrets.token_hex(8)}" / "data"
        elsewhere.parent.mkdir(mode=0o755)
        data.unlink(missing_ok=True)
        data.symlink_to(elsewhere)
        return elsewhere

    def _initialise(self, binaries: Path, data: Path, account: Account | None) -> None:
        draft = data.with_name("data.draft")  # renamed when whole: a killed initdb is redone
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        password = data.with_name("password.draft")
        write_private(password, read_or_create_secret(self.folder / "password"))
        uid, gid, groups = identity(account)
        if account is not None:
            os.chown(draft, account.uid, account.gid)
            os.chown(password, account.uid, account.gid)
        command = [str(binaries / "initdb"), "-D", str(draft), "--username", USER]
        command += ["--pwfile", str(password), "--auth=scram-sha-256", "--encoding=UTF8"]
        # The server's own rules of order are the same on every machine; a system's are not.
        command += ["--locale=C", "--no-instructions"]
        if self._settings.get("fsync") == "off":
            command.append("--no-sync")
        try:
            with self.log.open("ab") as log:
                self.log.chmod(0o600)
                subprocess.run(
                    command,
                    check=True,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    user=uid,
                    group=gid,
                    extra_groups=groups,
                )
        except (OSError, subprocess.CalledProcessError) as error:
            raise ServiceError(f"initdb failed: {error}. Read {self.log}; is the disk full?") from error
        finally:
            password.unlink()
        draft.rename(data)

    def _await_predecessor(self, data: Path) -> None:
        """After kill -9 the file postmaster.pid stays; its number may be anybody's by now."""
        file = data / "postmaster.pid"
        try:
            process = psutil.Process(int(file.read_text().splitlines()[0]))
            ours = str(data) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
        except (FileNotFoundError, psutil.NoSuchProcess, IndexError, ValueError):
            ours = False
        if ours:
            try:
                process.wait(STOP_SECONDS)  # its parent has ended, and it is about to
            except psutil.TimeoutExpired:
                raise ServiceError(
                    f"process {process.pid} already serves {data}: stop what started it, or end "
                    f"it with `kill -INT {process.pid}`, then start again."
                ) from None
        file.unlink(missing_ok=True)

    def _end(self, number: signal.Signals) -> None:
        if self._child is not None:
            self._child.stop(STOP_SECONDS, number)
            self._child = None

    def _running(self) -> Child:
        if self._child is None:
            raise ServiceError(f"PostgreSQL in {self.folder} is not running: call start() first")
        return self._child

    def _address(self, database: str) -> str:
        password = (self.folder / "password").read_text().strip()
        return f"://{USER}:{password}@{HOST}:{self.port}/{database}"

    def _cursor(self) -> _Cursor:
        return _Cursor(self.libpq_url("postgres"))


class _Cursor:
    """A cursor outside any transaction, as CREATE DATABASE demands."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg2.connect(url, connect_timeout=10)
        self._connection.autocommit = True

    def __enter__(self) -> psycopg2.extensions.cursor:
        return self._connection.cursor()

    def __exit__(self, *error: object) -> None:
        self._connection.close()
