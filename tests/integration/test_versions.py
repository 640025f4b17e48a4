"""One run, one version per row; how a new version takes over, and outputs that change."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from inference.base.database import Databases
from inference.base.outputs import Output
from inference.base.signature import Input, Signature
from inference.errors import ModelError
from inference.shard import shard
from tests.stub import TEXT, Digest, Pipeline, counts, create_messages, digest, job, predictions, register, sql

LONGER = Signature(TEXT.inputs, (*TEXT.outputs, Output("upper", "text", False)))


class Second(Digest):
    """Another version: its digests have a mark."""

    def predict(self, data: pd.DataFrame) -> pd.DataFrame:
        found = super().predict(data)
        return found.assign(digest="2:" + found["digest"], upper=[text.upper() for text in data["text"]])


@pytest.fixture
def pipeline(databases: Databases) -> Pipeline:
    create_messages(databases, [f"message {number}" for number in range(50)])
    return Pipeline(databases)


def move_alias(pipeline: Pipeline, signature: Signature = TEXT) -> None:
    pipeline.model = register(pipeline.databases, "2", signature)
    pipeline.predictor = Second()


def versions(databases: Databases) -> dict[str, int]:
    rows = sql(databases, "SELECT model_version, count(*) FROM prediction.intent GROUP BY 1")
    for version, marked in sql(databases, "SELECT DISTINCT model_version, digest LIKE '2:%' FROM prediction.intent"):
        assert (version == "2") == marked, "a row's version is not the one that made its prediction"
    return dict(rows)


def test_new_rows_go_to_the_new_version_and_old_ones_stay(pipeline: Pipeline) -> None:
    pipeline.run()
    move_alias(pipeline)
    assert pipeline.run().planned == 0
    sql(pipeline.databases, "INSERT INTO message (text) VALUES ('new')")
    sql(pipeline.databases, "UPDATE message SET text = 'edited' WHERE id = 1")

    assert pipeline.run().planned == 2
    assert versions(pipeline.databases) == {"1": 49, "2": 2}


@pytest.mark.parametrize("how", ["mode", "job"])
def test_rescore_predicts_every_row_by_the_new_version_once(pipeline: Pipeline, how: str) -> None:
    pipeline.run()
    move_alias(pipeline)
    request: dict[str, Any] = {"mode": "rescore"} if how == "mode" else {}
    if how == "job":
        pipeline.job = job(model={"name": "intent", "on_new_version": "rescore"})

    assert counts(pipeline.databases, pipeline.run(**request).run_id) == {"planned": 50, "predicted": 50}
    assert versions(pipeline.databases) == {"2": 50}
    assert pipeline.run(**request).planned == 0


def test_rescore_ignores_the_window(databases: Databases) -> None:
    create_messages(databases, [f"message {number}" for number in range(50)])
    sql(databases, "UPDATE message SET updated_at = now() - interval '1 year'")
    pipeline = Pipeline(databases, job(source__cursor="updated_at", source__sweep="0 0 1 1 *"))
    pipeline.run()
    move_alias(pipeline)

    assert pipeline.run().planned == 0
    assert pipeline.run(mode="rescore").planned == 50


def test_a_run_that_was_planned_before_the_alias_moved_finishes_on_its_version(databases: Databases) -> None:
    create_messages(databases, [f"message {number}" for number in range(50)])
    pipeline = Pipeline(databases, job(cost="1", sizes__shard_rows=10))
    planned = pipeline.plan()
    assert len(planned.shards) == 5
    handed: list[str] = []

    def load(work: Any) -> Any:
        handed.append(work.digest)
        return Digest()

    shard.run(databases, planned.run_id, 1, 1, load)
    move_alias(pipeline)
    for number in planned.shards[1:]:
        shard.run(databases, planned.run_id, 1, number, load)
    pipeline.finish(planned)

    assert handed == ["digest-1"] * 5
    assert versions(databases) == {"1": 50}


def test_what_one_version_could_not_score_is_tried_by_the_next(databases: Databases) -> None:
    create_messages(databases, ["good", "bad"])
    pipeline = Pipeline(databases, predictor=Digest(lambda text: text == "bad"))
    pipeline.run()
    assert pipeline.run().planned == 0
    move_alias(pipeline)

    assert counts(databases, pipeline.run().run_id) == {"planned": 1, "predicted": 1}
    assert versions(databases) == {"1": 1, "2": 1}
    assert sql(databases, "SELECT state FROM prediction.quarantine") == [("resolved",)]


def test_going_back_to_an_earlier_version_rescores_what_the_other_made(pipeline: Pipeline) -> None:
    first, predictor = pipeline.model, pipeline.predictor
    pipeline.run()
    move_alias(pipeline)
    sql(pipeline.databases, "INSERT INTO message (text) VALUES ('new')")
    pipeline.run()
    pipeline.model, pipeline.predictor = first, predictor

    assert pipeline.run(mode="rescore").planned == 1
    assert versions(pipeline.databases) == {"1": 51}


def test_an_added_output_becomes_a_column_that_is_null_for_older_rows(pipeline: Pipeline) -> None:
    pipeline.run()
    sql(pipeline.databases, "CREATE VIEW report AS SELECT id, digest FROM prediction.intent")  # what people build
    move_alias(pipeline, LONGER)
    sql(pipeline.databases, "INSERT INTO message (text) VALUES ('new')")

    pipeline.run()

    found = predictions(pipeline.databases)
    assert (found[1]["digest"], found[1]["upper"]) == (digest("message 0"), None)
    assert (found[51]["digest"], found[51]["upper"]) == ("2:" + digest("new"), "NEW")
    assert versions(pipeline.databases) == {"1": 50, "2": 1}


def test_an_added_output_also_reaches_the_history(databases: Databases) -> None:
    create_messages(databases, ["a"])
    pipeline = Pipeline(databases, job(history="append"))
    pipeline.run()
    move_alias(pipeline, LONGER)
    for text in ("b", "c"):
        sql(databases, "UPDATE message SET text = :text", text=text)
        pipeline.run()

    assert sql(databases, "SELECT digest, upper FROM prediction.intent__history ORDER BY run_id") == [
        (digest("a"), None), ("2:" + digest("b"), "B"),
    ]  # fmt: skip


CHANGED = {
    "retyped": (
        (TEXT.outputs[0], Output("length", "double precision", True)),
        r"output 'length' was bigint in prediction\.intent and is now double precision",
    ),
    "like a key": ((*TEXT.outputs, Output("id", "bigint", True)), "output 'id' is named like a key"),
    "like ours": ((*TEXT.outputs, Output("run_id", "bigint", True)), "output 'run_id' is named like a key or a column"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGED)
def test_an_output_that_people_query_keeps_its_type(pipeline: Pipeline, name: str) -> None:
    outputs, wanted = CHANGED[name]
    pipeline.run()
    before = predictions(pipeline.databases)
    move_alias(pipeline, Signature(TEXT.inputs, outputs))
    sql(pipeline.databases, "UPDATE message SET text = 'edited'")

    with pytest.raises(ModelError, match="intent version 2: " + wanted):
        pipeline.plan()

    assert predictions(pipeline.databases) == before
    assert sql(pipeline.databases, "SELECT state FROM prediction.run") == [("published",)]


class Shorter:
    """A version that has only one of the outputs, and one under another name."""

    def predict(self, data: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"digest": [f"2:{digest(text)}" for text in data["text"]], "size": [7] * len(data)})


@pytest.mark.parametrize("history", ["none", "append"])
def test_an_output_that_a_version_lacks_is_null_in_its_predictions(databases: Databases, history: str) -> None:
    """B1: the old value of another version must not stay beside the new version's number."""
    create_messages(databases, ["a", "b"])
    pipeline = Pipeline(databases, job(history=history, checks={"outputs": {"length": {"min": 0}}}))
    pipeline.run()
    pipeline.model = register(databases, "2", Signature(TEXT.inputs, (TEXT.outputs[0], Output("size", "bigint", True))))
    pipeline.predictor = Shorter()
    sql(databases, "INSERT INTO message (text) VALUES ('c')")

    assert counts(databases, pipeline.run(mode="rescore").run_id) == {"planned": 3, "predicted": 3}

    rows = sql(databases, "SELECT id, digest, length, size, model_version FROM prediction.intent ORDER BY id")
    assert rows == [(number, "2:" + digest(text), None, 7, "2") for number, text in enumerate("abc", 1)]
    if history == "append":
        old = sql(databases, "SELECT id, digest, length, size FROM prediction.intent__history ORDER BY id")
        assert old == [(1, digest("a"), 1, None), (2, digest("b"), 1, None)]


