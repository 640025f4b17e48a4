"""Rows that change between plan and read: coverage adds up, and what is published fits what was read."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.engine import Connection

from inference.base.database import Databases
from inference.base.signature import Input, Signature
from inference.planning.plan import Planned
from inference.scoring.rows import Chunk
from inference.shard.read import Reader
from tests.stub import (
    TEXT,
    Digest,
    Pipeline,
    assert_current,
    counts,
    create_messages,
    digest,
    job,
    predictions,
    sql,
)

DUPLICATES = 500


def edit(databases: Databases, condition: str, expression: str = "text || ' edited'") -> None:
    sql(databases, f"UPDATE message SET text = {expression} WHERE {condition}")  # noqa: S608


def finish(pipeline: Pipeline, planned: Planned) -> dict[str, int]:
    pipeline.predict(planned)
    assert pipeline.finish(planned) == "published"
    return counts(pipeline.databases, planned.run_id)


def representative(databases: Databases, planned: Planned, text: str) -> int:
    """The id of the row that is read for all rows with this text."""
    query = (
        f"SELECT w.key1 FROM prediction_work.work_{planned.run_id}_1 w JOIN message m ON m.id = w.key1 "  # noqa: S608
        "WHERE NOT w.duplicate AND m.text = :text"
    )
    return int(sql(databases, query, text=text)[0][0])


def test_an_edited_row_is_scored_as_read_and_published_with_that_hash(databases: Databases) -> None:
    create_messages(databases, [f"message {number}" for number in range(250)])
    pipeline = Pipeline(databases)
    planned = pipeline.plan()
    edit(databases, "id IN (1, 120, 250)")

    found = finish(pipeline, planned)

    assert found == {"planned": 250, "predicted": 250, "changed_at_read": 3}
    assert_current(databases)
    assert pipeline.run().planned == 0


def test_a_row_that_is_edited_after_it_was_read_is_pending_again(databases: Databases) -> None:
    create_messages(databases, ["one", "two"])
    pipeline = Pipeline(databases)
    planned = pipeline.plan()
    pipeline.predict(planned)
    edit(databases, "id = 1")
    pipeline.finish(planned)

    assert predictions(databases)[1]["digest"] == digest("one")
    assert pipeline.run().planned == 1
    assert_current(databases)


def test_deleted_rows_vanish(databases: Databases) -> None:
    create_messages(databases, [f"message {number}" for number in range(250)])
    pipeline = Pipeline(databases)
    planned = pipeline.plan()
    sql(databases, "DELETE FROM message WHERE id % 50 = 0")

    assert finish(pipeline, planned) == {"planned": 250, "predicted": 245, "vanished": 5}
    assert_current(databases)
    assert pipeline.run().planned == 0


def test_a_row_that_left_where_vanishes(databases: Databases) -> None:
    create_messages(databases, [f"message {number}" for number in range(20)])
    sql(databases, "UPDATE message SET channel = 'mail'")
    pipeline = Pipeline(databases, job(source__where="channel = 'mail'"))
    planned = pipeline.plan()
    sql(databases, "UPDATE message SET channel = 'chat' WHERE id = 5")

    assert finish(pipeline, planned) == {"planned": 20, "predicted": 19, "vanished": 1}
    assert 5 not in predictions(databases)
    assert pipeline.run().planned == 0


def test_the_edited_representative_of_500_duplicates_defers_the_others(databases: Databases) -> None:
    create_messages(databases, ["same"] * DUPLICATES + ["alone"])
    pipeline = Pipeline(databases)
    planned = pipeline.plan()
    chosen = representative(databases, planned, "same")
    edit(databases, f"id = {chosen}")

    found = finish(pipeline, planned)

    assert found == {"planned": DUPLICATES + 1, "predicted": 2, "deferred": DUPLICATES - 1, "changed_at_read": 1}
    assert {key: row["digest"] for key, row in predictions(databases).items()} == {
        chosen: digest("same edited"),
        DUPLICATES + 1: digest("alone"),
    }
    assert counts(databases, pipeline.run().run_id) == {
        "planned": DUPLICATES - 1,
        "predicted": 1,
        "reused": DUPLICATES - 2,
    }
    assert_current(databases)


def test_the_deleted_representative_of_500_duplicates_defers_the_others(databases: Databases) -> None:
    create_messages(databases, ["same"] * DUPLICATES + ["alone"])
    pipeline = Pipeline(databases)
    planned = pipeline.plan()
    sql(databases, "DELETE FROM message WHERE id = :id", id=representative(databases, planned, "same"))

    found = finish(pipeline, planned)

    assert found == {"planned": DUPLICATES + 1, "predicted": 1, "vanished": 1, "deferred": DUPLICATES - 1}
    assert list(predictions(databases)) == [DUPLICATES + 1]
    assert pipeline.run().planned == DUPLICATES - 1
    assert_current(databases)


def test_deferred_rows_keep_the_window_open(databases: Databases) -> None:
    create_messages(databases, ["same"] * 10)
    sql(databases, "UPDATE message SET updated_at = now() - interval '1 day'")
    changes = {"source__cursor": "updated_at", "source__lookback": "1s", "source__sweep": "0 0 1 1 *"}
    pipeline = Pipeline(databases, job(**changes))
    pipeline.run()
    sql(databases, "UPDATE message SET text = 'other', updated_at = now()")
    planned = pipeline.plan()
    edit(databases, f"id = {representative(databases, planned, 'other')}")
    assert finish(pipeline, planned)["deferred"] == 9
    # Long ago, so that only an open window can still contain these rows.
    sql(databases, "UPDATE prediction.run SET source_time = now() + interval '1 h' WHERE complete AND NOT sweep")

    assert pipeline.run().planned == 9
    assert_current(databases)


def test_edited_duplicates_get_the_prediction_of_the_planned_input_and_are_pending_again(
    databases: Databases,
) -> None:
    create_messages(databases, ["same"] * 100)
    pipeline = Pipeline(databases)
    planned = pipeline.plan()
    chosen = representative(databases, planned, "same")
    others = [number for number in range(1, 101) if number != chosen][:7]
    edit(databases, f"id IN ({', '.join(map(str, others))})")

    assert finish(pipeline, planned) == {"planned": 100, "predicted": 1, "reused": 99}
    hashes = {row["input_hash"] for row in predictions(databases).values()}
    assert len(hashes) == 1  # that of the planned input, so the edited rows show as out of date
    current = dict(sql(databases, "SELECT id, is_current FROM prediction.intent__current"))
    assert sorted(key for key, value in current.items() if not value) == sorted(others)
    assert counts(databases, pipeline.run().run_id) == {"planned": 7, "predicted": 1, "reused": 6}
    assert_current(databases)


def test_a_mix_of_everything_adds_up(databases: Databases) -> None:
    create_messages(databases, [f"text {number % 60}" for number in range(600)])
    pipeline = Pipeline(databases, job(sizes__chunk_rows=7, sizes__shard_rows=20))
    planned = pipeline.plan()
    assert len(planned.shards) == 3
    sql(databases, "DELETE FROM message WHERE id % 11 = 0")
    edit(databases, "id % 13 = 0")
    sql(databases, "UPDATE message SET id = id + 10000 WHERE id % 17 = 0")
    create_more = "INSERT INTO message (text) SELECT 'text ' || n FROM generate_series(1, 30) n"
    sql(databases, create_more)

    found = finish(pipeline, planned)

    changed = found.pop("changed_at_read", 0)
    assert found.pop("planned") == 600 == sum(found.values())
    assert 0 < changed <= found["predicted"]
    # Nothing wrong is visible: each prediction is the model's answer to the input that its hash stands for.
    by_hash = dict(
        sql(
            databases,
            """SELECT md5('[1, "text"]' || ROW(text)::text)::uuid, text FROM message""".replace("::", "\\:\\:"),
        )
    )
    by_hash |= dict(
        sql(
            databases,
            """SELECT CAST(md5('[1, "text"]' || CAST(ROW('text ' || n) AS text)) AS uuid), 'text ' || n
               FROM generate_series(0, 59) n""",
        )
    )
    for row in predictions(databases).values():
        assert row["digest"] == digest(by_hash[row["input_hash"]])
    pipeline.run()
    pipeline.run()
    texts = dict(sql(databases, "SELECT id, text FROM message"))
    seen = predictions(databases)
    assert {key: seen[key]["digest"] for key in texts} == {key: digest(text) for key, text in texts.items()}
    assert pipeline.run().planned == 0


def test_a_page_whose_rows_are_all_gone_beside_one_that_fails(databases: Databases) -> None:
    """The parts of a chunk that was read in halves: one has no row left, and the hashes of the other stay."""
    create_messages(databases, [f"message {number:02}" for number in range(64)])
    sql(databases, "ALTER TABLE message ADD COLUMN at timestamptz")
    a_job = job(cost="1", deduplicate=False, source__inputs=["text", "at"], sizes={"chunk_rows": 64, "batch_rows": 64})
    signature = Signature((*TEXT.inputs, Input("at", "datetime", "datetime64[ns]", False)), TEXT.outputs)
    pipeline = Pipeline(databases, a_job, Digest(), signature)
    sql(databases, "UPDATE message SET at = 'infinity' WHERE id = 64")
    planned = pipeline.plan()
    sql(databases, "DELETE FROM message WHERE id <= 32")

    pipeline.predict(planned)

    assert pipeline.finish(planned) == "published"
    found = counts(databases, planned.run_id)
    assert (found["predicted"], found["quarantined"], found["vanished"]) == (31, 1, 32)
    hashes = {row["input_hash"] for row in predictions(databases).values()}
    assert None not in hashes
    assert len(hashes) == 31
    assert pipeline.plan().planned == 0


def test_a_page_whose_commit_was_lost_is_read_again_with_the_same_budget(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_messages(databases, [f"message {number}" for number in range(250)])
    pipeline = Pipeline(databases, job(sizes__chunk_bytes=1024))
    planned = pipeline.plan()
    fetch, lost = Reader._fetch, []

    def losing(self: Reader, connection: Connection, *arguments: Any) -> Chunk:
        page = fetch(self, connection, *arguments)
        if not lost:
            lost.append(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
            sql(databases, "SELECT pg_terminate_backend(:pid)", pid=lost[0])
        return page

    monkeypatch.setattr(Reader, "_fetch", losing)

    assert finish(pipeline, planned) == {"planned": 250, "predicted": 250}
    assert len(lost) == 1
    assert_current(databases)
