"""`model.outputs`, labels of classes, dicts by row: from the answer to the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydantic
import pytest
import yaml

from inference.base import mlmodel
from inference.base.database import Databases
from inference.base.outputs import Output
from inference.base.signature import Signature
from inference.errors import CheckFailed, JobError, ModelError
from inference.planning import plan
from tests.stub import Pipeline, counts, create_messages, job, predictions, register, run_row, sql

ROWS = 130
KEYS = range(1, ROWS + 1)
NAMES = ["low", "medium", "high"]
NAMED = {"name": "intent", "outputs": NAMES}
AGAIN = {"mode": "key_range", "key_from": "0", "key_to": "1000"}  # what has a prediction, too


def parsed(outputs: list[dict[str, Any]]) -> Signature:
    inputs = [{"type": "string", "name": "text", "required": True}]
    return mlmodel.parse({"inputs": json.dumps(inputs), "outputs": json.dumps(outputs)}, "intent version 1")


def tensor(dtype: str, *shape: int, **more: Any) -> dict[str, Any]:
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": [-1, *shape]}, **more}


class Chances:
    """As many numbers for each row as wanted, all told by its text."""

    def __init__(self, width: int = 3, dtype: str = "float64") -> None:
        self.width, self.dtype = width, dtype

    def predict(self, data: pd.DataFrame) -> Any:
        return chances(data["text"].astype(int), self.width).astype(self.dtype)


def chances(numbers: Any, width: int = 3) -> Any:
    return np.array([[number + place / 4 for place in range(width)] for number in numbers])


def columns(databases: Databases, *names: str) -> list[list[Any]]:
    rows = sorted(predictions(databases).items())
    assert [key for key, _ in rows] == list(KEYS)
    return [[row[name] for _, row in rows] for name in names]


@pytest.fixture
def messages(databases: Databases) -> Databases:
    """Each text is its key."""
    create_messages(databases, [str(key) for key in KEYS])
    return databases


@pytest.mark.parametrize("shape", [(3,), (-1,)], ids=str)
def test_values_of_an_array_are_columns_of_their_own(messages: Databases, shape: tuple[int, ...]) -> None:
    a_job = job(
        model=NAMED,
        history="append",
        checks={"outputs": {"high": {"min": 1.5, "max": 130.5}}},
    )
    pipeline = Pipeline(messages, a_job, Chances(), parsed([tensor("float64", *shape)]))

    planned = pipeline.run()

    assert counts(messages, planned.run_id) == {"planned": ROWS, "predicted": ROWS}
    assert columns(messages, *NAMES) == chances(KEYS).T.tolist()
    assert list(predictions(messages)[1])[:4] == ["id", *NAMES]
    assert pipeline.run().state == "empty"
    pipeline.run(**AGAIN)
    assert sql(messages, "SELECT count(*), min(low), max(high) FROM prediction.intent__history") == [(ROWS, 1, 130.5)]


def test_a_check_of_a_named_value_fails_the_run(messages: Databases) -> None:
    a_job = job(model=NAMED, checks={"outputs": {"high": {"max": 130}}})
    pipeline = Pipeline(messages, a_job, Chances(), parsed([tensor("float64", 3)]))

    with pytest.raises(CheckFailed, match=r"outputs: high: 1 values are too large; allowed: <= 130"):
        pipeline.run()
    pipeline.job = job(model=NAMED, checks={"outputs": {"huge": {"max": 1}}})
    with pytest.raises(JobError, match=r"^checks\.outputs\.huge: is no output of intent, which has: low, medium, high"):
        pipeline.plan()


def test_other_names_are_other_columns(messages: Databases) -> None:
    """The old ones stay, without a value in what is predicted from then on."""
    pipeline = Pipeline(messages, job(), Chances(), parsed([tensor("float64", 3)]))
    pipeline.run()
    assert columns(messages, "prediction") == [chances(KEYS).tolist()]

    pipeline.job = job(model=NAMED)
    pipeline.run(**AGAIN)
    assert columns(messages, *NAMES, "prediction") == [*chances(KEYS).T.tolist(), [None] * ROWS]

    pipeline.job = job(model={"name": "intent", "outputs": ["chances"]})
    plan.prepare(messages, pipeline.job, pipeline.model)
    pipeline.run(**AGAIN)
    assert columns(messages, "chances", "low") == [chances(KEYS).tolist(), [None] * ROWS]


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(
    ("outputs", "names", "message"),
    [
        (
            [tensor("float64", 3)],
            ["a", "b"],
            r"^intent version 1: model\.outputs: 2 names \(a, b\), and the model returns 3",
        ),
        ([tensor("float64", 3)], ["id"], r"^intent version 1: output 'id' is named like a key"),
        (
            [{"type": "double", "name": "a"}, {"type": "double", "name": "b"}],
            ["c", "d"],
            "^intent version 1: model.outputs names the values of a single output, and this model has 2 outputs",
        ),
        (
            [tensor("float64", 1700)],
            [f"value {number}" for number in range(1700)],
            "^intent version 1: 1700 outputs: .* an array output is one column$",
        ),
    ],
    ids=["another number", "like a key", "names of its own", "F34"],
)
def test_names_that_do_not_fit_are_refused_by_plan(
    messages: Databases, outputs: list[dict[str, Any]], names: list[str], message: str, dry_run: bool
) -> None:
    pipeline = Pipeline(messages, job(model={"name": "intent", "outputs": names}), Chances(), parsed(outputs))

    with pytest.raises(ModelError, match=message) as raised:
        pipeline.plan(dry_run=dry_run)
    assert len(str(raised.value)) < 300
    with pytest.raises(ModelError, match=message):
        plan.prepare(messages, pipeline.job, pipeline.model)


def test_a_width_that_only_the_answer_shows_is_checked_there(messages: Databases) -> None:
    a_job = job(model=NAMED)
    pipeline = Pipeline(messages, a_job, Chances(4), parsed([tensor("float64", -1)]))

    with pytest.raises(
        CheckFailed, match=r"BadShape \(the model returned 4 values for each row, and model\.outputs names"
    ):
        pipeline.run()
    assert predictions(messages) == {}


def test_very_many_values_are_one_column_of_arrays(messages: Databases) -> None:
    """F34."""
    pipeline = Pipeline(messages, job(), Chances(1700, "float32"), parsed([tensor("float32", 1700)]))

    pipeline.run()

    assert columns(messages, "prediction") == [chances(KEYS, 1700).tolist()]


def test_one_value_for_each_row_is_a_scalar(messages: Databases) -> None:
    pipeline = Pipeline(
        messages, job(model={"name": "intent", "outputs": ["price"]}), Chances(1), parsed([tensor("float64", 1)])
    )

    pipeline.run()

    assert columns(messages, "price") == [[float(key) for key in KEYS]]


def test_a_target_with_arrays_of_one_value_is_kept_and_the_version_refused(messages: Databases) -> None:
    """Versions that older code has met keep the columns that it gave them; a new one is refused, with the way out."""
    newer = parsed([tensor("float64", 1)])
    older = Signature(newer.inputs, (Output("prediction", "double precision[]", True),))
    Pipeline(messages, job(), Chances(1), older).run()
    Pipeline(messages, job(), Chances(1), older).run(**AGAIN)
    assert columns(messages, "prediction") == [[[float(key)] for key in KEYS]]

    with pytest.raises(
        ModelError,
        match=r"output 'prediction' was double precision\[\] in prediction\.intent and is now double precision\. "
        r"People query that column: register a version with the old output, or give the job a new name\.$",
    ):
        Pipeline(messages, job(), Chances(1), newer).plan()

    named = Pipeline(messages, job(model={"name": "intent", "outputs": ["price"]}), Chances(1), newer)
    named.model = register(messages, "2", newer)
    named.run(mode="rescore")
    assert columns(messages, "price", "prediction") == [[float(key) for key in KEYS], [None] * ROWS]


class ByMlflow:
    """A function as a model, logged with a signature that MLflow infers from its answer, and loaded again."""

    def __init__(self, folder: Path, answer: Any, outputs: Any = None) -> None:
        import mlflow

        class Model(mlflow.pyfunc.PythonModel):
            def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
                return answer(model_input["text"].astype(int).tolist())

        example = pd.DataFrame({"text": ["1", "2"]})
        inferred = mlflow.models.infer_signature(example, answer([1, 2]) if outputs is None else None)
        inferred.outputs = inferred.outputs if outputs is None else outputs
        mlflow.pyfunc.save_model(folder / "m", python_model=Model(), signature=inferred, pip_requirements=["mlflow"])
        self.loaded = mlflow.pyfunc.load_model(str(folder / "m"))
        content = yaml.safe_load((folder / "m" / "MLmodel").read_text(encoding="utf-8"))
        self.signature = mlmodel.parse(
            content["signature"], "intent version 1", bool(content.get("is_signature_from_type_hint"))
        )


def by_mlflow(databases: Databases, folder: Path, answer: Any, **model: Any) -> int:
    logged = ByMlflow(folder, answer)
    a_job = job(model={"name": "intent", **model})
    return Pipeline(databases, a_job, logged.loaded, logged.signature).run().run_id


KEY_BY_KEY = [str(key) for key in KEYS]


@pytest.mark.filterwarnings("ignore")  # MLflow's own
@pytest.mark.parametrize(
    ("answer", "model", "expected"),
    [
        (lambda texts: [{"label": str(key), "score": key / 2} for key in texts], {},
         {"label": KEY_BY_KEY, "score": [key / 2 for key in KEYS]}),
        (lambda texts: [{"label": str(key)} for key in texts], {}, {"label": KEY_BY_KEY}),
        (lambda texts: pd.DataFrame(chances(texts), columns=[1, 2, 3]), {},
         dict(zip("123", chances(KEYS).T.tolist(), strict=True))),
        (lambda texts: pd.DataFrame(chances(texts)[:, :2], columns=[False, True]), {},
         dict(zip(["False", "True"], chances(KEYS).T.tolist(), strict=False))),
        (lambda texts: pd.DataFrame(chances(texts)[:, :2], columns=np.array([0, 1])), {},
         dict(zip("01", chances(KEYS).T.tolist(), strict=False))),
        (lambda texts: pd.DataFrame(chances(texts)[:, 0]), {"outputs": ["price"]},
         {"price": [float(key) for key in KEYS]}),
        (lambda texts: {"output": chances(texts).astype("float32")}, {"outputs": NAMES},
         dict(zip(NAMES, chances(KEYS).T.tolist(), strict=True))),
        (lambda texts: {"output": chances(texts)[:, :1], "arrays": chances(texts)}, {},
         {"output": [float(key) for key in KEYS], "arrays": chances(KEYS).tolist()}),
        (lambda texts: chances(texts), {"outputs": NAMES}, dict(zip(NAMES, chances(KEYS).T.tolist(), strict=True))),
    ],
    ids=["F14: dicts", "F14: one key", "F15: 1, 2, 3", "F15: True", "F15: 0, 1", "F15: 0", "ONNX, named", "ONNX",
         "predict_proba"],
)  # fmt: skip
def test_what_mlflow_logs_is_published(
    messages: Databases, tmp_path: Path, answer: Any, model: dict[str, Any], expected: dict[str, list[Any]]
) -> None:
    run_id = by_mlflow(messages, tmp_path, answer, **model)

    assert run_row(messages, run_id)["state"] == "published"
    assert dict(zip(expected, columns(messages, *expected), strict=True)) == expected


class Prediction(pydantic.BaseModel):
    label: str
    score: float


@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_pydantic_objects_are_json(messages: Databases, tmp_path: Path) -> None:
    """F14: `-> list[Prediction]` is logged as one object without a name."""
    from mlflow.types.schema import ColSpec, DataType, Object, Property, Schema

    outputs = Schema([ColSpec(Object([Property("label", DataType.string), Property("score", DataType.double)]))])
    logged = ByMlflow(tmp_path, lambda texts: [Prediction(label=str(key), score=key / 2) for key in texts], outputs)
    a_job = job(model={"name": "intent", "outputs": ["answer"]})

    Pipeline(messages, a_job, logged.loaded, logged.signature).run()

    assert columns(messages, "answer") == [[{"label": str(key), "score": key / 2} for key in KEYS]]