@pytest.mark.parametrize("history", ["none", "append"])
def test_rolling_back_to_the_version_before_an_output_was_added(databases: Databases, history: str) -> None:
    """B1 and docs/operations.md, "Rolling back a model": it was refused for good."""
    create_messages(databases, ["a", "b"])
    rescoring = job(history=history, model={"name": "intent", "on_new_version": "rescore"})
    pipeline = Pipeline(databases, rescoring)
    first = pipeline.model, pipeline.predictor
    pipeline.run()
    move_alias(pipeline, LONGER)
    pipeline.run()
    assert sql(databases, "SELECT upper FROM prediction.intent ORDER BY id") == [("A",), ("B",)]

    pipeline.model, pipeline.predictor = first
    assert counts(databases, pipeline.run().run_id) == {"planned": 2, "predicted": 2}

    rows = sql(databases, "SELECT digest, length, upper, model_version FROM prediction.intent ORDER BY id")
    assert rows == [(digest(text), 1, None, "1") for text in "ab"]
    if history == "append":
        kept = sql(databases, "SELECT model_id, upper FROM prediction.intent__history ORDER BY run_id, id")
        assert kept == [(1, None), (1, None), (2, "A"), (2, "B")]


INPUTS = {
    "needs more": (
        (*TEXT.inputs, Input("channel", "string", "object", True)),
        r"needs input 'channel', which is not in source\.inputs \(text\)",
    ),
    "has another": ((Input("body", "string", "object", True),), "needs input 'body'"),
    "does not know": ((Input("body", "string", "object", False),), r"'text' is no input of the model, which has: body"),
    "other type": ((Input("text", "long", "int64", True),), "input 'text' is long; the source's column is text"),
}  # fmt: skip


@pytest.mark.parametrize("name", INPUTS)
def test_inputs_that_do_not_fit_are_refused_at_plan(pipeline: Pipeline, name: str) -> None:
    inputs, wanted = INPUTS[name]
    pipeline.model = register(pipeline.databases, "2", Signature(inputs, TEXT.outputs))

    with pytest.raises(ModelError, match=wanted):
        pipeline.plan()


def test_a_changed_key_needs_a_new_name(pipeline: Pipeline) -> None:
    pipeline.run()
    pipeline.job = job(source__key=["text"])
    with pytest.raises(Exception, match=r"has the key \{'id': 'bigint'\}, the source now gives \{'text': 'text'\}"):
        pipeline.plan()
