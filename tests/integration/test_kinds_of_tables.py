"""Tables of other kinds than a plain one with a primary key, as sources, and publications of logical replication."""

# ruff: noqa: S608 - the statements are made of this file's own constants

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from inference.base.database import Databases
from inference.errors import SourceError
from inference.models.mlflow_rest import Registry
from inference.operations.prune import prune
from inference.schema import migrate
from services.postgres import Postgres
from tests.conftest import WORKER, memory_folder
from tests.integration.test_sources import other as other
from tests.stub import Digest, Pipeline, assert_current, counts, create_messages, digest, job, predictions, sql

WINDOW: dict[str, Any] = {"source__cursor": "updated_at", "source__sweep": "0 0 1 1 *", "source__lookback": "1min"}
DELETES: dict[str, Any] = {"source__on_delete": "delete", "source__max_delete_rate": 1.0}


@pytest.fixture(scope="module")
def replicating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server that can publish: only there an UPDATE of a published table needs a replica identity."""
    folder = Path(tempfile.mkdtemp(prefix="inference-logical-", dir=memory_folder()))
    folder.chmod(0o755)
    with Postgres(folder, port=28432 + WORKER, settings={"fsync": "off", "wal_level": "logical"}) as server:
        yield server
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("identity", ["DEFAULT", "FULL", "NOTHING"])
def test_a_database_whose_tables_are_all_published(replicating: Postgres, identity: str) -> None:
    """R3. FOR ALL TABLES takes the pipeline's own as well, whose rows it updates and deletes: with history, deletes of
    the source, and quarantine. A source that has no replica identity can still be read."""
    name = f"published_{identity.lower()}"
    replicating.create_database(name)
    databases = Databases({"predictions": replicating.url(name)})
    sql(databases, "CREATE PUBLICATION everything FOR ALL TABLES")
    migrate.upgrade(databases, lambda _: None)
    create_messages(databases, [*(f"message {number}" for number in range(50)), "bad"])
    sql(databases, f"ALTER TABLE message REPLICA IDENTITY {identity}")
    sql(databases, "CREATE TABLE nameless (a int); INSERT INTO nameless VALUES (1)")
    with pytest.raises(Exception, match="does not have a replica identity"):
        sql(databases, "UPDATE nameless SET a = 2")  # so that the server is as it should be
    pipeline = Pipeline(databases, job(history="append", **DELETES), Digest(lambda text: text == "bad"))

    assert counts(databases, pipeline.run().run_id) == {"planned": 51, "predicted": 50, "quarantined": 1}
    sql(databases, "INSERT INTO message (text) VALUES ('new')")
    expected = {"planned": 1, "predicted": 1}
    if identity != "NOTHING":
        sql(databases, "UPDATE message SET text = 'edited ' || id WHERE id <= 3")
        sql(databases, "UPDATE message SET text = 'good' WHERE text = 'bad'")
        sql(databases, "DELETE FROM message WHERE id = 50")
        expected = {"planned": 5, "predicted": 5, "deleted": 1}
    assert counts(databases, pipeline.run().run_id) == expected

    found = {key: row["digest"] for key, row in predictions(databases).items()}
    texts = dict(sql(databases, "SELECT id, text FROM message WHERE text <> 'bad'"))
    assert found == {key: digest(text) for key, text in texts.items()}
    superseded = [] if identity == "NOTHING" else [1, 2, 3, 50]
    assert sql(databases, "SELECT id FROM prediction.intent__history ORDER BY id") == [(key,) for key in superseded]
    assert [pipeline.run().planned for _ in range(3)] == [0, 0, 0]
    entries = 0 if identity == "NOTHING" else 1
    assert list(prune(databases, timedelta(0), Registry)) == [
        f"job intent: {2 + entries} runs, 0 reports, {entries} resolved entries of quarantine"
    ]


def moved(databases: Databases, connection: str = "predictions") -> None:
    """An edit, a new row and a deleted one, the first two within the window."""
    sql(databases, "UPDATE message SET text = text || '!', updated_at = now() WHERE id = 7", connection)
    sql(databases, "INSERT INTO message (id, text, updated_at) VALUES (1000, 'new', now())", connection)
    sql(databases, "DELETE FROM message WHERE id = 8", connection)


def old_messages(databases: Databases, connection: str = "predictions", rows: int = 100) -> None:
    """Rows that no window reaches."""
    create_messages(databases, [f"message {number}" for number in range(1, rows + 1)], connection)
    sql(databases, "UPDATE message SET updated_at = now() - interval '3 hours'", connection)


def sweep_next(databases: Databases) -> None:
    sql(databases, "UPDATE prediction.run SET source_time = source_time - interval '2 years' WHERE sweep")


@pytest.mark.parametrize("changes", [{}, WINDOW])
def test_a_foreign_table(other: Databases, changes: dict[str, Any]) -> None:
    """R5. By postgres_fdw, whole and incrementally; no key of it is known to be unique."""
    old_messages(other, "company")
    url = make_url(other.url("company"))
    sql(other, "CREATE EXTENSION postgres_fdw")
    sql(other, "CREATE SERVER company FOREIGN DATA WRAPPER postgres_fdw OPTIONS "
               f"(host '{url.host}', port '{url.port}', dbname '{url.database}')")  # fmt: skip
    sql(other, "CREATE USER MAPPING FOR CURRENT_USER SERVER company OPTIONS "
               f"(user '{url.username}', password '{url.password}')")  # fmt: skip
    sql(other, "IMPORT FOREIGN SCHEMA public LIMIT TO (message) FROM SERVER company INTO public")
    pipeline = Pipeline(other, job(sizes__chunk_rows=30, **DELETES, **changes))

    assert counts(other, pipeline.run().run_id) == {"planned": 100, "predicted": 100}
    assert pipeline.run().planned == 0
    moved(other, "company")
    deleted = {} if changes else {"deleted": 1}
    assert counts(other, pipeline.run().run_id) == {"planned": 2, "predicted": 2, **deleted}
    if changes:
        sweep_next(other)
        assert counts(other, pipeline.run().run_id) == {"deleted": 1}
    assert_current(other, "company")
    assert pipeline.run().planned == 0


PARTS = """
CREATE TABLE message (id bigint NOT NULL, text text, channel text NOT NULL DEFAULT 'a', updated_at timestamptz
    NOT NULL DEFAULT now(), PRIMARY KEY (id, channel)) PARTITION BY LIST (channel);
