"""Somebody rewrites, reloads or swaps the source while a statement of the pipeline waits for its lock.

COPY and CREATE TABLE AS take their snapshot before they wait. In that snapshot a table that was rewritten since is
empty, and so rows that were there all the time would count as gone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest

from inference.base.database import Databases
from inference.errors import SourceError
from inference.planning import plan as planning
from inference.scoring.rows import Chunk
from inference.shard import read
from tests.integration.test_sources import other  # noqa: F401
from tests.stub import Pipeline, Printed, counts, job, predictions, printing, sql

ROWS = 200
TABLE = "CREATE TABLE message (id bigint PRIMARY KEY, n float8 NOT NULL, more int, updated_at timestamptz)"
PARTED = """
CREATE TABLE message (id bigint PRIMARY KEY, n float8 NOT NULL, more int, updated_at timestamptz)
    PARTITION BY RANGE (id);
CREATE TABLE low PARTITION OF message FOR VALUES FROM (MINVALUE) TO (100);
CREATE TABLE high PARTITION OF message FOR VALUES FROM (100) TO (MAXVALUE)
"""
FILL = f"INSERT INTO message SELECT g, g / 3.0, g, now() - interval '3 hours' FROM generate_series(1, {ROWS}) g"  # noqa: S608
EVENTS = {
    "rewrite": (TABLE, "ALTER TABLE message ALTER more TYPE bigint"),
    "reload": (
        TABLE,
        "CREATE TEMPORARY TABLE kept AS TABLE message; TRUNCATE message; INSERT INTO message TABLE kept",
    ),
    "swap": (
        TABLE,
        "CREATE TABLE newer (LIKE message INCLUDING ALL); INSERT INTO newer TABLE message; DROP TABLE message CASCADE; "
        "ALTER TABLE newer RENAME TO message",
    ),
    "rewrite of a partition": (PARTED, "ALTER TABLE message ALTER more TYPE bigint"),
    "reload of a partition": (
        PARTED,
        "CREATE TEMPORARY TABLE kept AS TABLE high; TRUNCATE high; INSERT INTO message TABLE kept",
    ),
    "detach and attach": (
        PARTED,
        "ALTER TABLE message DETACH PARTITION high; "
        "ALTER TABLE message ATTACH PARTITION high FOR VALUES FROM (100) TO (MAXVALUE)",
    ),
}


@contextmanager
def at_work(databases: Databases, name: str, statement: str) -> Iterator[None]:
    """`statement` is done but not committed; it is, as soon as a statement of somebody else waits for a lock."""
    url = databases.url(name).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg2.connect(url)
    with connection.cursor() as cursor:
        cursor.execute(statement)
    waited: list[bool] = []

    def commit() -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end and not waited:
            with connection.cursor() as cursor:
                cursor.execute("SELECT FROM pg_locks WHERE NOT granted")
                if cursor.rowcount:
                    waited.append(True)
            time.sleep(0.01)
        connection.commit()
        connection.close()

    thread = threading.Thread(target=commit)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert waited, "nobody waited for the lock: the test tests nothing"


def pipeline(databases: Databases, where: str, event: str, **changes: Any) -> Pipeline:
    sql(databases, EVENTS[event][0], where)
    sql(databases, FILL, where)
    changes = {"source__inputs": ["n"], "cost": "1", "source__connection": where, "sizes__chunk_rows": 50, **changes}
    return Pipeline(databases, job(**changes), Printed(), printing(n="double"))


def during(monkeypatch: pytest.MonkeyPatch, databases: Databases, where: str, event: str) -> None:
    """The event begins when plan has looked at the source's columns and expressions, and before its search."""
    add_run = planning._add_run

    def then(*arguments: Any) -> Any:
        opened = at_work(databases, where, EVENTS[event][1])
        opened.__enter__()
        blocked.append(opened)
        return add_run(*arguments)

    monkeypatch.setattr(planning, "_add_run", then)


blocked: list[Any] = []


@pytest.mark.parametrize("where", ["predictions", "company"])
@pytest.mark.parametrize("event", EVENTS)
def test_no_row_vanishes_from_a_page(other: Databases, where: str, event: str) -> None:  # noqa: F811
    """A1."""
    ours = pipeline(other, where, event)
    planned = ours.plan()

    with at_work(other, where, EVENTS[event][1]):
        ours.predict(planned)

    assert ours.finish(planned) == "published"
    assert counts(other, planned.run_id) == {"planned": ROWS, "predicted": ROWS}


