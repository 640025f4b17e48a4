"""The company: its table, the people who write it all the time, and its migrations."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psycopg2

from chaos import table
from chaos.model import POISON
from chaos.scenario import Scenario
from chaos.server import Server

WRITERS = 3
PAUSE = 0.01  # seconds between statements
LATE = "late"
# `clock` is what the company's server takes for now. `departed`: who was deleted, and so may be said to have vanished.
BEFORE = """
CREATE SEQUENCE message_id;
CREATE TABLE skew (ahead interval NOT NULL);
INSERT INTO skew VALUES ('0');
CREATE FUNCTION clock() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now() + ahead FROM public.skew';
CREATE TABLE departed (id bigint NOT NULL, at timestamptz NOT NULL, late boolean NOT NULL)
"""
OTHER_TYPE = {"bigint": "double precision", "double precision": "bigint"}
DEPART = "WITH gone AS ({} RETURNING id) INSERT INTO departed SELECT id, clock_timestamp(), {} FROM gone"
TAKEN = "id % 10 = 3"
# A transaction that has the table to itself: it waits for the writers' to end.
ALONE = "LOCK TABLE message IN ACCESS EXCLUSIVE MODE"
PATIENCE = 1.0  # seconds that somebody is waited for who reads the table while it is written anew
AWAITED = """
SELECT EXISTS (
    SELECT FROM pg_stat_activity
    WHERE application_name LIKE '%:%' AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))
"""
# Few different values, so that equal inputs, and inputs that come back, are common.
FIRST = """
INSERT INTO message (text, amount, price, updated_at)
SELECT (ARRAY['', 'a b', 'quote " and \\ and ''', 'comma, (brackets)', '한국어 텍스트', 'plain'])[1 + n %% 6]
           || CASE WHEN n %% 3 = 0 THEN n::text ELSE '' END,
       n %% 40, (n %% 30) / 4.0, now() - interval '2 days'
FROM generate_series(1, %s) n
"""
CONTEXT = get_context("forkserver")


class Company:
    """The table `message` in `database`, and processes that write it until `stop`."""

    def __init__(self, server: Server, database: str, scenario: Scenario) -> None:
        self._server, self._database, self._scenario = server, database, scenario
        # Files, which the writers' process asks for: a semaphore would be left over when it is killed.
        self._pause, self._stop = (server.folder / f"{database}.{name}" for name in ("pause", "stop"))
        self._altered = ""
        self._lock = threading.Lock()
        with server.session(database) as cursor:
            cursor.execute("; ".join([BEFORE, *table.create(scenario.shape, scenario.rows, scenario.amount)]))
            cursor.execute(FIRST, (scenario.rows,))
            cursor.execute("ANALYZE message")
        arguments = (server.folder, database, scenario, self._pause, self._stop)
        self._process = CONTEXT.Process(target=write, args=arguments, daemon=True)
        self._process.start()

    def stop(self) -> None:
        """The writers end their transactions, the late one included."""
        self._stop.touch()
        self._process.join(20)
        self._stop.unlink()
        if self._process.exitcode != 0:
            self._process.kill()
            raise RuntimeError(f"the writers ended with {self._process.exitcode}")

    def kill(self) -> None:
        if self._process.is_alive():
            self._process.kill()

    def turn(self, ahead: str, share: float, passed: str) -> None:
        """Between two runs: the clock goes `ahead`, a share of the rows is edited, and then `passed` goes by."""
        statements = [ALONE, f"UPDATE skew SET ahead = '{ahead}'"]
        if share:
            edited = f"id % 10 < {10 * share:g}"
            statements.append(
                f"UPDATE message SET amount = (amount::bigint + 1) % 40, updated_at = clock() WHERE {edited}"
            )
        statements.append(f"UPDATE message SET updated_at = updated_at - interval '{passed}'")
        while not self._migrate("; ".join(statements)):
            pass

    def rebuild(self, how: str) -> bool:
        """Write the table anew, and commit when somebody waits for it; returns before. False if it had to give way."""
        begun, done = threading.Event(), threading.Event()
        threading.Thread(target=self._rebuild, args=(how, begun, done), daemon=True).start()
        begun.wait()
        return done.is_set()

    def _rebuild(self, how: str, begun: threading.Event, done: threading.Event) -> None:
        drawn = self._scenario
        statements = [ALONE, *table.rebuild(how, drawn.shape, drawn.rows, drawn.amount)]
        try:
            with self._lock, self._quiet(), self._server.session(self._database) as cursor:
                if self._altered:
                    return
                cursor.execute("SET lock_timeout = '1s'; BEGIN")
                for statement in statements:
                    cursor.execute(statement)
                done.set()
                begun.set()
                self._await_reader(cursor)
                cursor.execute("COMMIT")
        except psycopg2.OperationalError:  # the lock was not to be had, or the server is being restarted
            pass
        finally:
            begun.set()

    def _await_reader(self, cursor: Any) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(AWAITED)
            if cursor.fetchone()[0]:
                return
            time.sleep(PAUSE)

    def alter(self, how: str) -> bool:
        """A migration of the company's in the middle of a run; False if it had to give way."""
        with self._lock:
            if self._altered:
                return False
            append_only, view = self._scenario.append_only, self._scenario.shape == "view"
            if view and how != "take away":  # which holds its columns
                return False
            if append_only and how == "take away":
                return False
            if how == "drop column" and append_only:  # it could not come back with the values that it had
                how = "hide column"
            statement = {
                "hide column": "ALTER TABLE message RENAME amount TO hidden",
                "drop column": "ALTER TABLE message DROP COLUMN amount",
                "change type": f"ALTER TABLE message ALTER amount TYPE {OTHER_TYPE[self._scenario.amount]}",
                "take away": f"CREATE TABLE taken AS SELECT * FROM message WHERE {TAKEN}; "
                + DEPART.format(f"DELETE FROM message WHERE {TAKEN}", "true"),
            }[how]
            if self._migrate(statement):
                self._altered = how
            return bool(self._altered)

    def restore(self) -> None:
        """Undo it; nothing happens if there is nothing to undo."""
        with self._lock:
            if not self._altered:
                return
            statement = {
                "hide column": "ALTER TABLE message RENAME hidden TO amount",
                "drop column": f"ALTER TABLE message ADD amount {self._scenario.amount} NOT NULL DEFAULT 7; "
                "UPDATE message SET amount = id % 40, updated_at = clock()",
                "change type": f"ALTER TABLE message ALTER amount TYPE {self._scenario.amount}",
                "take away": "UPDATE taken SET updated_at = clock(); INSERT INTO message SELECT * FROM taken; "
                "DROP TABLE taken",
            }[self._altered]
            for _ in range(60):
                if self._migrate(statement):
                    self._altered = ""
                    return
        raise RuntimeError(f"the company cannot run {statement!r}")

    def _migrate(self, statement: str) -> bool:
        try:
            with self._quiet(), self._server.session(self._database) as cursor:
                cursor.execute("SET lock_timeout = '1s'")
                cursor.execute(statement)
            return True
        except psycopg2.OperationalError:  # the lock was not to be had, or the server is being restarted
            time.sleep(0.1)
            return False

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """The writers begin nothing new."""
        self._pause.touch()
        try:
            yield
        finally:
            self._pause.unlink()


