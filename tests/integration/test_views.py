"""A view is not a table: it is read once a run, serially, and its inputs are kept with the work list."""

# ruff: noqa: S608 - the statements are made of this file's own constants

from __future__ import annotations

from typing import Any

import pytest

from inference.base import source
from inference.base.database import PREDICTIONS, Databases
from inference.errors import SourceError
from tests.integration.test_sources import VALUES, measuring, other  # noqa: F401
from tests.stub import (
    Digest,
    Pipeline,
    Printed,
    counts,
    create_messages,
    digest,
    job,
    predictions,
    printing,
    run_row,
    sql,
)  # fmt: skip

VIEW = "CREATE VIEW shown AS SELECT id, upper(text) AS text, updated_at FROM message"


def of_view(databases: Databases, **changes: Any) -> Pipeline:
    return Pipeline(databases, job(source__relation="shown", **changes))


@pytest.mark.parametrize("where", ["predictions", "company"])
def test_what_was_planned_is_scored_and_an_edit_since_is_pending_next_time(
    other: Databases,  # noqa: F811
    where: str,
) -> None:
    """F10. No page reads the view again: it may have gone by then."""
    create_messages(other, [f"text {number}" for number in range(100)], where)
    sql(other, VIEW, where)
    pipeline = of_view(other, source__connection=where, sizes__chunk_rows=30)
    planned = pipeline.plan()
    sql(other, "UPDATE message SET text = 'edited' WHERE id = 1", where)
    sql(other, "DELETE FROM message WHERE id = 2", where)
    sql(other, "ALTER VIEW shown RENAME TO away", where)

    pipeline.predict(planned)

    assert pipeline.finish(planned) == "published"
    assert counts(other, planned.run_id) == {"planned": 100, "predicted": 100}
    assert {key: row["digest"] for key, row in predictions(other).items()} == {
        number + 1: digest(f"TEXT {number}") for number in range(100)
    }
    sql(other, "ALTER VIEW away RENAME TO shown", where)
    assert counts(other, pipeline.run().run_id) == {"planned": 1, "predicted": 1}
    assert predictions(other)[1]["digest"] == digest("EDITED")
    assert pipeline.run().planned == 0


@pytest.mark.parametrize("where", ["predictions", "company"])
def test_every_type_of_input_comes_back_from_the_work_list_as_from_a_table(
    other: Databases,  # noqa: F811
    where: str,
) -> None:
    sql(other, VALUES, where)
    sql(other, "CREATE VIEW shown AS SELECT * FROM measure", where)
    table = measuring(other, source__connection=where)
    table.run()
    expected = {key: (row["printed"], row["input_hash"]) for key, row in predictions(other).items()}
    assert len(expected) == 50
    sql(other, "DELETE FROM prediction.intent__blue")
    table.job = table.job.model_copy(update={"source": table.job.source.model_copy(update={"relation": "shown"})})

    table.run()

    assert {key: (row["printed"], row["input_hash"]) for key, row in predictions(other).items()} == expected
    assert table.run().planned == 0


@pytest.mark.parametrize("where", ["predictions", "company"])
def test_numbers_enums_and_domains_of_a_view(other: Databases, where: str) -> None:  # noqa: F811
    """F26. An enum and a domain over a domain exist in the source's database alone."""
    sql(other, "CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE DOMAIN label AS text; CREATE DOMAIN title AS label",
        where)  # fmt: skip
    sql(other, "CREATE TABLE message (id bigint PRIMARY KEY, mood mood, text title)", where)
    sql(other, "INSERT INTO message VALUES (1, 'good', 'a'), (2, 'bad', 'b'), (3, NULL, NULL)", where)
    sql(other, "CREATE VIEW shown AS SELECT id, mood, text FROM message", where)
    a_job = job(source__relation="shown", source__inputs=["mood", "text"], source__connection=where, cost="1")
    pipeline = Pipeline(other, a_job, Printed(), printing(mood="string", text="string"))

    assert counts(other, pipeline.run().run_id) == {"planned": 3, "predicted": 3}
    assert [row["printed"] for _, row in sorted(predictions(other).items())] == [
        "('good', 'a')", "('bad', 'b')", "(None, None)",
    ]  # fmt: skip
    assert pipeline.run().planned == 0
    pipeline.job = job(source__relation="message", source__inputs=["mood", "text"], source__connection=where, cost="1")
    assert pipeline.run().planned == 0


