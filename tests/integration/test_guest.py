"""A good guest in the company's database: weak locks, short transactions, few sessions, nobody in the way."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import psutil  # type: ignore[import-untyped]
import psycopg2
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from inference.base import database
from inference.base.database import Databases
from inference.errors import RetryableError, Unavailable
from inference.models.mlflow_rest import Registry
from inference.planning.plan import Planned
from inference.publishing import check, publish
from inference.runners import runner, venv, watchdog
from inference.shard import session
from services.postgres import Postgres
from tests.integration.test_attempts import stopped, until
from tests.integration.test_sources import other as other
from tests.stub import Digest, Pipeline, assert_current, counts, create_messages, job, sql

ROOT = Path(__file__).parents[2]
SLEEP = 1.0  # seconds of a call of the model
SAMPLE = """
SELECT a.pid, a.state, extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS age,
       extract(epoch FROM clock_timestamp() - a.state_change)::float8 AS since,
       (SELECT array_agg(l.mode) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
        WHERE l.pid = a.pid AND c.relname IN ('message', 'slow')) AS locks
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
"""


class Samples:
    """What pg_stat_activity and pg_locks say of everybody else in a database, every 50 ms, with what was going on."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.doing = "nothing"
        self.rows: list[tuple[str, list[tuple[Any, ...]]]] = []

    @contextmanager
    def taken(self) -> Iterator[None]:
        over, ready = threading.Event(), threading.Event()

        def sample() -> None:
            connection = psycopg2.connect(self._url)
            connection.autocommit = True
            cursor = connection.cursor()
            while not over.wait(0.05):
                cursor.execute(SAMPLE)
                self.rows.append((self.doing, cursor.fetchall()))
                ready.set()
            connection.close()

        thread = threading.Thread(target=sample)
        thread.start()
        ready.wait()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def during(self, *doing: str) -> list[list[tuple[Any, ...]]]:
        return [sessions for what, sessions in self.rows if what in doing]


class Slow(Digest):
    def __init__(self, samples: Samples) -> None:
        super().__init__()
        self._samples = samples

    def predict(self, data: pd.DataFrame) -> pd.DataFrame:
        time.sleep(SLEEP)
        return super().predict(data)


def slow(databases: Databases, seconds: float, name: str = "predictions") -> None:
    """A condition that takes so long for each row."""
    body = f"BEGIN PERFORM pg_sleep({seconds}); RETURN true; END"
    sql(databases, f"CREATE FUNCTION slow(bigint) RETURNS boolean STABLE LANGUAGE plpgsql AS '{body}'", name)


@pytest.mark.parametrize("connection", ["predictions", "company"])
def test_locks_transactions_and_sessions_of_a_whole_run(other: Databases, postgres: Postgres, connection: str) -> None:
    create_messages(other, [f"message {number}" for number in range(100)], connection)
    # Reading a row takes 5 ms, so that the samples meet pages being read.
    slow(other, 0.005, connection)
    sizes = {"chunk_rows": 20, "batch_rows": 20}
    changes = {"timeouts": {"page": "5s", "plan": "1min"}, "source__where": "slow(id)", "source__on_delete": "delete"}
    pipeline = Pipeline(other, job(cost="1", sizes=sizes, source__connection=connection, **changes))
    samples = Samples(postgres.libpq_url(str(other.url(connection).database)))
    pipeline.predictor = Slow(samples)

    with samples.taken():
        samples.doing = "plan"
        planned = pipeline.plan()
        samples.doing = "predict"
        pipeline.predict(planned)
        samples.doing = "check and publish"
        assert check.check(other, planned.run_id).state == "checked"
        assert publish.publish(other, planned.run_id).state == "published"
        samples.doing = "nothing"
        until(lambda: not samples.rows[-1][1])

    everything = [row for _, sessions in samples.rows for row in sessions]
    locks = [set(row[4]) for row in everything if row[4]]
    assert len(locks) > 5
    assert set().union(*locks) == {"AccessShareLock"}
    assert not any(row[4] for sessions in samples.during("check and publish", "nothing") for row in sessions)
    scoring = samples.during("predict")
    assert len(scoring) > 5 * SLEEP / 0.05 / 4
    assert max(row[2] or 0 for sessions in scoring for row in sessions) < 5
    # A transaction that waits for the model is idle for as long as a call of it.
    idle = [row[3] for row in everything if (row[1] or "").startswith("idle in transaction")]
    assert max(idle, default=0) < SLEEP / 2
    # One that reads and one that writes; where the source is elsewhere, one there and two here.
    assert max(map(len, scoring)) <= (2 if connection == "predictions" else 1)