CREATE TABLE of_a PARTITION OF message FOR VALUES IN ('a');
CREATE TABLE of_b PARTITION OF message FOR VALUES IN ('b');
INSERT INTO message SELECT n, 'message ' || n, CASE WHEN n > 60 THEN 'b' ELSE 'a' END, now() - interval '3 hours'
FROM generate_series(1, 100) n;
"""


@pytest.mark.parametrize("changes", [{}, WINDOW])
@pytest.mark.parametrize("where", ["predictions", "company"])
def test_partitions_by_another_column_than_the_key(other: Databases, where: str, changes: dict[str, Any]) -> None:
    """R5. No index says that the key is unique; rows move between partitions; a detached one is gone."""
    sql(other, PARTS, where)
    pipeline = Pipeline(other, job(source__connection=where, sizes__chunk_rows=30, **DELETES, **changes))

    assert counts(other, pipeline.run().run_id) == {"planned": 100, "predicted": 100}
    sql(other, "UPDATE message SET channel = 'b', updated_at = now() WHERE id = 1", where)
    assert pipeline.run().planned == 0  # the model is not given the column
    moved(other, where)
    deleted = {} if changes else {"deleted": 1}
    assert counts(other, pipeline.run().run_id) == {"planned": 2, "predicted": 2, **deleted}
    sweep_next(other)
    pipeline.run()
    assert_current(other, where)

    sql(other, "ALTER TABLE message DETACH PARTITION of_b", where)
    sweep_next(other)
    assert counts(other, pipeline.run().run_id) == {"deleted": 41}
    assert_current(other, where)
    sql(other, "ALTER TABLE message ATTACH PARTITION of_b FOR VALUES IN ('b')", where)
    sql(other, "INSERT INTO message VALUES (2, 'in the other partition', 'b')", where)
    with pytest.raises(SourceError, match=r"1 values of .* belong to more than one row.*: \(2\)"):
        pipeline.run()


@pytest.mark.parametrize("where", ["predictions", "company"])
def test_a_view_that_keeps_rows_from_functions_of_others(other: Databases, where: str) -> None:
    """R5. `security_barrier`: conditions of the search stay outside of it."""
    old_messages(other, where)
    sql(other, "CREATE VIEW shown WITH (security_barrier) AS SELECT id, text, updated_at FROM message "
               "WHERE text <> 'message 9'", where)  # fmt: skip
    changes = {"source__connection": where, "source__relation": "shown", **WINDOW, **DELETES}
    pipeline = Pipeline(other, job(source__where="text LIKE 'm%' OR id > 999", **changes))

    assert counts(other, pipeline.run().run_id) == {"planned": 99, "predicted": 99}
    moved(other, where)
    assert counts(other, pipeline.run().run_id) == {"planned": 2, "predicted": 2}
    sweep_next(other)
    assert counts(other, pipeline.run().run_id) == {"deleted": 1}
    sql(other, "DELETE FROM message WHERE id = 9", where)
    assert_current(other, where)


@pytest.mark.parametrize("kind", ["STORED", "VIRTUAL"])
@pytest.mark.parametrize("where", ["predictions", "company"])
def test_inputs_that_postgres_generates(other: Databases, where: str, kind: str) -> None:
    """R5."""
    if kind == "VIRTUAL" and sql(other, "SHOW server_version_num") < [("180000",)]:
        pytest.skip("PostgreSQL 18 has them")
    sql(other, "CREATE TABLE message (id bigint PRIMARY KEY, body text, "
               f"text text GENERATED ALWAYS AS (coalesce(body, '-') || '!') {kind})", where)  # fmt: skip
    sql(other, "INSERT INTO message SELECT n, nullif(n, 3) FROM generate_series(1, 50) n", where)
    pipeline = Pipeline(other, job(source__connection=where, source__where="text <> 'never'", sizes__chunk_rows=20))

    assert counts(other, pipeline.run().run_id) == {"planned": 50, "predicted": 50}
    assert pipeline.run().planned == 0
    sql(other, "UPDATE message SET body = 'another' WHERE id = 3", where)
    assert counts(other, pipeline.run().run_id) == {"planned": 1, "predicted": 1}
    assert_current(other, where)


LOADS = {
    "swap by rename": "CREATE TABLE newer (LIKE message INCLUDING ALL); INSERT INTO newer TABLE message; "
                      "ALTER TABLE message RENAME TO older; ALTER TABLE newer RENAME TO message",
    "truncate and reload": "CREATE TEMPORARY TABLE kept AS TABLE message; TRUNCATE message; "
                           "INSERT INTO message TABLE kept",
    "delete and reload": "CREATE TEMPORARY TABLE kept AS TABLE message; DELETE FROM message; "
                         "INSERT INTO message SELECT * FROM kept ORDER BY id DESC",
}  # fmt: skip


@pytest.mark.parametrize("changes", [{}, WINDOW])
@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("where", ["predictions", "company"])
def test_a_table_that_is_loaded_anew(other: Databases, where: str, load: str, changes: dict[str, Any]) -> None:
    """R5. The same rows in another table, or written again: nothing is pending, and what changes next is found."""
    old_messages(other, where)
    pipeline = Pipeline(other, job(source__connection=where, **DELETES, **changes))
    pipeline.run()

    sql(other, "ALTER TABLE message ALTER id DROP IDENTITY", where)
    sql(other, LOADS[load], where)

    for _ in range(2):
        planned = pipeline.run()
        assert (planned.planned, counts(other, planned.run_id)) == (0, {})
        sweep_next(other)
    assert_current(other, where)
    moved(other, where)
    assert counts(other, pipeline.run().run_id) == {"planned": 2, "predicted": 2, "deleted": 1}
    assert_current(other, where)


EXTREMES = {
    "bigint": [str(-(2**63)), "-1", "0", "1", str(2**63 - 1)],
    "smallint": [str(-(2**15)), "-1", "0", str(2**15 - 1)],
    "numeric": ["-1.50", "-0.0001", "0", "1e20"],
    "text": ["\U0001f680", "\U0001f680\U0001f680", "\U0001f469\u200d\U0001f680", "\ufeff", "-1", "é", "e\u0301"],
}


@pytest.mark.parametrize("kind", EXTREMES)
@pytest.mark.parametrize("where", ["predictions", "company"])
def test_keys_below_zero_and_of_emoji(other: Databases, where: str, kind: str) -> None:
    """R5. Each is one row, in pages of two, and can be named as the end of a range."""
    values = EXTREMES[kind]
    sql(other, f"CREATE TABLE message (id {kind} PRIMARY KEY, text text)", where)
    for value in values:
        sql(other, f"INSERT INTO message VALUES (CAST(:v AS {kind}), :v)", where, v=value)
    pipeline = Pipeline(other, job(source__connection=where, sizes__chunk_rows=2, **DELETES))

    assert counts(other, pipeline.run().run_id) == {"planned": len(values), "predicted": len(values)}
    assert_current(other, where)
    assert pipeline.run().planned == 0
    for value in values:
        assert pipeline.run(mode="key_range", key_from=value, key_to=value).planned == 1
    sql(other, f"DELETE FROM message WHERE id = CAST(:v AS {kind})", where, v=values[0])
    sql(other, f"UPDATE message SET text = 'edited' WHERE id = CAST(:v AS {kind})", where, v=values[1])
    assert counts(other, pipeline.run().run_id) == {"planned": 1, "predicted": 1, "deleted": 1}
    assert_current(other, where)