def write(folder: Path, database: str, scenario: Scenario, pause: Path, stop: Path) -> None:
    """The writers' process: threads that write, and one whose transaction commits late."""
    works: list[Callable[..., None]] = [_insert]
    if not scenario.append_only:
        works += [_update, _update] if scenario.steady else [_update, _update, _delete]

    def address() -> str:
        password, port = (folder / "password").read_text().strip(), (folder / "port").read_text()
        return f"postgresql://postgres:{password}@127.0.0.1:{port}/{database}"

    def again(body: Callable[[Any, random.Random, int], None], number: int) -> None:
        chance = random.Random(scenario.seed * 100 + number)
        while not stop.exists():
            try:
                connection = psycopg2.connect(address(), connect_timeout=5, application_name="writer")
                try:
                    while not stop.exists():
                        while pause.exists():
                            time.sleep(PAUSE)
                        with connection, connection.cursor() as cursor:
                            body(cursor, chance, number)
                finally:
                    connection.close()
            except psycopg2.Error:  # the server was killed, a column is not there at the moment, a deadlock
                time.sleep(0.05)

    def busy(cursor: Any, chance: random.Random, number: int) -> None:
        for _ in range(chance.randrange(1, 6)):
            nested = chance.random() < 0.5
            if nested:
                cursor.execute("SAVEPOINT part")
            chance.choice(works)(cursor, chance, number)
            time.sleep(chance.random() * 2 * PAUSE)
            if nested and chance.random() < 0.2:
                cursor.execute("ROLLBACK TO part")
            elif nested:
                cursor.execute("RELEASE part")
        if chance.random() < 0.1:
            time.sleep(0.5)

    def late(cursor: Any, chance: random.Random, number: int) -> None:
        """Takes its ids first, and commits when all others have."""
        _insert(cursor, chance, number)
        cursor.execute("SAVEPOINT part")
        chance.choice(works)(cursor, chance, number)
        cursor.execute("RELEASE part")
        while not (stop.exists() or pause.exists()):
            time.sleep(PAUSE)

    bodies = [(busy, number) for number in range(WRITERS)] + [(late, WRITERS)]
    threads = [threading.Thread(target=again, args=body) for body in bodies]
    with suppress(KeyboardInterrupt):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _amount(chance: random.Random) -> int:
    return POISON if chance.random() < 0.004 else chance.randrange(40)


def _text(chance: random.Random) -> str:
    return chance.choice(["", "a b", "plain", "comma, (brackets)", f"new {chance.randrange(1000)}", 'quote " and \\'])


def _insert(cursor: Any, chance: random.Random, number: int) -> None:
    values = [(_text(chance), _amount(chance), chance.randrange(40) / 4) for _ in range(chance.randrange(1, 4))]
    cursor.executemany("INSERT INTO message (text, amount, price) VALUES (%s, %s, %s)", values)


def _update(cursor: Any, chance: random.Random, number: int) -> None:
    """Rows of this writer: its remainder of the key."""
    column, value = chance.choice([("text", _text(chance)), ("amount", _amount(chance))])
    both = ", price = price + 0.25" if chance.random() < 0.3 else ""
    cursor.execute(
        f"UPDATE message SET {column} = %s{both}, updated_at = clock() WHERE id %% %s = %s AND (id / 7) %% 23 = %s",
        (value, WRITERS + 1, number, chance.randrange(23)),
    )


def _delete(cursor: Any, chance: random.Random, number: int) -> None:
    deleted = DEPART.format("DELETE FROM message WHERE id %% %s = %s AND (id / 7) %% 101 = %s", "%s")
    cursor.execute(deleted, (WRITERS + 1, number, chance.randrange(101), number == WRITERS))