def test_publish_and_check_need_nothing_of_the_source(databases: Databases) -> None:
    create_messages(databases, ["a", "b"])
    pipeline = Pipeline(databases, job(source__on_delete="delete", history="append"))
    planned = pipeline.plan()
    pipeline.predict(planned)

    with databases.begin("predictions") as company:
        company.exec_driver_sql("LOCK TABLE message IN ACCESS EXCLUSIVE MODE")
        assert pipeline.finish(planned) == "published"
    assert_current(databases)


def test_every_session_has_its_timeouts(other: Databases) -> None:
    create_messages(other, ["a", "b"], "company")
    changes = {"source__connection": "company", "timeouts": {"page": "7s", "plan": "11min", "publish": "13min"}}
    pipeline = Pipeline(other, job(**changes))
    found: list[tuple[str, ...]] = []

    def ask(raw: Any, record: Any) -> None:
        cursor = raw.cursor()
        names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "tcp_user_timeout")
        cursor.execute("SELECT " + ", ".join(f"current_setting('{name}')" for name in names))
        with socket.socket(fileno=os.dup(raw.fileno())) as ours:
            client = ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            alive = ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        found.append((*cursor.fetchone(), client, alive))
        raw.rollback()

    event.listen(Engine, "connect", ask)
    try:
        pipeline.run()
    finally:
        event.remove(Engine, "connect", ask)

    assert {(row[0], *row[2:]) for row in found} == {("30s", "1min", "60000", 60_000, 1)}
    # Plan here and there; reading here and there, and writing; the beginning of a shard; check and publish, each after
    # a look at what the job says; whether both are one database.
    assert sorted(row[1] for row in found) == sorted(["11min"] * 2 + ["7s"] * 3 + ["5min"] * 5 + ["13min"] * 2)


IMPATIENT = {"tcp_user_timeout": "1s", "idle_in_transaction_session_timeout": "1s"}


@pytest.mark.parametrize("place", ["receive", "read"])
@pytest.mark.parametrize("connection", ["predictions", "company"])
def test_a_migration_does_not_wait_for_a_client_that_was_stopped_in_a_page(
    other: Databases, tmp_path: Path, connection: str, place: str
) -> None:
    """The server ends it: while it sends by tcp_user_timeout, in an idle transaction by the other."""
    create_messages(other, [f"message {number}" for number in range(60)], connection)
    sql(other, "UPDATE message SET text = repeat(text, 60000)", connection)  # 36 MB are more than sockets hold
    sizes = {"chunk_bytes": 100_000_000}
    pipeline = Pipeline(other, job(cost="1", sizes=sizes, source__connection=connection))
    planned = pipeline.plan()
    process = shard_process(other, planned, tmp_path, place, {"predictions", connection})
    try:
        until(lambda: stopped(process))
        sql(other, "SET LOCAL lock_timeout = '20s'; ALTER TABLE message ADD COLUMN added integer", connection)
        process.resume()
        process.wait(60)
        assert process.returncode == 0, tmp_path.joinpath("said").read_text()
    finally:
        if process.is_running():
            process.kill()
            process.wait()
    assert pipeline.finish(planned) == "published"
    assert counts(other, planned.run_id) == {"planned": 60, "predicted": 60}


def shard_process(databases: Databases, planned: Planned, folder: Path, place: str, names: set[str]) -> psutil.Popen:
    environment = {
        **os.environ,
        **databases.environment(*names),
        "PYTHONPATH": str(ROOT),
        "STUB_LOG": str(folder / "scored"),
        "STUB_STOP": place,
        "STUB_SESSION": json.dumps(IMPATIENT),
    }
    command = [sys.executable, "-m", "tests.shard_process", str(planned.run_id), str(planned.generation), "1"]
    with folder.joinpath("said").open("w") as said:
        return psutil.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=subprocess.STDOUT)


