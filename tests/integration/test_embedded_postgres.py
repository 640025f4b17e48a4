"""The embedded server keeps what it was given, whatever happens: services/postgres.py."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil  # type: ignore[import-untyped]
import psycopg2
import pytest
from sqlalchemy import create_engine, text

from services import postgres_binaries
from services.postgres import Postgres
from services.process import ServiceError

REPOSITORY = Path(__file__).parents[2]
NO_FSYNC = {"fsync": "off"}


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where possible; open to the user that the server runs as, unlike tmp_path."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def server(folder: Path) -> Iterator[Postgres]:
    with Postgres(folder / "postgres", settings=NO_FSYNC) as running:
        yield running


def execute(server: Postgres, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
    connection = psycopg2.connect(server.libpq_url(database))
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def serving(folder: Path) -> list[int]:
    """The processes whose working directory or command line lies in this folder."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        inside = any(str(folder) in part for part in process.info["cmdline"] or [])
        if inside and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.info["pid"])
    return found


@pytest.mark.parametrize("end", ["stop", "stop_immediately", "kill"])
def test_rows_survive_and_nothing_stays_behind(server: Postgres, end: str) -> None:
    execute(server, "CREATE TABLE kept AS SELECT n FROM generate_series(1, 1000) AS n")
    pid = server.pid

    getattr(server, end)()
    assert not psutil.pid_exists(pid)
    assert serving(server.folder) == []

    server.start()
    assert execute(server, "SELECT count(*), sum(n) FROM kept") == [(1000, 500500)]


def test_a_second_start_has_the_same_password_and_port(server: Postgres, folder: Path) -> None:
    url = server.url("postgres")
    server.start()  # running already: nothing happens
    server.stop()
    with Postgres(folder / "postgres", settings=NO_FSYNC, port=1) as again:
        assert again.url("postgres") == url
        with create_engine(url).connect() as connection:
            assert connection.execute(text("SELECT current_user")).scalar() == "postgres"


def test_a_taken_port_is_left_alone(server: Postgres, folder: Path) -> None:
    with Postgres(folder / "other", port=server.port, settings=NO_FSYNC) as other:
        assert other.port != server.port
        assert execute(other, "SHOW port") == [(str(other.port),)]
        assert execute(server, "SHOW port") == [(str(server.port),)]


def test_only_this_machine_with_the_password_gets_in(server: Postgres) -> None:
    assert execute(server, "SHOW listen_addresses") == [("127.0.0.1",)]
    assert execute(server, "SHOW unix_socket_directories") == [("",)]
    password = server.folder / "password"
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(server.libpq_url("postgres").replace(password.read_text(), "guess"))
    shown = " ".join(psutil.Process(server.pid).cmdline())
    assert password.read_text() not in shown + server.log.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run the server as someone else")
def test_root_runs_the_server_as_someone_else(server: Postgres) -> None:
    assert psutil.Process(server.pid).uids().effective != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as someone else")
def test_root_runs_it_as_the_one_who_owns_the_data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_binaries, "ACCOUNTS", ("nobody",))
    with Postgres(folder / "postgres", settings=NO_FSYNC):
        pass
    monkeypatch.undo()  # as if a user postgres had been added meanwhile
    with Postgres(folder / "postgres", settings=NO_FSYNC) as server:
        assert psutil.Process(server.pid).username() == "nobody"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_ordinary_user_runs_it_directly(folder: Path) -> None:
    account = postgres_binaries.account(folder / "none")
    assert account is not None
    home = folder / "home"
    home.mkdir(mode=0o700)
    os.chown(home, account.uid, account.gid)
    # The real interpreter may lie in root's home directory: become the user after the imports
    # and after the start of the guard, which is a Python process as well.
    code = (
        "import os, json, psutil; from pathlib import Path\n"
        "from services.postgres import Postgres\n"
        "import encodings.idna, psycopg2.extensions\n"
        "from services import guard; guard.watch(0); guard.forget(0)\n"
        f"os.setgroups([]); os.setgid({account.gid}); os.setuid({account.uid})\n"
        f"server = Postgres(Path({str(home)!r}) / 'postgres', settings={NO_FSYNC!r})\n"
        "server.start(); print(json.dumps([os.getuid(), psutil.Process(server.pid).uids().real]))\n"
        "server.stop()"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        cwd="/",
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == [account.uid, account.uid]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as someone else")
def test_root_keeps_data_and_programs_out_of_a_closed_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = postgres_binaries.find(folder / "none", None)
    home = folder / "home"
    closed = home.joinpath("site", *programs.parts[-3:])
    postgres_binaries._copy(programs.parent, home / "site")
    home.chmod(0o700)
    monkeypatch.setenv("PG_BIN", str(closed))
    copies = folder / "copies"
    copies.mkdir()
    monkeypatch.setattr(postgres_binaries, "COPIES", copies)
    monkeypatch.setattr("services.postgres.OUTSIDE", copies)

    with Postgres(home / "postgres", settings=NO_FSYNC) as server:
        assert execute(server, "SELECT 1") == [(1,)]
        (shown,) = execute(server, "SHOW data_directory")
        assert str(shown[0]).startswith(str(copies))
        assert len(list(copies.glob("postgres-programs-*"))) == 1


def test_a_number_in_a_stale_file_may_be_anybodys(server: Postgres) -> None:
    server.kill()
    stale = server.folder / "data" / "postmaster.pid"
    lines = stale.read_text().splitlines()
    stale.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    server.start()
    assert execute(server, "SELECT 1") == [(1,)]


def test_data_in_use_is_an_error_that_says_what_to_do(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.postgres.STOP_SECONDS", 0.1)
    with pytest.raises(ServiceError, match=f"kill -INT {server.pid}"):
        Postgres(server.folder).start()
    assert execute(server, "SELECT 1") == [(1,)]


def test_a_setting_that_does_not_exist_is_quoted(folder: Path) -> None:
    with pytest.raises(ServiceError, match='unrecognized configuration parameter "fsink"'):
        Postgres(folder / "postgres", settings={"fsink": "off"}).start()


def test_an_interrupted_initdb_is_redone(folder: Path) -> None:
    half = folder / "postgres" / "data.draft"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with Postgres(folder / "postgres", settings=NO_FSYNC) as server:
        assert execute(server, "SELECT 1") == [(1,)]
    assert not half.exists()


def test_databases_are_made_once_and_from_a_template(server: Postgres) -> None:
    assert server.create_database("model data")
    assert not server.create_database("model data")
    execute(server, "CREATE TABLE t AS SELECT 7 AS n", "model data")

    assert server.create_database("copy", template="model data")
    assert execute(server, "SELECT n FROM t", "copy") == [(7,)]
    server.drop_database("copy")
    server.drop_database("copy")
    with pytest.raises(psycopg2.OperationalError, match="does not exist"):
        execute(server, "SELECT 1", "copy")


def test_another_version_of_the_programs_is_refused(server: Postgres) -> None:
    server.stop()
    version = server.folder / "data" / "PG_VERSION"
    version.write_text("9\n")
    with pytest.raises(ServiceError, match=r"PostgreSQL 9 was not found \(found: \d+ in .*PG_BIN"):
        server.start()


def test_a_port_listener_of_another_kind_is_avoided(folder: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]
        with Postgres(folder / "postgres", port=taken, settings=NO_FSYNC) as server:
            assert server.port != taken
