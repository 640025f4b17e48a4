"""A key that is too long for an index costs its own row."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from inference.base.database import Databases
from services.postgres import Postgres
from tests.stub import Digest, Pipeline, counts, job, sql

# Hexadecimal of MD5s: what compression makes little of.
NOISE = "(SELECT string_agg(md5(i::text), '') FROM generate_series({n}, {n} + {length} / 32 - 1) i)"
KINDS = {"text": "{noise}", "bytea": "convert_to({noise}, 'UTF8')", "varchar": "{noise}"}


def noise(kind: str, number: str, length: int) -> str:
    return KINDS[kind].format(noise=NOISE.format(n=number, length=length))


@pytest.fixture(params=["here", "elsewhere"])
def pipeline(databases: Databases, postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[Pipeline]:
    name = "predictions" if request.param == "here" else "crm"
    known = databases
    if name == "crm":
        postgres.create_database("long_keys")
        urls = {"predictions": databases.url("predictions").render_as_string(hide_password=False)}
        known = Databases({**urls, "crm": postgres.url("long_keys")})
    yield Pipeline(known, job(cost="1", source__connection=name), Digest(lambda text: text == "bad"))
    if name == "crm":
        postgres.drop_database("long_keys")


def company(pipeline: Pipeline, *statements: str) -> None:
    for statement in statements:
        sql(pipeline.databases, statement, pipeline.job.source.connection)


def entries(pipeline: Pipeline) -> list[tuple[int, str]]:
    return sql(pipeline.databases, "SELECT length(key[1]), error FROM prediction.quarantine WHERE state = 'open'")  # type: ignore[return-value]


def test_a_refused_row_with_a_key_that_is_long_as_text_goes_into_quarantine(pipeline: Pipeline) -> None:
    """B5 (a): the index of the quarantine held the text of the key, which is twice as long for bytea."""
    company(
        pipeline,
        "CREATE TABLE message (id bytea PRIMARY KEY, text text)",
        f"INSERT INTO message SELECT {noise('bytea', 'g * 1000', 1504)}, CASE g WHEN 7 THEN 'bad' ELSE 'good' END "  # noqa: S608
        "FROM generate_series(1, 30) g",
    )

    planned = pipeline.run()

    assert counts(pipeline.databases, planned.run_id) == {"planned": 30, "predicted": 29, "quarantined": 1}
    assert entries(pipeline) == [(3010, "ValueError")]
    assert pipeline.run().planned == 0
    company(pipeline, "UPDATE message SET text = 'better' WHERE text = 'bad'")
    assert counts(pipeline.databases, pipeline.run().run_id) == {"planned": 1, "predicted": 1}
    assert entries(pipeline) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("deduplicate", [False, True])
def test_a_key_that_the_target_cannot_hold_costs_its_row(pipeline: Pipeline, kind: str, deduplicate: bool) -> None:
    """B5 (b): publish failed by the target's primary key, after everything was scored, at each run."""
    pipeline.job = pipeline.job.model_copy(update={"deduplicate": deduplicate})
    company(
        pipeline,
        f"CREATE TABLE message (id {kind} NOT NULL, text text)",
        f"CREATE UNIQUE INDEX ON message (md5(id::{'bytea' if kind == 'bytea' else 'text'}))",
        # Lengths 2,560 and less fit, 3,840 does not, and 100,000 equal characters fit once they are compressed.
        f"INSERT INTO message SELECT {noise(kind, 'g * 1000', 2560)}, 'same' FROM generate_series(1, 20) g",  # noqa: S608
        f"INSERT INTO message SELECT {noise(kind, 'g * 1000', 3840)}, 'same' FROM generate_series(21, 22) g",  # noqa: S608
        f"INSERT INTO message SELECT {noise(kind, '99000', 32000)}, 'another'",
        f"INSERT INTO message VALUES (CAST(repeat('x', 100000) AS {kind}), 'same')",  # noqa: S608
    )

    planned = pipeline.run()

    found = counts(pipeline.databases, planned.run_id)
    assert (found["planned"], found["quarantined"]) == (24, 3)
    assert found["predicted"] + found.get("reused", 0) == 21
    assert {error for _, error in entries(pipeline)} == {"KeyTooLong"}
    messages = sql(pipeline.databases, "SELECT message FROM prediction.quarantine")
    assert all(one.startswith("the key is too long for an index of Postgres: index row") for (one,) in messages)
    assert sql(pipeline.databases, "SELECT count(*), max(length(id)) FROM prediction.intent") == [(21, 100_000)]
    assert pipeline.run().planned == 0


def test_keys_that_are_long_together(pipeline: Pipeline) -> None:
    company(
        pipeline,
        "CREATE TABLE message (id text NOT NULL, part text NOT NULL, text text)",
        f"INSERT INTO message SELECT {noise('text', 'g * 1000', 1600)}, {noise('text', 'g * 2000', 1600)}, 'good' "  # noqa: S608
        "FROM generate_series(1, 2) g",
        "INSERT INTO message VALUES ('a', 'b', 'good')",
    )
    pipeline.job = job(cost="1", source__connection=pipeline.job.source.connection, source__key=["id", "part"])

    assert counts(pipeline.databases, pipeline.run().run_id) == {"planned": 3, "predicted": 1, "quarantined": 2}