def test_a_client_that_was_stopped_in_a_write_is_ended_by_the_watchdog(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No timeout of the server applies to it: it waits for the rest of a COPY."""
    create_messages(databases, [f"message {number}" for number in range(100)])
    pipeline = Pipeline(databases, job(cost="1", sizes={"chunk_rows": 20}, timeouts={"page": "2s"}))
    planned = pipeline.plan()
    python = tmp_path / "python"
    python.write_text(
        f"#!/bin/sh\ncd {ROOT}\nexport PYTHONPATH={ROOT} STUB_STOP=copy STUB_LOG={tmp_path}/scored\n"
        f"echo $$ >{tmp_path}/pid\n"
        f'exec {sys.executable} -m tests.shard_process "$5" "$7" "$9"\n'
    )
    python.chmod(0o755)
    monkeypatch.setattr(venv, "prepare", lambda registry, model: python)
    monkeypatch.setattr(watchdog, "EVERY", 0.2)
    arguments = (databases, Registry("http://127.0.0.1:9"), planned.run_id, planned.generation, 1)
    thread = threading.Thread(target=runner.run, args=arguments)
    thread.start()
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
    process = psutil.Process(int((tmp_path / "pid").read_text()))
    try:
        until(lambda: process.status() == psutil.STATUS_STOPPED)
        copying = "SELECT FROM pg_stat_activity WHERE query LIKE 'COPY%' AND datname = current_database()"
        assert len(sql(databases, copying)) == 1
        until(lambda: not sql(databases, copying))
    finally:
        process.resume()
        thread.join()

    assert pipeline.finish(planned) == "published"
    assert_current(databases)


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(database.SESSION, "lock_timeout", "100ms")
    monkeypatch.setattr(session, "DELAYS", (0.0, 0.1, 0.1, 0.1))


@contextmanager
def held(databases: Databases) -> Iterator[threading.Event]:
    """A migration of the company's that keeps the source locked until the event is set."""
    locked, over = threading.Event(), threading.Event()

    def hold() -> None:
        with databases.begin("predictions") as company:
            company.exec_driver_sql("LOCK TABLE message IN ACCESS EXCLUSIVE MODE")
            locked.set()
            over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    locked.wait()
    try:
        yield over
    finally:
        over.set()
        thread.join()


@pytest.mark.usefixtures("in_a_hurry")
def test_a_page_that_meets_a_migration_is_read_again_and_a_plan_says_so(databases: Databases) -> None:
    create_messages(databases, ["a", "b"])
    pipeline = Pipeline(databases)
    with held(databases), pytest.raises(Unavailable, match="'predictions': canceling statement due to lock timeout"):
        pipeline.plan()
    planned = pipeline.plan()

    with held(databases) as over:
        threading.Timer(0.25, over.set).start()
        pipeline.predict(planned)

    assert pipeline.finish(planned) == "published"
    assert_current(databases)


def test_a_page_that_takes_too_long_names_the_field(databases: Databases) -> None:
    create_messages(databases, [f"message {number}" for number in range(10)])
    slow(databases, 0.2)
    pipeline = Pipeline(databases, job(cost="1", source__where="slow(id)", timeouts={"page": "1s"}))
    planned = pipeline.plan()

    with pytest.raises(RetryableError, match=r"statement timeout. It had 1s \(`timeouts\.page` in the job"):
        pipeline.predict(planned)

    pipeline.job = job(cost="1", source__where="slow(id)", timeouts={"plan": "1s"})
    with pytest.raises(RetryableError, match=r"statement timeout. It had 1s \(`timeouts\.plan` in the job"):
        pipeline.plan()


def test_rows_are_read_at_the_pace_that_the_job_allows(databases: Databases) -> None:
    create_messages(databases, [f"message {number}" for number in range(60)])
    moments: list[float] = []

    class Model(Digest):
        def predict(self, data: pd.DataFrame) -> pd.DataFrame:
            moments.append(time.monotonic())
            return super().predict(data)

    sizes = {"chunk_rows": 10, "batch_rows": 10, "rows_per_second": 80}
    pipeline = Pipeline(databases, job(cost="1", sizes=sizes, max_parallel_shards=2), Model())
    pipeline.run()

    assert len(moments) == 6
    # 40 rows a second for each of two shards; the first call waits for nothing, and may come late.
    assert moments[-1] - moments[1] >= 4 * 10 / 40 * 0.9
    assert_current(databases)
