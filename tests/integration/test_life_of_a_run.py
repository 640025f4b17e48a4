"""Plan, predict, check and publish on a real Postgres, with a stub model."""

from __future__ import annotations

from inference.base.database import Databases
from tests.stub import Pipeline, create_messages, digest, predictions, present_hashes, run_row, sql


def test_every_row_gets_its_prediction_and_a_second_run_has_nothing_to_do(databases: Databases) -> None:
    texts = [f"message {number}" for number in range(250)] + ["message 7", "", "message 7"]
    create_messages(databases, texts)
    pipeline = Pipeline(databases)

    planned = pipeline.run()

    found = predictions(databases)
    assert {key: (row["digest"], row["length"]) for key, row in found.items()} == {
        number + 1: (digest(text), len(text)) for number, text in enumerate(texts)
    }
    assert {str(row["input_hash"]) for row in found.values()} == set(
        map(str, present_hashes(databases, {"inputs": ["text"]}).values())
    )
    assert {(row["model_version"], row["run_id"]) for row in found.values()} == {("1", planned.run_id)}
    row = run_row(databases, planned.run_id)
    assert (row["state"], row["planned"], row["predicted"], row["reused"], row["complete"]) == (
        "published",
        253,
        251,
        2,
        True,
    )
    again = pipeline.run()
    assert (again.state, again.message, again.planned) == ("empty", "nothing is pending", 0)


def test_only_changed_and_new_rows_are_planned(databases: Databases) -> None:
    create_messages(databases, [f"message {number}" for number in range(1000)])
    pipeline = Pipeline(databases)
    pipeline.run()
    sql(databases, "UPDATE message SET text = text || '!' WHERE id <= 100")
    sql(databases, "INSERT INTO message (text) SELECT 'new ' || n FROM generate_series(1, 50) n")

    assert pipeline.run().planned == 150

    sql(databases, "UPDATE message SET channel = 'mail', updated_at = now()")
    assert pipeline.run().planned == 0
    texts = dict(sql(databases, "SELECT id, text FROM message"))
    assert {key: row["digest"] for key, row in predictions(databases).items()} == {
        key: digest(text) for key, text in texts.items()
    }