def test_citext_is_text(databases: Databases) -> None:
    """F26."""
    sql(databases, "CREATE EXTENSION citext")
    sql(databases, "CREATE TABLE message (id bigint PRIMARY KEY, text citext)")
    sql(databases, "INSERT INTO message VALUES (1, 'Abc')")
    pipeline = Pipeline(databases)

    assert counts(databases, pipeline.run().run_id) == {"planned": 1, "predicted": 1}
    assert predictions(databases)[1]["digest"] == digest("Abc")


def test_a_sum_of_floats_is_the_same_the_next_time(databases: Databases) -> None:
    """F9. In parallel each worker's share of the rows, and so the last digits of a sum, would differ each time."""
    sql(databases, "CREATE TABLE item (message bigint, price float8)")
    sql(databases, "INSERT INTO item SELECT n % 20, random() * exp(random() * 40) FROM generate_series(1, 400000) n")
    sql(databases, "ALTER TABLE item SET (parallel_workers = 2)")
    sql(databases, "ANALYZE item")
    sql(databases, "CREATE VIEW shown AS SELECT message AS id, sum(price)::text AS text FROM item GROUP BY message")
    place = databases.url(PREDICTIONS).database
    for setting in ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size"):
        sql(databases, f"ALTER DATABASE {place} SET {setting} = 0")
    pipeline = of_view(databases)
    assert counts(databases, pipeline.run().run_id)["planned"] == 20
    plan = "\n".join(row[0] for row in sql(databases, "EXPLAIN SELECT * FROM shown"))
    assert "Gather" in plan  # without what the pipeline sets, it would be parallel

    assert [pipeline.run().planned for _ in range(5)] == [0] * 5
    assert sql(databases, "SELECT count(*) FROM prediction.intent__current WHERE NOT is_current") == [(0,)]


def test_a_view_that_takes_too_much_room_is_refused_in_words(databases: Databases) -> None:
    create_messages(databases, [str(number) * 300 for number in range(1000)])
    sql(databases, VIEW)

    with pytest.raises(SourceError, match=r"'shown' is a view.*above sizes\.view_bytes 200000\. Plan fewer at a time"):
        of_view(databases, sizes__view_bytes=200_000).plan()

    assert sql(databases, "SELECT relname FROM pg_class WHERE relname ~ '^(work|result|gone)_'") == []
    assert of_view(databases, sizes__view_bytes=200_000).run(row_limit=10).planned == 10


