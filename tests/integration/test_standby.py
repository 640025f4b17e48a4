"""The source on a hot standby: a real streaming replica, with recovery conflicts."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

from inference.base.database import Databases
from inference.errors import Unavailable
from services import postgres_binaries
from services.postgres import HOST, USER, Postgres
from services.process import identity
from tests.conftest import memory_folder
from tests.integration.test_attempts import until
from tests.stub import Pipeline, assert_current, counts, create_messages, job, sql

ROWS = 100
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def primary() -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp(prefix="inference-primary-", dir=memory_folder()))
    folder.chmod(0o755)
    with Postgres(folder, port=25533, settings={"fsync": "off", "autovacuum": "off"}) as server:
        yield server
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def standby(primary: Postgres) -> Iterator[Postgres]:
    """A replica that cancels whatever stands in the way of what it replays, at once."""
    folder = Path(tempfile.mkdtemp(prefix="inference-standby-", dir=memory_folder()))
    folder.chmod(0o755)
    data = folder / "data"
    data.mkdir(mode=0o700)
    account = postgres_binaries.account(primary.folder / "data")
    uid, gid, groups = identity(account)
    if account is not None:
        os.chown(data, account.uid, account.gid)
    shutil.copy(primary.folder / "password", folder / "password")
    subprocess.run(
        [
            str(postgres_binaries.find(data, account) / "pg_basebackup"), "--pgdata", str(data),
            "--write-recovery-conf", "--checkpoint=fast", "--no-sync",
            "--host", HOST, "--port", str(primary.port), "--username", USER,
        ],
        check=True, cwd="/", user=uid, group=gid, extra_groups=groups,
        env={**os.environ, "PGPASSWORD": (folder / "password").read_text().strip()},
    )  # fmt: skip
    settings = {"fsync": "off", "max_standby_streaming_delay": "0", "hot_standby_feedback": "off"}
    with Postgres(folder, port=25534, settings=settings) as server:
        yield server
    shutil.rmtree(folder, ignore_errors=True)


class Replicated:
    """The predictions' database, the company's on the standby as `company`, and on its primary as `primary`."""

    def __init__(self, databases: Databases, primary: Postgres, standby: Postgres) -> None:
        self.name = f"company_{next(_NUMBERS)}"
        primary.create_database(self.name)
        self.databases = Databases(
            {
                "predictions": databases.url("predictions").render_as_string(hide_password=False),
                "company": standby.url(self.name),
                "primary": primary.url(self.name),
            }
        )
        create_messages(self.databases, [f"message {number}" for number in range(ROWS)], "primary")
        # Reading a row takes 10 ms, so that a page lasts long enough to be in the way.
        sql(
            self.databases,
            "CREATE FUNCTION slowly(bigint) RETURNS boolean STABLE LANGUAGE sql AS 'SELECT pg_sleep(0.01) IS NOT NULL'",
            "primary",
        )
        self.standby = standby
        self.caught_up()

    def caught_up(self) -> None:
        """Wait until the standby has replayed what the primary has written."""
        ((written,),) = sql(self.databases, "SELECT CAST(pg_current_wal_insert_lsn() AS text)", "primary")

        def replayed() -> bool:
            with psycopg2.connect(self.standby.libpq_url("postgres")) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", (written,))
                return bool(cursor.fetchone()[0])  # type: ignore[index]

        until(replayed)

    def conflicts(self) -> int:
        with psycopg2.connect(self.standby.libpq_url("postgres")) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT confl_snapshot + confl_lock + confl_bufferpin FROM pg_stat_database_conflicts "
                "WHERE datname = %s",
                (self.name,),
            )
            return int(cursor.fetchone()[0])  # type: ignore[index]

    @contextmanager
    def disturbed(self, enough: int) -> Iterator[None]:
        """The primary removes old versions of rows, which queries on the standby still see, until so many conflicts."""
        over = threading.Event()
        url = self.databases.url("primary").set(drivername="postgresql").render_as_string(hide_password=False)

        def disturb() -> None:
            connection = psycopg2.connect(url)
            connection.autocommit = True
            while not over.wait(0.05) and self.conflicts() < enough:
                connection.cursor().execute("UPDATE message SET channel = 'x'")
                connection.cursor().execute("VACUUM message")
            connection.close()

        thread = threading.Thread(target=disturb)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@pytest.fixture
def replicated(databases: Databases, primary: Postgres, standby: Postgres) -> Replicated:
    return Replicated(databases, primary, standby)


def test_plan_and_read_work_on_a_standby(replicated: Replicated) -> None:
    databases = replicated.databases
    pipeline = Pipeline(databases, job(source__connection="company", source__on_delete="delete"))

    assert counts(databases, pipeline.run().run_id) == {"planned": ROWS, "predicted": ROWS}
    assert_current(databases, "company")

    sql(databases, "UPDATE message SET text = 'edited' WHERE id <= 3", "primary")
    sql(databases, "DELETE FROM message WHERE id = 50", "primary")
    replicated.caught_up()
    assert counts(databases, pipeline.run().run_id) == {"planned": 3, "predicted": 1, "reused": 2, "deleted": 1}
    assert_current(databases, "primary")


def test_a_page_that_is_cancelled_by_recovery_is_read_again(replicated: Replicated) -> None:
    databases = replicated.databases
    sizes = {"chunk_rows": 20, "batch_rows": 20}
    pipeline = Pipeline(databases, job(cost="1", sizes=sizes, source__connection="company", source__where="slowly(id)"))
    planned = pipeline.plan()

    with replicated.disturbed(3):
        pipeline.predict(planned)

    assert replicated.conflicts() >= 3
    assert pipeline.finish(planned) == "published"
    assert counts(databases, planned.run_id) == {"planned": ROWS, "predicted": ROWS}
    assert_current(databases, "primary")


def test_a_plan_that_is_cancelled_by_recovery_says_so_and_leaves_nothing(replicated: Replicated) -> None:
    databases = replicated.databases
    pipeline = Pipeline(databases, job(cost="1", source__connection="company", source__where="slowly(id)"))

    with replicated.disturbed(1), pytest.raises(Unavailable, match="connection 'company': "):
        pipeline.plan()
    assert replicated.conflicts()

    assert sql(databases, "SELECT relname FROM pg_class WHERE relname ~ '^(work|result)_'") == []
    replicated.caught_up()
    assert counts(databases, pipeline.run().run_id) == {"planned": ROWS, "predicted": ROWS}
    assert_current(databases, "primary")


def test_a_primary_and_its_standby_are_told_apart(replicated: Replicated) -> None:
    """F3: one address but for `target_session_attrs`; their system identifiers and databases are equal."""
    urls = [replicated.databases.url(name) for name in ("primary", "company")]
    hosts = f"?host={HOST},{HOST}&port={urls[0].port},{urls[1].port}"
    address = urls[0].set(host=None, port=None).render_as_string(hide_password=False) + hosts
    both = Databases(
        {"main": f"{address}&target_session_attrs=primary", "copy": f"{address}&target_session_attrs=standby"}
    )

    assert sql(both, "SELECT pg_is_in_recovery()", "main") == [(False,)]
    assert sql(both, "SELECT pg_is_in_recovery()", "copy") == [(True,)]
    assert not both.same("main", "copy")
    assert Databases({"one": f"{address}&target_session_attrs=standby", "two": urls[1].render_as_string(False)}).same(
        "one", "two"
    )
