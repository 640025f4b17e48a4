"""A bad row costs itself only; an error that all rows share fails the run and silences nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from inference.base.database import Databases
from inference.base.outputs import Output
from inference.base.signature import Input, Signature
from inference.errors import CheckFailed
from inference.operations import quarantine
from tests.stub import (
    Digest,
    Pipeline,
    Printed,
    assert_current,
    counts,
    create_messages,
    digest,
    job,
    predictions,
    printing,
    register,
    run_row,
    sql,
)

BAD = [17, 4000, 4001, 9001, 10_000]  # ids; two of them share a batch
BATCH, CHUNK, ROWS = 64, 2048, 10_000
BATCHES = 4 * (CHUNK // BATCH) + -(-(ROWS - 4 * CHUNK) // BATCH)


def entries(databases: Databases) -> list[tuple[Any, ...]]:
    return sql(databases, "SELECT key, error, message, state, run_id FROM prediction.quarantine ORDER BY key")


def test_a_model_that_fails_on_every_row_fails_the_run_and_leaves_nothing_behind(databases: Databases) -> None:
    create_messages(databases, [f"message {number}" for number in range(250)])
    pipeline = Pipeline(databases, predictor=Digest(lambda text: True))

    for _ in range(2):
        planned = pipeline.plan()
        assert planned.planned == 250
        pipeline.predict(planned)
        with pytest.raises(CheckFailed, match=r"250 of 250 rows .* most often by ValueError\. .* list --run \d+$"):
            pipeline.finish(planned)
        staged = quarantine.staged(databases, planned.run_id, 999)
        assert sorted((int(row["key"][0]), row["error"], row["message"]) for row in staged) == [
            (number + 1, "ValueError", f"cannot score 'message {number}'") for number in range(250)
        ]
        assert entries(databases) == []
        row = run_row(databases, planned.run_id)
        assert (row["state"], row["quarantined"], row["complete"]) == ("failed", 250, False)
    assert predictions(databases) == {}

    pipeline.predictor = Digest()
    pipeline.run()
    assert_current(databases)


@pytest.fixture
def ten_thousand(databases: Databases) -> Pipeline:
    create_messages(databases, [f"{'bad' if number + 1 in BAD else 'message'} {number}" for number in range(ROWS)])
    return Pipeline(
        databases,
        job(cost="1", sizes__chunk_rows=CHUNK, sizes__batch_rows=BATCH),
        Digest(lambda text: text.startswith("bad")),
    )


def test_five_bad_rows_among_ten_thousand_cost_themselves_only(databases: Databases, ten_thousand: Pipeline) -> None:
    pipeline, model = ten_thousand, ten_thousand.predictor
    assert isinstance(model, Digest)

    planned = pipeline.run()

    print("calls:", model.calls, "batches:", BATCHES)
    assert BATCHES < model.calls <= BATCHES + 60
    assert counts(databases, planned.run_id) == {"planned": ROWS, "predicted": ROWS - 5, "quarantined": 5}
    assert set(predictions(databases)) == set(range(1, ROWS + 1)) - set(BAD)
    expected = [
        ([str(number)], "ValueError", f"cannot score 'bad {number - 1}'", "open", planned.run_id) for number in BAD
    ]
    assert entries(databases) == sorted(expected)
    again = pipeline.run()
    assert (again.state, again.planned) == ("empty", 0)


@pytest.mark.parametrize("mode", ["replay", "pending"])
def test_replay_publishes_the_rows_and_resolves_their_entries(
    databases: Databases, ten_thousand: Pipeline, mode: str
) -> None:
    pipeline = ten_thousand
    first = pipeline.run()
    pipeline.predictor = Digest()  # the cause is gone; the version is the same
    assert quarantine.replay(databases, "intent", None) == 5

    planned = pipeline.run(mode=mode)

    assert counts(databases, planned.run_id) == {"planned": 5, "predicted": 5}
    assert_current(databases)
    assert [row[3:] for row in entries(databases)] == [("resolved", first.run_id)] * 5
    assert pipeline.run().planned == 0


def test_a_replay_that_fails_again_is_open_again_and_not_tried_by_every_run(
    databases: Databases, ten_thousand: Pipeline
) -> None:
    pipeline = ten_thousand
    pipeline.run()
    assert quarantine.replay(databases, "intent", ["17", "4000"]) == 2

    planned = pipeline.run(mode="replay")

    assert counts(databases, planned.run_id) == {"planned": 2, "quarantined": 2}
    assert [row[3] for row in entries(databases)] == ["open"] * 5
    assert pipeline.run().planned == 0


def test_the_next_run_replays_a_row_that_has_a_prediction_by_another_version(databases: Databases) -> None:
    """`rescore` put it into quarantine; its old prediction must not hide it from the replay."""
    create_messages(databases, ["one", "bad"])
    pipeline = Pipeline(databases)
    pipeline.run()
    second = Pipeline(databases, predictor=Digest(lambda text: text == "bad"))
    second.model = register(databases, "2")
    assert counts(databases, second.run(mode="rescore", external_id="b").run_id) == {
        "planned": 2,
        "predicted": 1,
        "quarantined": 1,
    }
    assert quarantine.replay(databases, "intent", None) == 1
    second.predictor = Digest()

    planned = second.run(external_id="c")

    assert counts(databases, planned.run_id) == {"planned": 1, "predicted": 1}
    assert [row[3] for row in entries(databases)] == ["resolved"]
    assert second.run(external_id="d").planned == 0


def test_a_row_that_is_edited_leaves_quarantine_by_itself(databases: Databases) -> None:
    create_messages(databases, ["good", "bad"])
    pipeline = Pipeline(databases, predictor=Digest(lambda text: text == "bad"))
    pipeline.run()
    sql(databases, "UPDATE message SET text = 'better' WHERE id = 2")

    planned = pipeline.run()

    assert counts(databases, planned.run_id) == {"planned": 1, "predicted": 1}
    assert [row[3] for row in entries(databases)] == ["resolved"]
    assert_current(databases)


def test_a_replayed_row_that_was_deleted_does_not_make_every_run_a_sweep(databases: Databases) -> None:
    create_messages(databases, ["good", "bad"])
    changes = {"source__cursor": "updated_at", "source__sweep": "0 0 1 1 *"}
    pipeline = Pipeline(databases, job(**changes), Digest(lambda text: text == "bad"))
    pipeline.run()
    quarantine.replay(databases, "intent", None)
    sql(databases, "DELETE FROM message WHERE id = 2")
    pipeline.run()

    last = pipeline.run()

    assert run_row(databases, last.run_id)["sweep"] is False


# What a model can return where its signature says otherwise.
BAD_OUTPUTS = {
    "nul": ("a\0b", "text with a NUL character"),
    "surrogate": ("\ud83d", "half of a surrogate pair"),
    "type": (3.5, "returned float '3.5' where its signature says text"),
    "list": (["x"], "returned list"),
    "integer": ("fine", "returned 9223372036854775808, which is out of range for bigint"),
    "boolean": ("fine", "returned bool 'True' where its signature says bigint"),
}


def test_outputs_that_do_not_fit_are_quarantined_each_alone(databases: Databases) -> None:
    create_messages(databases, [*BAD_OUTPUTS, *(f"good {number}" for number in range(100))])

    class Model(Digest):
        def predict(self, data: pd.DataFrame) -> pd.DataFrame:
            found = super().predict(data).astype(object)
            for number, text in enumerate(data["text"]):
                if text in BAD_OUTPUTS:
                    found.loc[number, "digest"] = None
                    found.at[number, "digest"] = BAD_OUTPUTS[text][0]
                found.at[number, "length"] = {"integer": 2**63, "boolean": True}.get(text, len(text))
            return found

    pipeline = Pipeline(databases, predictor=Model())
    planned = pipeline.run()

    assert counts(databases, planned.run_id) == {"planned": 106, "predicted": 100, "quarantined": 6}
    found = {int(key[0]): (error, message) for key, error, message, *_ in entries(databases)}
    assert list(found) == [1, 2, 3, 4, 5, 6]
    for number, (name, (_, wanted)) in enumerate(BAD_OUTPUTS.items()):
        assert found[number + 1][0] == "BadOutput", name
        assert wanted in found[number + 1][1], name
    assert pipeline.predictor.calls == 3  # type: ignore[attr-defined]
    assert pipeline.run().planned == 0


def test_an_output_that_only_postgres_can_refuse_is_quarantined_alone(databases: Databases) -> None:
    create_messages(databases, [f"message {number}" for number in range(300)])
    signature = Signature((Input("text", "string", "object", True),), (Output("answer", "jsonb", True),))

    class Model:
        def predict(self, data: pd.DataFrame) -> list[Any]:
            # A number that is JSON, and that numeric does not hold.
            return [10**140_000 if text == "message 77" else {"text": text} for text in data["text"]]

    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        planned = Pipeline(databases, predictor=Model(), signature=signature).run()
    finally:
        sys.set_int_max_str_digits(before)

    assert counts(databases, planned.run_id) == {"planned": 300, "predicted": 299, "quarantined": 1}
    ((key, error, message, state, _),) = entries(databases)
    assert (key, error, state) == (["78"], "NumericValueOutOfRange", "open")
    assert "overflow" in message or "out of range" in message


WRONG_ANSWERS: dict[str, tuple[Callable[[pd.DataFrame], Any], str]] = {
    "one row less": (lambda data: Digest().predict(data)[1:], "the model returned 0 rows for 1; it must return one"),
    "one row more": (lambda data: pd.concat([Digest().predict(data)] * 2), "the model returned 2 rows for 1"),
    "a column less": (
        lambda data: Digest().predict(data)[["digest"]],
        "the model returned columns ['digest'], its signature says ['digest', 'length']",
    ),
    "another name": (
        lambda data: Digest().predict(data).rename(columns={"length": "Length"}),
        "the model returned columns ['digest', 'Length'], its signature says",
    ),
    "nothing": (lambda data: None, "the model returned NoneType, its signature says columns"),
}


@pytest.mark.parametrize("name", WRONG_ANSWERS)
def test_a_wrong_shape_fails_the_run_with_a_clear_message(databases: Databases, name: str) -> None:
    create_messages(databases, [f"message {number}" for number in range(40)])
    predict, wanted = WRONG_ANSWERS[name]

    class Model:
        def predict(self, data: pd.DataFrame) -> Any:
            return predict(data)

    pipeline = Pipeline(databases, predictor=Model())
    with pytest.raises(CheckFailed) as caught:
        pipeline.run()
    assert wanted in str(caught.value)
    assert entries(databases) == []


def test_a_batch_too_large_for_the_memory_is_halved_and_that_is_remembered(databases: Databases) -> None:
    create_messages(databases, [f"message {number}" for number in range(1000)])
    sizes: list[int] = []

    class Model(Digest):
        def predict(self, data: pd.DataFrame) -> pd.DataFrame:
            sizes.append(len(data))
            if len(data) > 20:
                raise RuntimeError("CUDA error: Out of memory")
            return super().predict(data)

    planned = Pipeline(databases, predictor=Model()).run()

    assert counts(databases, planned.run_id) == {"planned": 1000, "predicted": 1000}
    assert [size for size in sizes if size > 20] == [64, 32]
    assert max(sizes[10:]) == 16
    assert_current(databases)


def test_dates_that_python_has_not_are_quarantined_alone(databases: Databases) -> None:
    sql(databases, "CREATE TABLE message (id bigint PRIMARY KEY, at timestamptz)")
    sql(
        databases,
        "INSERT INTO message SELECT n, timestamptz '2024-01-01 00:00+00' + n * interval '1 day' "
        "FROM generate_series(1, 100) n",
    )
    strange = {10: "infinity", 11: "-infinity", 50: "294276-01-01 00:00+00", 51: "0044-03-15 00:00+00 BC"}
    for key, value in strange.items():
        sql(databases, "UPDATE message SET at = CAST(:v AS timestamptz) WHERE id = :k", v=value, k=key)
    # The last moments that MLflow gives a model, and the first that it has not.
    for key, value in {60: "2262-04-11 23:47:16.854775+00", 61: "2262-04-11 23:47:16.854776+00"}.items():
        sql(databases, "UPDATE message SET at = CAST(:v AS timestamptz) WHERE id = :k", v=value, k=key)
    pipeline = Pipeline(databases, job(cost="1", source__inputs=["at"]), Printed(), printing(at="datetime"))

    planned = pipeline.run()

    assert [(int(row[0][0]), row[3]) for row in entries(databases)] == [(key, "open") for key in [*strange, 61]]
    assert counts(databases, planned.run_id) == {"planned": 100, "predicted": 95, "quarantined": 5}
    found = predictions(databases)
    assert found[1]["printed"] == "(Timestamp('2024-01-02 00:00:00'),)"
    assert found[60]["printed"] == "(Timestamp('2262-04-11 23:47:16.854775'),)"
    assert pipeline.run().planned == 0


@pytest.mark.parametrize("culprits", [(7,), (1, 100, 101, 250)])
def test_rows_that_cannot_be_read_are_quarantined_alone(databases: Databases, culprits: tuple[int, ...]) -> None:
    create_messages(databases, [f"message {number}" for number in range(250)])
    where = "CASE WHEN channel = 'broken' THEN 1 / (id - id) = 1 ELSE true END"
    pipeline = Pipeline(databases, job(cost="1", source__where=where))
    planned = pipeline.plan()
    for key in culprits:
        sql(databases, "UPDATE message SET channel = 'broken' WHERE id = :key", key=key)

    pipeline.predict(planned)
    assert pipeline.finish(planned) == "published"

    expected = [([str(key)], "DivisionByZero", "division by zero", "open", planned.run_id) for key in culprits]
    assert entries(databases) == sorted(expected)
    assert {key: row["digest"] for key, row in predictions(databases).items()} == {
        key: digest(f"message {key - 1}") for key in range(1, 251) if key not in culprits
    }


def test_a_where_that_fails_for_one_row_at_read_costs_that_row(databases: Databases) -> None:
    create_messages(databases, [f"{number}" for number in range(150)])
    pipeline = Pipeline(databases, job(cost="1", source__where="text::integer >= 0"))
    planned = pipeline.plan()
    sql(databases, "UPDATE message SET text = 'no number' WHERE id = 30")

    pipeline.predict(planned)
    pipeline.finish(planned)

    assert counts(databases, planned.run_id) == {"planned": 150, "predicted": 149, "quarantined": 1}
    ((key, error, message, *_),) = entries(databases)
    assert (key, error) == (["30"], "InvalidTextRepresentation")
    assert message == 'invalid input syntax for type integer: "no number"'


def test_a_few_bad_rows_of_a_small_run_do_not_fail_it(databases: Databases) -> None:
    create_messages(databases, ["bad"] * 19 + ["good"])
    pipeline = Pipeline(databases, job(deduplicate=False), Digest(lambda text: text == "bad"))

    assert counts(databases, pipeline.run().run_id) == {"planned": 20, "predicted": 1, "quarantined": 19}


def test_a_dropped_entry_is_pending_again(databases: Databases) -> None:
    create_messages(databases, ["good", "bad"])
    pipeline = Pipeline(databases, predictor=Digest(lambda text: text == "bad"))
    pipeline.run()
    assert [row["key"] for row in quarantine.entries(databases, "intent", 10)] == [["2"]]
    assert quarantine.drop(databases, "intent", ["2"]) == 1

    assert pipeline.run().planned == 1