@pytest.mark.parametrize("where", ["predictions", "company"])
def test_a_row_of_a_view_that_is_too_large_costs_itself(
    other: Databases,  # noqa: F811
    where: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """B7, a neighbour."""
    monkeypatch.setattr(source, "MOST_OCTETS", 10_000)
    create_messages(other, ["a", "b" * 20_000, "c", None], where)
    sql(other, "CREATE VIEW shown AS SELECT id, text FROM message", where)
    pipeline = of_view(other, source__connection=where)

    assert counts(other, pipeline.run().run_id) == {"planned": 4, "predicted": 3, "quarantined": 1}
    assert pipeline.run().planned == 0
    ((key, message),) = sql(other, "SELECT key, message FROM prediction.quarantine_open")
    assert (key, message) == (["2"], "its inputs take more than 10000 bytes, which is more than can be read")


@pytest.mark.parametrize("on_delete", ["keep", "delete"])
def test_a_view_is_computed_once_also_where_entries_of_quarantine_are_judged(
    databases: Databases, on_delete: str
) -> None:
    """F10."""
    create_messages(databases, ["a", "bad", "c"])
    sql(databases, "CREATE SEQUENCE calls")
    body = "BEGIN PERFORM nextval(''calls''); RETURN text; END"
    sql(databases, f"CREATE FUNCTION counted(text text) RETURNS text STABLE LANGUAGE plpgsql AS '{body}'")
    sql(databases, "CREATE VIEW shown AS SELECT id, counted(text) AS text FROM message")
    pipeline = of_view(databases, source__on_delete=on_delete, source__max_delete_rate=1.0)
    pipeline.predictor = Digest(lambda text: text == "bad")
    assert counts(databases, pipeline.run().run_id) == {"planned": 3, "predicted": 2, "quarantined": 1}
    sql(databases, "UPDATE message SET text = 'good' WHERE text = 'bad'")
    sql(databases, "DELETE FROM message WHERE id = 3")
    sql(databases, "ALTER SEQUENCE calls RESTART")

    planned = pipeline.plan()

    assert planned.planned == 1
    # Each row's text once for the hash, once for its size and once to be kept: of two rows that is less than two reads.
    ((calls,),) = sql(databases, "SELECT last_value FROM calls")
    pipeline.predict(planned)
    assert pipeline.finish(planned) == "published"
    assert pipeline.run().planned == 0
    sql(databases, "ALTER SEQUENCE calls RESTART")
    sql(databases, "UPDATE message SET text = 'other' WHERE id = 2")
    pipeline.plan()  # without an entry in quarantine
    assert sql(databases, "SELECT last_value FROM calls") == [(calls,)]


def test_the_work_list_with_its_inputs_goes_when_the_run_is_published(databases: Databases) -> None:
    create_messages(databases, ["a"])
    sql(databases, VIEW)
    pipeline = of_view(databases)
    planned = pipeline.plan()
    names = sql(databases, "SELECT attname FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid "
                           "WHERE relname LIKE 'work%' AND relkind = 'r' AND attname = 'in1'")  # fmt: skip
    assert names == [("in1",)]
    pipeline.predict(planned)
    pipeline.finish(planned)

    assert sql(databases, "SELECT relname FROM pg_class WHERE relname ~ '^(work|result|gone)_'") == []


@pytest.mark.parametrize("view", ["now() - updated_at > interval '1 year'", "current_date > date '2024-01-01'"])
def test_a_view_that_changes_as_time_passes_is_searched_without_a_window(databases: Databases, view: str) -> None:
    """F12, F9. A row becomes another, or due, without being written; the run says how many did."""
    create_messages(databases, ["a", "b", "c"])
    sql(databases, "UPDATE message SET updated_at = now() - interval '10 days'")
    sql(databases, f"CREATE VIEW inner_one AS SELECT id, text || ({view}) AS text, updated_at FROM message")
    sql(databases, "CREATE VIEW shown AS SELECT * FROM inner_one")
    pipeline = of_view(databases, source__cursor="updated_at", source__sweep="0 0 1 1 *")
    pipeline.run()
    assert pipeline.run().planned == 0
    # As if time had passed: the inputs of two rows are others now, and nobody has written them.
    sql(
        databases,
        "UPDATE prediction.intent__blue SET input_hash = md5(id::text)::uuid WHERE id < 3".replace(":", "\\:"),
    )

    planned = pipeline.run()

    assert planned.planned == 2
    called = "now" if "now" in view else "current_date"
    assert f"2 of them have another input than they were predicted from; the view calls {called}" in planned.message
    assert run_row(databases, planned.run_id)["window_start"] is None


def test_a_view_that_does_not_depend_on_the_time_keeps_its_window(databases: Databases) -> None:
    create_messages(databases, ["a", "b", "c"])
    sql(databases, VIEW)
    pipeline = of_view(databases, source__cursor="updated_at", source__sweep="0 0 1 1 *")
    pipeline.run()

    assert run_row(databases, pipeline.run().run_id)["window_start"] is not None


def test_a_view_that_gives_a_key_twice_after_it_was_predicted(databases: Databases) -> None:
    """C. Of two rows of one key one is current, and only the other pending: which of them is right?"""
    create_messages(databases, ["a", "b"])
    sql(databases, "CREATE VIEW shown AS SELECT id, text FROM message")
    pipeline = of_view(databases)
    pipeline.run()
    sql(databases, "CREATE OR REPLACE VIEW shown AS SELECT id, text FROM message UNION ALL VALUES (1, 'other')")

    for _ in range(2):
        with pytest.raises(SourceError, match=r"1 values of \(id\) belong to more than one row: \(1\) 2 times"):
            pipeline.run()


def test_a_table_that_gives_a_key_twice_while_it_is_read_names_it(databases: Databases) -> None:
    """C. The same of a table whose index is gone: at once, and at the next plan."""
    create_messages(databases, ["a", "b"])
    pipeline = Pipeline(databases)
    planned = pipeline.plan()
    sql(databases, "ALTER TABLE message DROP CONSTRAINT message_pkey")
    sql(databases, "INSERT INTO message (id, text) VALUES (2, 'again')")

    with pytest.raises(SourceError, match=r"1 values of source\.key belong to more than one row of the source: \(2\)"):
        pipeline.predict(planned)
    with pytest.raises(SourceError, match=r"1 values of \(id\) belong to more than one row: \(2\) 2 times"):
        pipeline.plan()


def test_an_index_that_takes_other_values_for_equal_is_no_unique_key(databases: Databases) -> None:
    """C. text_ops on citext: 'a' and 'A' are two keys to the index, and one to the type."""
    sql(databases, "CREATE EXTENSION citext")
    sql(databases, "CREATE TABLE message (id citext NOT NULL, text text)")
    sql(databases, "CREATE UNIQUE INDEX ON message ((id) text_ops)")
    sql(databases, "INSERT INTO message VALUES ('a', 'one'), ('A', 'two')")

    with pytest.raises(SourceError, match="belong to more than one row"):
        Pipeline(databases).plan()
