"""No row is missed, however late it commits; a reader of `id > watermark` beside it loses rows."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg2
import pytest

from inference.base.database import Databases
from tests.stub import Pipeline, assert_current, create_messages, job, run_row, sql

WRITERS = 8
TRANSACTIONS = 6  # of each writer
SECONDS = 0.4  # of one transaction, at most
YEARLY = "0 0 1 1 *"  # a sweep that does not become due by itself during the test

# `updated_at` is the time at which the transaction began, as with a trigger or a framework's `auto_now`.
STAMP = """
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN IF NEW.channel IS DISTINCT FROM ''old'' THEN NEW.updated_at = now(); END IF; RETURN NEW; END';
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON message FOR EACH ROW EXECUTE FUNCTION stamp();
"""


class Watermark:
    """The reader that everybody writes first: what is above the highest id seen so far."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._highest = 0
        self.seen: set[int] = set()

    def read(self) -> None:
        found = sql(self._databases, "SELECT id FROM message WHERE id > :highest", highest=self._highest)
        self.seen |= {row[0] for row in found}
        self._highest = max([self._highest, *(row[0] for row in found)])


def write(url: str, number: int) -> None:
    """Transactions of random length over the rows of this writer; ids are taken long before the commit."""
    chance = random.Random(number)
    connection = psycopg2.connect(url)
    try:
        for _ in range(TRANSACTIONS):
            with connection, connection.cursor() as cursor:
                cursor.execute("SELECT nextval('message_id_seq') FROM generate_series(1, 5)")
                identifiers = [row[0] for row in cursor.fetchall()]
                for part, identifier in enumerate(identifiers):
                    time.sleep(chance.random() * SECONDS / len(identifiers))
                    nested = number % 2 == 0
                    if nested:
                        cursor.execute(f"SAVEPOINT part_{part}")
                    text = f"writer {number} wrote {chance.random()}"
                    cursor.execute("INSERT INTO message (id, text) VALUES (%s, %s)", (identifier, text))
                    cursor.execute(
                        "UPDATE message SET text = %s WHERE id <= 80 AND id %% %s = %s AND id %% 5 = %s",
                        (text, WRITERS, number, part),
                    )
                    if nested and chance.random() < 0.2:
                        cursor.execute(f"ROLLBACK TO part_{part}")
                    elif nested:
                        cursor.execute(f"RELEASE part_{part}")
    finally:
        connection.close()


