"""Quarantine holds the inputs that were tried, and no others: a row that cannot be read, and its duplicates."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from inference.base.database import Databases
from inference.base.outputs import Output
from inference.base.signature import Input, Signature
from services.postgres import Postgres
from tests.stub import TEXT, Digest, Pipeline, Printed, counts, create_messages, job, predictions, printing, sql

GOOD = "2024-01-01 00:00+00"


@pytest.fixture(params=["here", "elsewhere"])
def company(databases: Databases, postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[Pipeline]:
    """Five equal rows; the source in the predictions' database, or in another."""
    name = "predictions" if request.param == "here" else "crm"
    known = databases
    if name == "crm":
        postgres.create_database("unreadable")
        urls = {"predictions": databases.url("predictions").render_as_string(hide_password=False)}
        known = Databases({**urls, "crm": postgres.url("unreadable")})
    sql(known, "CREATE TABLE message (id bigint PRIMARY KEY, at timestamptz, text text)", name)
    sql(known, f"INSERT INTO message SELECT n, '{GOOD}', 'same' FROM generate_series(1, 5) n", name)  # noqa: S608
    section = {"relation": "message", "key": ["id"], "inputs": ["at"], "connection": name}
    yield Pipeline(known, job(cost="1", deduplicate=True, source=section), Printed(), printing(at="datetime"))
    if name == "crm":
        postgres.drop_database("unreadable")


def company_sql(pipeline: Pipeline, query: str) -> list[tuple[Any, ...]]:
    return sql(pipeline.databases, query, pipeline.job.source.connection)


def open_keys(pipeline: Pipeline) -> list[str]:
    rows = sql(pipeline.databases, "SELECT key[1] FROM prediction.quarantine WHERE state = 'open' ORDER BY 1")
    return [row[0] for row in rows]


def run_with(pipeline: Pipeline, statement: str) -> dict[str, int]:
    """A run that meets this statement between its plan and its first page."""
    planned = pipeline.plan()
    company_sql(pipeline, statement)
    pipeline.predict(planned)
    assert pipeline.finish(planned) == "published"
    return counts(pipeline.databases, planned.run_id)


@pytest.mark.parametrize("deduplicate", [True, False])
def test_a_row_that_became_unreadable_takes_no_duplicate_with_it(company: Pipeline, deduplicate: bool) -> None:
    """A3 (a): all five were in quarantine, for good."""
    company.job = company.job.model_copy(update={"deduplicate": deduplicate})
    others = {"deferred": 4} if deduplicate else {"predicted": 4}

    found = run_with(company, "UPDATE message SET at = 'infinity' WHERE id = 1")

    assert found == {"planned": 5, "quarantined": 1, **others}
    assert open_keys(company) == ["1"]
    assert company.run().planned == (4 if deduplicate else 0)
    assert set(predictions(company.databases)) == {2, 3, 4, 5}
    assert company.run().planned == 0  # the unreadable input was tried, and waits in quarantine
    company_sql(company, "UPDATE message SET at = '2025-01-01 00:00+00' WHERE id = 1")
    assert counts(company.databases, company.run().run_id) == {"planned": 1, "predicted": 1}
    assert open_keys(company) == []


def test_a_row_that_was_unreadable_for_a_moment_is_pending_again(company: Pipeline) -> None:
    """A3 (b): it was in quarantine under the hash of its good input, and never predicted."""
    company.job = company.job.model_copy(update={"deduplicate": False})
    run_with(company, "UPDATE message SET at = 'infinity' WHERE id = 3")
    assert open_keys(company) == ["3"]
    company_sql(company, f"UPDATE message SET at = '{GOOD}' WHERE id = 3")  # noqa: S608

    assert counts(company.databases, company.run().run_id) == {"planned": 1, "predicted": 1}

    assert set(predictions(company.databases)) == {1, 2, 3, 4, 5}
    assert open_keys(company) == []


def test_a_row_whose_input_cannot_even_be_hashed_silences_no_later_one(company: Pipeline) -> None:
    """A3: the job's condition fails on the row, so there is no hash of what was tried."""
    company_sql(company, "ALTER TABLE message ADD by integer NOT NULL DEFAULT 1")
    section = company.job.source.model_copy(update={"where": "1 / by = 1"})
    company.job = company.job.model_copy(update={"source": section})

    found = run_with(company, "UPDATE message SET by = 0 WHERE id = 1")

    assert found == {"planned": 5, "quarantined": 1, "deferred": 4}
    assert sql(company.databases, "SELECT key, input_hash FROM prediction.quarantine") == [(["1"], None)]
    company_sql(company, "UPDATE message SET by = 1")
    assert company.run().planned == 5
    assert (open_keys(company), len(predictions(company.databases))) == ([], 5)


def test_a_row_that_is_mended_while_it_is_looked_at_is_predicted(
    company: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A neighbour of A3: the value and the hash that are judged are of one moment."""
    from inference.shard.read import Reader

    real = Reader._alone

    def mended(self: Reader, ordinals: range) -> Any:
        company_sql(company, "UPDATE message SET at = '2025-01-01 00:00+00' WHERE id = 1")
        return real(self, ordinals)

    monkeypatch.setattr(Reader, "_alone", mended)

    found = run_with(company, "UPDATE message SET at = 'infinity' WHERE id = 1")

    assert found == {"planned": 5, "predicted": 1, "deferred": 4, "changed_at_read": 1}
    assert open_keys(company) == []


class BadOutput(Digest):
    """Returns what its signature does not allow."""

    def predict(self, data: pd.DataFrame) -> pd.DataFrame:
        found = super().predict(data)
        return found.assign(length=["no number" if text == "bad" else 1 for text in data["text"]])


@pytest.mark.parametrize("fault", ["scoring", "encoding", "writing"])
def test_the_faults_of_scoring_and_writing_name_the_input_that_was_read(databases: Databases, fault: str) -> None:
    """A3: duplicates of a row that was edited to something bad are left over, and its old input is not tried again."""
    create_messages(databases, ["good"] * 5)
    answer = Signature((Input("text", "string", "object", True),), (Output("answer", "jsonb", True),))
    predictor = {
        "scoring": Digest(lambda text: text == "bad"),
        "encoding": BadOutput(),
        "writing": OnlyPostgresRefuses(),
    }[fault]
    pipeline = Pipeline(databases, predictor=predictor, signature=answer if fault == "writing" else TEXT)

    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        found = run_with(pipeline, "UPDATE message SET text = 'bad' WHERE id = 1")
    finally:
        sys.set_int_max_str_digits(before)

    assert found == {"planned": 5, "quarantined": 1, "deferred": 4}
    assert open_keys(pipeline) == ["1"]
    assert counts(databases, pipeline.run().run_id) == {"planned": 4, "predicted": 1, "reused": 3}
    sql(databases, "UPDATE message SET text = 'good' WHERE id = 1")
    assert counts(databases, pipeline.run().run_id) == {"planned": 1, "predicted": 1}
    assert open_keys(pipeline) == []


class OnlyPostgresRefuses:
    """Returns a number that is JSON and that numeric does not hold."""

    def predict(self, data: pd.DataFrame) -> list[Any]:
        return [1 if text == "good" else 10**140_000 for text in data["text"]]
