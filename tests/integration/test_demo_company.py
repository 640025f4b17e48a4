"""The company's table: filled once, kept equal to a user's file, fed: demo/company.py."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg2
import pytest

from demo.company import BUILT_IN_ROWS, Company, database_name
from demo.messages import Messages, MessagesError
from services.postgres import Postgres

FILE = Path("own.csv")


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        Path(name).chmod(0o755)
        with Postgres(Path(name) / "postgres", settings={"fsync": "off"}) as running:
            yield running


@pytest.fixture
def url(server: Postgres) -> Iterator[str]:
    server.create_database("company")
    yield server.libpq_url("company")
    server.drop_database("company")


def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())
    finally:
        connection.close()


def own(*pairs: tuple[str, str]) -> Messages:
    return Messages(pairs)


def test_the_built_in_messages_come_once(url: str) -> None:
    assert Company(url).fill(["a", "b", "c"]) == BUILT_IN_ROWS
    assert Company(url).fill(["a", "b", "c"]) == BUILT_IN_ROWS
    found = rows(url, "SELECT text, count(*) FROM message GROUP BY text ORDER BY text")
    assert found == [("a", 667), ("b", 667), ("c", 666)]


def test_the_same_file_again_touches_nothing(url: str) -> None:
    messages = own(("1", "a"), ("2", 'quote " comma , \n'), ("3", ""))
    assert Company(url).synchronise(messages, FILE) == 3
    before = rows(url, "SELECT id, text, updated_at, xmin::text FROM message ORDER BY id")
    assert [row[:2] for row in before] == [(1, "a"), (2, 'quote " comma , \n'), (3, "")]

    assert Company(url).synchronise(messages, FILE) == 3
    assert rows(url, "SELECT id, text, updated_at, xmin::text FROM message ORDER BY id") == before


def test_an_edited_file_changes_only_what_was_edited(url: str) -> None:
    Company(url).synchronise(own(("x", "a"), ("y", "b"), ("z", "c")), FILE)
    before = dict(rows(url, "SELECT id, updated_at FROM message"))
    Company(url).synchronise(own(("x", "a"), ("y", "new"), ("w", "d")), FILE)

    after = rows(url, "SELECT id, text, updated_at FROM message ORDER BY id")
    assert [row[:2] for row in after] == [("w", "d"), ("x", "a"), ("y", "new")]
    touched = {key: at for key, _, at in after}
    assert touched["x"] == before["x"]
    assert touched["y"] > before["y"]


def test_another_type_of_keys_is_refused(url: str) -> None:
    Company(url).synchronise(own(("1", "a")), FILE)
    with pytest.raises(MessagesError, match=r"ids are text now and were bigint .* `make clean`"):
        Company(url).synchronise(own(("one", "a")), FILE)
    assert rows(url, "SELECT id, text FROM message") == [(1, "a")]


def test_the_feeder_inserts_and_survives_a_lost_connection(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.company.FEED_SECONDS", (0.001, 0.002))
    monkeypatch.setattr("demo.company.RETRY_SECONDS", 0.01)
    company = Company(url)
    company.synchronise(own(("1", "first")), FILE)  # ids of the feeder go on behind the file's
    rows(url, "SELECT setval(pg_get_serial_sequence('message', 'id'), 100)")
    stop = threading.Event()
    feeder = threading.Thread(target=company.feed, args=(["fed"], stop))
    feeder.start()
    try:
        for _ in range(2):
            (before,) = rows(url, "SELECT count(*) FROM message")
            while rows(url, "SELECT count(*) FROM message") < [(before[0] + 3,)]:
                assert feeder.is_alive()
            rows(
                url,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = 'company' AND pid <> pg_backend_pid()",
            )
    finally:
        stop.set()
        feeder.join(10)
    assert not feeder.is_alive()


def test_each_file_has_a_database_of_its_own() -> None:
    assert database_name(None) == "company"
    assert database_name(Path("a.csv")) == database_name(Path.cwd() / "a.csv")
    assert database_name(Path("a.csv")) != database_name(Path("b.csv"))
