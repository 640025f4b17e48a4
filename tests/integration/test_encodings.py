"""Predictions in a database that is not UTF-8, and characters that its encoding lacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from inference.base.database import Databases
from inference.base.outputs import Output
from inference.base.signature import Signature
from inference.errors import SourceError
from inference.schema.run import fail
from services.postgres import Postgres
from tests.integration.test_sources import korean as korean
from tests.stub import TEXT, Digest, Pipeline, assert_current, counts, create_messages, job, predictions, run_row, sql

ROCKET = "\U0001f680"
RARE = "뷁"  # Python's EUC_KR has it, Postgres's has not


@pytest.fixture
def elsewhere(postgres: Postgres, korean: Databases) -> Iterator[Databases]:
    """The Korean predictions, and a company in UTF-8."""
    postgres.create_database("test_company_in_utf8")
    here = korean.url("predictions").render_as_string(hide_password=False)
    yield Databases({"predictions": here, "company": postgres.url("test_company_in_utf8")})
    postgres.drop_database("test_company_in_utf8")


def quarantine(databases: Databases) -> dict[str, tuple[str, str]]:
    found = sql(databases, "SELECT key[1], error, message FROM prediction.quarantine")
    return {key: (error, message) for key, error, message in found}


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("안녕 \\ é", "안녕 \\ \\xe9"),
        (f"안녕 {ROCKET}", "안녕 \\U0001f680"),
        (f"안 {RARE}", "\\uc548 \\ubdc1"),
    ],
)
def test_a_models_error_costs_its_row_whatever_it_says(korean: Databases, said: str, kept: str) -> None:
    """F31. Once its message stopped the shard, at each run."""
    create_messages(korean, ["안녕", "bad", "끝"])

    class Model(Digest):
        def predict(self, data: pd.DataFrame) -> pd.DataFrame:
            if "bad" in data["text"].tolist():
                raise type(f"Fault{said[0]}", (ValueError,), {})(said)
            return super().predict(data)

    pipeline = Pipeline(korean, predictor=Model())

    assert counts(korean, pipeline.run().run_id) == {"planned": 3, "predicted": 2, "quarantined": 1}

    name = "Fault\\uc548" if RARE in said else "Fault안"
    assert quarantine(korean) == {"2": (name, kept)}
    assert pipeline.run().planned == 0


@pytest.mark.parametrize("character", [ROCKET, RARE])
def test_an_output_that_the_database_cannot_hold_costs_its_row(korean: Databases, character: str) -> None:
    """F31. In texts, arrays and JSON."""
    create_messages(korean, ["안녕", "text", "list", "thing"])
    outputs = (Output("word", "text", False), Output("words", "text[]", False), Output("thing", "jsonb", False))

    class Model:
        def predict(self, data: pd.DataFrame) -> pd.DataFrame:
            bad = {name: [character if text == name else "안녕" for text in data["text"]] for name in
                   ("text", "list", "thing")}  # fmt: skip
            return pd.DataFrame({
                "word": bad["text"], "words": [[item] for item in bad["list"]],
                "thing": [{"said": item} for item in bad["thing"]],
            })  # fmt: skip

    pipeline = Pipeline(korean, predictor=Model(), signature=Signature(TEXT.inputs, outputs))

    assert counts(korean, pipeline.run().run_id) == {"planned": 4, "predicted": 1, "quarantined": 3}

    ((key, row),) = predictions(korean).items()
    assert (key, row["word"], row["words"], row["thing"]) == (1, "안녕", ["안녕"], {"said": "안녕"})
    assert set(quarantine(korean)) == {"2", "3", "4"}
    assert {error for error, _ in quarantine(korean).values()} == {"UntranslatableCharacter"}
    assert pipeline.run().planned == 0


def test_the_message_of_a_failed_run_is_kept_whatever_it_says(korean: Databases) -> None:
    """F31. Once the run stayed open, and another error hid what had failed."""
    create_messages(korean, ["안녕"])
    pipeline = Pipeline(korean)
    for said, kept in (
        (f"과업 실패 {ROCKET}", "과업 실패 \\U0001f680"),
        (f"실패 {RARE}", "\\uc2e4\\ud328 \\ubdc1"),
        ("a\0b \ud83d", "ab \\ud83d"),
        ("실패", "실패"),
    ):
        planned = pipeline.plan()

        fail(korean, planned.run_id, said)

        row = run_row(korean, planned.run_id)
        assert (row["state"], row["message"]) == ("failed", kept)
    pipeline.run()
    assert_current(korean)


def test_inputs_from_a_source_in_utf8_may_have_any_character(elsewhere: Databases) -> None:
    """F31. They never pass through the predictions' database."""
    create_messages(elsewhere, ["안녕", ROCKET, RARE, None], "company")
    pipeline = Pipeline(elsewhere, job(source__connection="company"))

    assert counts(elsewhere, pipeline.run().run_id) == {"planned": 4, "predicted": 4}
    assert_current(elsewhere, "company")
    assert pipeline.run().planned == 0


@pytest.mark.parametrize("changes", [{"source__relation": "shown"}, {"source__key": ["text"]}])
@pytest.mark.parametrize("character", [ROCKET, RARE])
def test_a_key_or_an_input_of_a_view_that_cannot_be_written_down_is_named_as_such(
    elsewhere: Databases, changes: dict[str, Any], character: str
) -> None:
    """F31. Both stand in the work list. It was told as an error of `where`, `cost` or the view."""
    create_messages(elsewhere, ["안녕", character], "company")
    sql(elsewhere, "ALTER TABLE message ADD UNIQUE (text), ALTER text SET NOT NULL", "company")
    sql(elsewhere, "CREATE VIEW shown AS SELECT id, text FROM message", "company")
    pipeline = Pipeline(elsewhere, job(source__connection="company", **changes))

    with pytest.raises(SourceError, match=r"^source: a key, or an input of a view, has a character .* EUC_KR\. Excl"):
        pipeline.plan()

    pipeline.job = job(source__connection="company", source__where="id = 1", **changes)
    assert counts(elsewhere, pipeline.run().run_id) == {"planned": 1, "predicted": 1}