@pytest.mark.parametrize("where", ["predictions", "company"])
@pytest.mark.parametrize("event", EVENTS)
def test_no_row_is_missed_by_plan_and_no_prediction_deleted(
    other: Databases,  # noqa: F811
    where: str,
    event: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A1."""
    ours = pipeline(other, where, event, source__on_delete="delete", source__max_delete_rate=1.0)
    ours.run()
    sql(other, "INSERT INTO message VALUES (1000, 1, 1, now())", where)
    during(monkeypatch, other, where, event)

    planned = ours.plan()
    blocked.pop().__exit__(None, None, None)
    monkeypatch.undo()
    ours.predict(planned)

    assert ours.finish(planned) == "published"
    assert counts(other, planned.run_id) == {"planned": 1, "predicted": 1}
    assert len(predictions(other)) == ROWS + 1


@pytest.mark.parametrize("event", ["rewrite", "reload"])
def test_a_view_over_the_table_is_searched_whole(
    databases: Databases, event: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A1. What is below a view is locked after the snapshot of CREATE TABLE AS, too."""
    ours = pipeline(databases, "predictions", event, source__relation="shown")
    if event == "rewrite":  # a column that a view shows cannot be altered
        sql(databases, "CREATE VIEW shown AS SELECT id, n FROM message")
    else:
        sql(databases, "CREATE VIEW shown AS SELECT * FROM message")
    ours.run(row_limit=1)  # which makes the tables, and holds locks while it does
    during(monkeypatch, databases, "predictions", event)

    planned = ours.plan()
    blocked.pop().__exit__(None, None, None)

    assert planned.planned == ROWS - 1


def test_a_row_has_vanished_only_if_a_later_snapshot_says_so_too(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A1. Whatever else makes a row seem to be gone for a moment."""
    ours = pipeline(databases, "predictions", "rewrite")
    planned = ours.plan()
    sql(databases, "CREATE TABLE away AS SELECT * FROM message WHERE id <= 10; DELETE FROM message WHERE id <= 10")
    sql(databases, "DELETE FROM message WHERE id = 200")
    ask, asked = read.Reader._ask, []

    def come_back(self: read.Reader, ordinals: range) -> Chunk:
        page = ask(self, ordinals)
        if not asked:
            sql(databases, "INSERT INTO message SELECT * FROM away")
        asked.append(ordinals)
        return page

    monkeypatch.setattr(read.Reader, "_ask", come_back)
    ours.predict(planned)

    assert ours.finish(planned) == "published"
    assert counts(databases, planned.run_id) == {"planned": ROWS, "predicted": ROWS - 1, "vanished": 1}


def test_a_row_that_is_edited_then_deleted_and_inserted_again_while_plan_looks(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B3. Two statements would have two snapshots: pending in one, gone in the other, and so predicted and deleted."""
    sql(databases, "CREATE TABLE message (id bigint PRIMARY KEY, text text)")
    sql(databases, "INSERT INTO message SELECT g, 'text ' || g FROM generate_series(1, 100) g")
    ours = Pipeline(databases, job(source__on_delete="delete", history="append"))
    ours.run()
    sql(databases, "UPDATE message SET text = 'edited' WHERE id = 7")
    run = planning.queries.run

    def then_delete(connection: Any, block: str, *parts: Any, **values: Any) -> Any:
        result = run(connection, block, *parts, **values)
        if block == planning.work_list.SQL["create_work"]:
            sql(databases, "DELETE FROM message WHERE id = 7")
        return result

    monkeypatch.setattr(planning.queries, "run", then_delete)
    planned = ours.plan()
    monkeypatch.undo()
    sql(databases, "INSERT INTO message VALUES (7, 'edited')")
    ours.predict(planned)
    ours.finish(planned)

    assert counts(databases, planned.run_id) == {"planned": 1, "predicted": 1}
    assert predictions(databases)[7]["run_id"] == planned.run_id
    assert [row[0] for row in sql(databases, "SELECT id FROM prediction.intent__history")] == [7]


@pytest.mark.parametrize("where", ["predictions", "company"])
def test_a_composite_key_with_a_null_in_one_field(other: Databases, where: str) -> None:  # noqa: F811
    """A5. IS NOT NULL of a composite value asks all of its fields."""
    for name in {"predictions", where}:
        sql(other, "CREATE TYPE pair AS (a int, b int)", name)
    sql(other, "CREATE TABLE message (id pair PRIMARY KEY, text text)", where)
    sql(other, "INSERT INTO message VALUES ((1, 1), 'a'), ((2, NULL), 'b'), ((NULL, NULL), 'c')", where)
    ours = Pipeline(other, job(source__connection=where))

    assert counts(other, ours.run().run_id) == {"planned": 3, "predicted": 3}
    assert ours.run().planned == 0
    sql(other, "DELETE FROM message WHERE text = 'b'", where)
    sql(other, "UPDATE message SET text = 'd' WHERE text = 'c'", where)
    assert counts(other, ours.run().run_id) == {"planned": 1, "predicted": 1}


@pytest.mark.parametrize("where", ["predictions", "company"])
def test_null_keys_below_a_not_null_that_nobody_has_checked(other: Databases, where: str) -> None:  # noqa: F811
    """A6. PostgreSQL 18: the column is marked NOT NULL, and has a NULL all the same."""
    sql(other, "CREATE TABLE message (id bigint, n float8)", where)
    sql(other, "INSERT INTO message SELECT nullif(g, 50), g FROM generate_series(1, 101) g", where)
    sql(other, "CREATE UNIQUE INDEX ON message (id)", where)
    sql(other, "ALTER TABLE message ADD CONSTRAINT nn NOT NULL id NOT VALID", where)
    ours = Pipeline(
        other, job(source__inputs=["n"], cost="1", source__connection=where), Printed(), printing(n="double")
    )

    with pytest.raises(SourceError, match=r"source\.key: 1 rows have NULL in id"):
        ours.plan()
    sql(other, "DELETE FROM message WHERE id IS NULL", where)
    sql(other, "ALTER TABLE message VALIDATE CONSTRAINT nn", where)
    assert counts(other, ours.run().run_id) == {"planned": 100, "predicted": 100}


@pytest.mark.parametrize("moment", ["0044-03-15 BC", "20000-01-01", "infinity", "-infinity", None])
@pytest.mark.parametrize("limit", [None, 10])
def test_a_cursor_that_is_no_date_of_python(databases: Databases, moment: str | None, limit: int | None) -> None:
    """B6."""
    sql(databases, "CREATE TABLE message (id bigint PRIMARY KEY, text text, updated_at timestamptz)")
    sql(databases, "INSERT INTO message VALUES (1, 'a', CAST(:m AS timestamptz))", m=moment)
    ours = Pipeline(databases, job(source__cursor="updated_at"))

    assert counts(databases, ours.run(row_limit=limit).run_id) == {"planned": 1, "predicted": 1}
    sql(databases, "INSERT INTO message VALUES (2, 'b', now()), (3, 'c', CAST(:m AS timestamptz))", m=moment)
    before_the_window = moment in ("0044-03-15 BC", "-infinity")
    assert ours.run(row_limit=limit).planned == (1 if before_the_window else 2)


@pytest.mark.parametrize("where", ["predictions", "company"])
def test_a_value_whose_text_form_is_larger_than_postgres_allows_costs_its_row(
    other: Databases,  # noqa: F811
    where: str,
) -> None:
    """B7. 540 MB of bytea are 1,080 MB of text."""
    sql(other, "CREATE TABLE message (id bigint PRIMARY KEY, raw bytea)", where)
    sql(other, "INSERT INTO message SELECT g, decode(md5(CAST(g AS text)), 'hex') FROM generate_series(1, 10) g", where)
    sql(other, "INSERT INTO message VALUES (5000, CAST(repeat('x', 540000000) AS bytea))", where)
    a_job = job(source__inputs=["raw"], cost="1", source__connection=where)
    ours = Pipeline(other, a_job, Printed(), printing(raw="binary"))

    assert counts(other, ours.run().run_id) == {"planned": 11, "predicted": 10, "quarantined": 1}
    assert ours.run().planned == 0
    ((key, message),) = sql(other, "SELECT key, message FROM prediction.quarantine_open")
    assert (key, "more than 450000000 bytes" in message) == (["5000"], True)
    sql(other, "UPDATE message SET raw = '\\x00' WHERE id = 5000", where)
    assert counts(other, ours.run().run_id) == {"planned": 1, "predicted": 1}
