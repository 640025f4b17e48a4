"""Entries of quarantine end when there is nothing left to them, and a row has one entry, however its key is written."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from inference.base.database import Databases
from inference.operations import quarantine
from services.postgres import Postgres
from tests.stub import Digest, Pipeline, counts, create_messages, job, sql

ENTRIES = "SELECT key, state FROM prediction.quarantine ORDER BY key"


@pytest.fixture(params=["here", "elsewhere"])
def pipeline(databases: Databases, postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[Pipeline]:
    name = "predictions" if request.param == "here" else "crm"
    known = databases
    if name == "crm":
        postgres.create_database("past_entries")
        urls = {"predictions": databases.url("predictions").render_as_string(hide_password=False)}
        known = Databases({**urls, "crm": postgres.url("past_entries")})
    yield Pipeline(known, job(cost="1", source__connection=name), Digest(lambda text: text.startswith("bad")))
    if name == "crm":
        postgres.drop_database("past_entries")


def company(pipeline: Pipeline, statement: str) -> None:
    sql(pipeline.databases, statement, pipeline.job.source.connection)


def entries(pipeline: Pipeline) -> list[tuple[str, str]]:
    return [(key[0], state) for key, state in sql(pipeline.databases, ENTRIES)]


def counted(pipeline: Pipeline) -> int:
    return int(sql(pipeline.databases, "SELECT quarantined FROM prediction.job_status")[0][0])


def test_an_entry_whose_row_was_deleted_ends_with_the_next_run_that_looks(pipeline: Pipeline) -> None:
    """C: it stayed open for good, and was counted."""
    create_messages(pipeline.databases, ["good", "bad", "bad too"], pipeline.job.source.connection)
    pipeline.run()
    assert counted(pipeline) == 2
    company(pipeline, "DELETE FROM message WHERE id = 2")

    assert pipeline.run().planned == 0

    assert entries(pipeline) == [("2", "resolved"), ("3", "open")]
    assert counted(pipeline) == 1


def test_an_entry_whose_row_went_back_to_what_is_predicted_ends(pipeline: Pipeline) -> None:
    """C: nothing is pending, so no publish came by to end it."""
    create_messages(pipeline.databases, ["good", "fine"], pipeline.job.source.connection)
    pipeline.run()
    company(pipeline, "UPDATE message SET text = 'bad'")
    assert counts(pipeline.databases, pipeline.run().run_id) == {"planned": 2, "quarantined": 2}
    company(pipeline, "UPDATE message SET text = 'good' WHERE id = 1")

    assert pipeline.run().planned == 0

    assert entries(pipeline) == [("1", "resolved"), ("2", "open")]


def test_a_window_ends_only_entries_of_rows_that_it_looks_at(databases: Databases) -> None:
    create_messages(databases, ["good", "fine"])
    changes = {"source__cursor": "updated_at", "source__lookback": "1s", "source__sweep": "0 0 1 1 *"}
    pipeline = Pipeline(databases, job(**changes), Digest(lambda text: text.startswith("bad")))
    pipeline.run()
    sql(databases, "UPDATE message SET text = 'bad', updated_at = now()")
    pipeline.run()
    sql(databases, "DELETE FROM message WHERE id = 1")
    sql(databases, "UPDATE message SET text = 'fine', updated_at = now() WHERE id = 2")

    assert pipeline.run().planned == 0

    assert entries(pipeline) == [("1", "open"), ("2", "resolved")]
    pipeline.run(mode="rescore")  # looks at everything
    assert entries(pipeline) == [("1", "resolved"), ("2", "resolved")]


def test_what_still_fails_stays_open(pipeline: Pipeline) -> None:
    create_messages(pipeline.databases, ["good", "bad"], pipeline.job.source.connection)
    pipeline.run()
    for request in ({}, {"mode": "rescore"}, {"mode": "key_range", "key_from": "1", "key_to": "1"}):
        pipeline.run(**request)
    assert entries(pipeline) == [("2", "open")]


KEYS = {
    "numeric": ("numeric", "1", "1.0"),
    "interval": ("interval", "30 days", "1 mon"),
    "citext": ("citext", "abc", "ABC"),
}


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("after", ["bad", "bad too", "good"])
def test_a_key_that_is_written_another_way_has_one_entry(pipeline: Pipeline, name: str, after: str) -> None:
    """C: 'abc' and 'ABC' in citext, 1 and 1.0, '30 days' and '1 mon' had two open entries for one row."""
    kind, one, other = KEYS[name]
    if name == "citext":
        for where in ("predictions", pipeline.job.source.connection):
            sql(pipeline.databases, "CREATE EXTENSION IF NOT EXISTS citext", where)
    company(pipeline, f"CREATE TABLE message (id {kind} PRIMARY KEY, text text)")
    company(pipeline, f"INSERT INTO message VALUES ('{one}', 'bad')")  # noqa: S608
    pipeline.run()
    assert entries(pipeline) == [(one, "open")]
    company(pipeline, f"UPDATE message SET id = '{other}', text = '{after}'")  # noqa: S608

    planned = pipeline.run()

    assert planned.planned == (0 if after == "bad" else 1)
    assert entries(pipeline) == [(other, "resolved" if after == "good" else "open")]


def test_a_replay_survives_a_key_that_is_written_another_way(pipeline: Pipeline) -> None:
    """It would make every run a sweep, and its row would never be tried."""
    company(pipeline, "CREATE TABLE message (id numeric PRIMARY KEY, text text)")
    company(pipeline, "INSERT INTO message VALUES (1, 'bad')")
    pipeline.run()
    quarantine.replay(pipeline.databases, "intent", None)
    company(pipeline, "UPDATE message SET id = 1.0")
    pipeline.predictor = Digest()

    assert counts(pipeline.databases, pipeline.run(mode="replay").run_id) == {"planned": 1, "predicted": 1}

    assert entries(pipeline) == [("1.0", "resolved")]


def test_two_entries_that_older_versions_made_become_one(databases: Databases) -> None:
    sql(databases, "CREATE TABLE message (id numeric PRIMARY KEY, text text)")
    sql(databases, "INSERT INTO message VALUES (1, 'bad')")
    pipeline = Pipeline(databases, predictor=Digest(lambda text: text == "bad"))
    pipeline.run()
    for text in ("1.0", "1.00"):
        sql(
            databases,
            "INSERT INTO prediction.quarantine (job, key, input_hash, model_id, run_id, error, message) "
            "SELECT job, ARRAY[:text], input_hash, model_id, run_id, error, message FROM prediction.quarantine LIMIT 1",
            text=text,
        )

    sql(databases, "UPDATE message SET id = 1.000")
    assert pipeline.run().planned == 0

    assert entries(pipeline) == [("1", "resolved"), ("1.0", "resolved"), ("1.000", "open")]


def test_an_entry_under_the_old_name_of_an_enum_is_compared_as_text(databases: Databases) -> None:
    sql(databases, "CREATE TYPE mood AS ENUM ('sad', 'happy')")
    sql(databases, "CREATE TABLE message (id mood PRIMARY KEY, text text)")
    sql(databases, "INSERT INTO message VALUES ('sad', 'bad'), ('happy', 'good')")
    pipeline = Pipeline(databases, predictor=Digest(lambda text: text == "bad"))
    pipeline.run()
    sql(databases, "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'")

    pipeline.run()

    assert entries(pipeline) == [("blue", "open"), ("sad", "resolved")]