class Late:
    """A transaction that took its ids before all others and commits after them."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg2.connect(url)
        self._cursor = self._connection.cursor()
        self._cursor.execute("INSERT INTO message (text) SELECT 'late ' || n FROM generate_series(1, 3) n")
        self._cursor.execute("SAVEPOINT nested")
        self._cursor.execute("UPDATE message SET text = text || ' edited late' WHERE id IN (82, 84)")
        self._cursor.execute("RELEASE nested")

    def backdate(self) -> None:
        """As if the transaction had begun an hour ago."""
        self._cursor.execute(
            "UPDATE message SET channel = 'old', updated_at = now() - interval '1 hour' "
            "WHERE text LIKE 'late %' OR id IN (82, 84)"
        )

    def commit(self) -> None:
        self._connection.commit()
        self._connection.close()


def drive(url: str, runs: Callable[[], Any], watermark: Watermark, late: Late) -> None:
    """All writers at once while runs go on in a loop, then the late commit."""
    with ThreadPoolExecutor(WRITERS) as threads:
        writers: list[Future[None]] = [threads.submit(write, url, number) for number in range(WRITERS)]
        while not all(writer.done() for writer in writers):
            watermark.read()
            runs()
    for writer in writers:
        writer.result()
    runs()
    watermark.read()
    late.commit()


@pytest.fixture
def libpq_url(database_url: str) -> str:
    return database_url.replace("+psycopg2", "")


def start(databases: Databases, **changes: Any) -> Pipeline:
    create_messages(databases, [f"message {number}" for number in range(90)])
    sql(databases, STAMP)
    return Pipeline(databases, job(sizes__chunk_rows=20, **changes))


def assert_watermark_loses(databases: Databases, watermark: Watermark) -> None:
    watermark.read()
    missing = {row[0] for row in sql(databases, "SELECT id FROM message")} - watermark.seen
    assert len(missing) >= 3, "this traffic would not have lost a row of any reader: the test tests nothing"


def windows(databases: Databases) -> list[bool]:
    """Of all runs that searched, in order: whether they searched a window."""
    return [row[0] for row in sql(databases, "SELECT window_start IS NOT NULL FROM prediction.run ORDER BY run_id")]


def test_without_a_cursor_every_late_commit_is_predicted_by_the_next_run(databases: Databases, libpq_url: str) -> None:
    pipeline = start(databases)
    watermark, late = Watermark(databases), Late(libpq_url)
    drive(libpq_url, pipeline.run, watermark, late)

    last = pipeline.run()

    assert last.planned == 5
    assert_current(databases)
    assert_watermark_loses(databases, watermark)
    assert pipeline.run().planned == 0


def test_a_lookback_longer_than_the_longest_transaction_finds_every_late_commit_in_the_window(
    databases: Databases, libpq_url: str
) -> None:
    pipeline = start(databases, source__cursor="updated_at", source__lookback="1min", source__sweep=YEARLY)
    watermark, late = Watermark(databases), Late(libpq_url)
    drive(libpq_url, pipeline.run, watermark, late)

    last = pipeline.run()

    assert last.planned == 5
    assert windows(databases)[0] is False
    assert all(windows(databases)[1:])
    assert_current(databases)
    assert_watermark_loses(databases, watermark)


def test_a_lookback_that_is_too_short_leaves_a_gap_which_the_sweep_closes(databases: Databases, libpq_url: str) -> None:
    pipeline = start(databases, source__cursor="updated_at", source__lookback="2s", source__sweep=YEARLY)
    watermark, late = Watermark(databases), Late(libpq_url)
    late.backdate()
    drive(libpq_url, pipeline.run, watermark, late)

    # The window does not reach back to the late rows: five are stale or missing, and stay so.
    assert [pipeline.run().planned for _ in range(2)] == [0, 0]
    missing = sql(
        databases,
        "SELECT m.id FROM message m LEFT JOIN prediction.intent p USING (id) WHERE p.id IS NULL ORDER BY id",
    )
    assert len(missing) == 3
    assert_watermark_loses(databases, watermark)

    # The cron of the sweep has ticked since the last one.
    sql(databases, "UPDATE prediction.run SET source_time = source_time - interval '2 years' WHERE sweep")
    swept = pipeline.run()

    assert run_row(databases, swept.run_id)["sweep"]
    assert swept.planned == 5
    assert_current(databases)
    assert pipeline.run().planned == 0
    assert windows(databases)[-1]


def test_a_failed_run_keeps_the_window_open(databases: Databases) -> None:
    pipeline = start(databases, source__cursor="updated_at", source__lookback="1s", source__sweep=YEARLY)
    first = pipeline.run()
    sql(databases, "UPDATE message SET text = 'edited' WHERE id = 7")
    sql(databases, "UPDATE message SET channel = 'old', updated_at = now() - interval '1 min' WHERE id = 7")
    sql(databases, "UPDATE prediction.run SET source_time = source_time - interval '2 min'")
    pipeline.plan()  # and never predicted

    last = pipeline.run()

    assert (last.planned, run_row(databases, last.run_id)["window_start"] is not None) == (1, True)
    assert run_row(databases, last.run_id)["window_start"] < run_row(databases, first.run_id)["source_time"]
    assert_current(databases)


def test_a_row_without_a_cursor_value_is_inside_every_window(databases: Databases) -> None:
    create_messages(databases, ["one", "two"])
    sql(databases, "ALTER TABLE message ALTER updated_at DROP NOT NULL")
    pipeline = Pipeline(databases, job(source__cursor="updated_at", source__lookback="1s", source__sweep=YEARLY))
    pipeline.run()
    sql(databases, "INSERT INTO message (text, updated_at) VALUES ('three', NULL)")

    assert pipeline.run().planned == 1
    assert windows(databases) == [False, True]
    assert_current(databases)


def test_two_readers_of_one_job_at_once_lose_nothing(databases: Databases, libpq_url: str) -> None:
    """Runs of two callers over the same traffic; whoever comes second ends as empty."""
    pipeline = start(databases)
    stop = threading.Event()
    other = Pipeline(databases, pipeline.job)

    def run_the_other() -> None:
        while not stop.is_set():
            planned = other.plan(orchestrator="command line")
            if planned.state == "planned":
                other.predict(planned)
                other.finish(planned)
            stop.wait(0.05)

    watermark, late = Watermark(databases), Late(libpq_url)
    thread = ThreadPoolExecutor(1)
    running = thread.submit(run_the_other)
    try:
        drive(libpq_url, pipeline.run, watermark, late)
    finally:
        stop.set()
        running.result()
        thread.shutdown()

    pipeline.run()
    assert_current(databases)
