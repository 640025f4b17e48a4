"""What a model is given, through `mlflow.pyfunc` as it is logged, of each form of inputs that MLflow has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydantic
import pytest

from inference.base import mlmodel
from inference.base.database import Databases
from inference.errors import ModelError
from inference.jobs.job import Job
from tests.stub import Pipeline, counts, job, predictions, run_row, sql

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own

ROWS = 70


class Seen:
    """A model that says what it was given, row by row."""


def described(value: Any) -> str:
    """A row as the model sees it: type, shape and values."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.tolist()!r}"
    return f"{type(value).__name__} {value!r}"


def logged(folder: Path, function: Any, inputs: Any, outputs: Any = None, params: dict[str, Any] | None = None) -> Any:
    """A model of MLflow that answers by `function(data, params)`, loaded as a shard loads it."""
    import mlflow.pyfunc
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import Schema

    class Model(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> Any:
            return function(model_input, params)

    signature = inputs
    if not isinstance(inputs, (ModelSignature, Schema)):
        signature = infer_signature(inputs, ["text"] if outputs is None else outputs, params)
    mlflow.pyfunc.save_model(folder, python_model=Model(), signature=signature, pip_requirements=["mlflow"])
    return mlflow.pyfunc.load_model(str(folder))


def pipeline(databases: Databases, model: Any, **changes: Any) -> Pipeline:
    declared = mlmodel.parse(
        model.metadata.signature.to_dict(), "intent version 1", bool(model.metadata._is_signature_from_type_hint)
    )
    sizes = {"chunk_rows": 32, "batch_rows": 16}
    return Pipeline(databases, job(cost="1", sizes=sizes, **changes), model, declared)


def answers(databases: Databases, name: str = "prediction") -> list[Any]:
    return [row[name] for _, row in sorted(predictions(databases).items())]


@pytest.fixture
def numbers(databases: Databases) -> pd.DataFrame:
    """Three columns of each type of floats, and the rows that they hold."""
    sql(
        databases,
        "CREATE TABLE message (id bigint PRIMARY KEY, a real, b real, c real, wide float8, whole int, "
        "vector real[], word text, meta jsonb)",
    )
    sql(
        databases,
        "INSERT INTO message SELECT n, sin(n)::real, cos(n)::real, n / 3.0, n / 3.0, n, "
        "ARRAY[sin(n), cos(n), n / 3.0]::real[], 'word ' || n, jsonb_build_object('text', 'word ' || n, 'n', n) "
        "FROM generate_series(1, :rows) n",
        rows=ROWS,
    )
    columns = ["a", "b", "c", "wide", "whole"]
    return pd.DataFrame(sql(databases, "SELECT a, b, c, wide, whole FROM message ORDER BY id"), columns=columns)


def matrix(numbers: pd.DataFrame) -> Any:
    return numbers[["a", "b", "c"]].to_numpy("float32").copy()


def test_a_tensor_is_made_of_the_columns_in_their_order(
    databases: Databases, numbers: pd.DataFrame, tmp_path: Path
) -> None:
    """F13, and the default of PyTorch's users: the bytes that the model is given are those of the rows."""
    model = logged(tmp_path / "m", lambda data, _: [described(row) for row in data], np.zeros((2, 3), "float32"))
    run = pipeline(databases, model, source__inputs=["c", "a", "b"])

    planned = run.run()

    assert counts(databases, planned.run_id) == {"planned": ROWS, "predicted": ROWS}
    assert answers(databases) == [described(row) for row in matrix(numbers)[:, [2, 0, 1]]]
    assert run.run().state == "empty"
    assert "inputs by position: 1 c, 2 a, 3 b" in run_row(databases, planned.run_id)["message"]


def test_a_tensor_is_made_of_an_array_column(databases: Databases, numbers: pd.DataFrame, tmp_path: Path) -> None:
    model = logged(tmp_path / "m", lambda data, _: [described(row) for row in data], np.zeros((2, 3), "float32"))
    sql(databases, "UPDATE message SET vector = NULL WHERE id = 7")
    sql(databases, "UPDATE message SET vector = '{1,2}' WHERE id = 8")
    sql(databases, "UPDATE message SET vector = '{1,NULL,3}' WHERE id = 9")
    sql(databases, "UPDATE message SET vector = '{{1,2,3}}' WHERE id = 10")
    run = pipeline(databases, model, source__inputs=["vector"], checks__max_quarantine_rate=0.5)

    planned = run.run()

    assert counts(databases, planned.run_id) == {"planned": ROWS, "predicted": ROWS - 4, "quarantined": 4}
    right = [described(row) for number, row in enumerate(matrix(numbers), 1) if number not in (7, 8, 9, 10)]
    assert answers(databases) == right
    messages = [row[0] for row in sql(databases, "SELECT message FROM prediction.quarantine ORDER BY key[1]::int")]
    assert [message.split(":")[0] for message in messages] == [
        "the tensor of column 'vector' is made of an array that is NULL, which says no length. Leave such rows out "
        "with source.where, or fill them in a view",
        "the tensor of column 'vector' takes 3 values a row, and the array has 2",
        "a value of column 'vector' is NULL, and a tensor has no NULL. Leave such rows out with source.where, fill "
        "them in a view, or set model.nulls",
        "the tensor of column 'vector' is made of an array of several dimensions, and takes one a row",
    ]


def test_rows_of_several_lengths_are_each_scored(databases: Databases, numbers: pd.DataFrame, tmp_path: Path) -> None:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    signature = ModelSignature(Schema([TensorSpec(np.dtype("float32"), (-1, -1))]), Schema([ColSpec("string")]))
    model = logged(tmp_path / "m", lambda data, _: [described(row) for row in data], signature)
    sql(databases, "UPDATE message SET vector = vector[1:1 + id::int % 3]")

    pipeline(databases, model, source__inputs=["vector"]).run()

    rows = matrix(numbers)
    assert answers(databases) == [described(row[: 1 + number % 3]) for number, row in enumerate(rows, 1)]


@pytest.mark.parametrize("nulls", ["quarantine", "nan"])
def test_a_null_in_a_tensor_costs_its_row_or_is_nan(
    databases: Databases, numbers: pd.DataFrame, tmp_path: Path, nulls: str
) -> None:
    model = logged(tmp_path / "m", lambda data, _: [described(row) for row in data], np.zeros((2, 3), "float32"))
    sql(databases, "UPDATE message SET b = NULL WHERE id IN (3, 40)")
    sql(databases, "UPDATE message SET c = 'NaN' WHERE id = 5")
    run = pipeline(
        databases, model, source__inputs=["a", "b", "c"], model__nulls=nulls, checks__max_quarantine_rate=0.5
    )

    planned = run.run()

    rows = matrix(numbers)
    rows[4, 2] = np.nan  # a NaN is a value
    if nulls == "nan":
        rows[[2, 39], 1] = np.nan
        assert counts(databases, planned.run_id) == {"planned": ROWS, "predicted": ROWS}
        assert answers(databases) == [described(row) for row in rows]
    else:
        assert counts(databases, planned.run_id) == {"planned": ROWS, "predicted": ROWS - 2, "quarantined": 2}
        assert answers(databases) == [described(row) for number, row in enumerate(rows, 1) if number not in (3, 40)]
        assert run.run().state == "empty"
        run.job = job(cost="1", source__inputs=["a", "b", "c"], model__nulls="nan", checks__max_quarantine_rate=0.5)
        assert counts(databases, run.run().run_id) == {"planned": ROWS, "predicted": ROWS}  # other settings


@pytest.mark.parametrize(
    ("example", "column", "kind"),
    [
        (np.zeros((2, 1)), "wide", "float64"), (np.zeros(2, "int64"), "whole", "int64"),
        (np.zeros((2, 1), "int32"), "whole", "int32"), (np.zeros(2), "whole", "float64"),
    ],
)  # fmt: skip
def test_a_tensor_of_one_value_a_row(
    databases: Databases, numbers: pd.DataFrame, tmp_path: Path, example: Any, column: str, kind: str
) -> None:
    model = logged(tmp_path / "m", lambda data, _: [described(row) for row in data], example)

    pipeline(databases, model, source__inputs=[column]).run()

    shape = (ROWS, 1) if example.ndim == 2 else (ROWS,)
    assert answers(databases) == [described(row) for row in numbers[column].to_numpy(kind).reshape(shape)]


def test_a_tensor_of_texts(databases: Databases, numbers: pd.DataFrame, tmp_path: Path) -> None:
    model = logged(tmp_path / "m", lambda data, _: [str(row) for row in data.ravel()], np.array([["a"], ["b"]]))

    pipeline(databases, model, source__inputs=["word"]).run()

    assert answers(databases) == [f"word {number}" for number in range(1, ROWS + 1)]


def test_named_tensors_are_made_of_the_columns_of_their_names(
    databases: Databases, numbers: pd.DataFrame, tmp_path: Path
) -> None:
    example = {"vector": np.zeros((2, 3), "float32"), "whole": np.zeros(2, "int64")}
    model = logged(
        tmp_path / "m",
        lambda data, _: [f"{described(one)} {other!r}" for one, other in zip(data["vector"], data["whole"].tolist())],
        example,
    )

    pipeline(databases, model, source__inputs=["whole", "vector"]).run()

    expected = [f"{described(row)} {number!r}" for row, number in zip(matrix(numbers), numbers["whole"].tolist())]
    assert answers(databases) == expected


@pytest.mark.parametrize("where", ["view", "elsewhere"])
def test_a_tensor_of_a_view_and_of_another_database(
    databases: Databases, numbers: pd.DataFrame, tmp_path: Path, where: str
) -> None:
    model = logged(tmp_path / "m", lambda data, _: [described(row) for row in data], np.zeros((2, 3), "float32"))
    source: dict[str, Any] = {"source__inputs": ["a", "b", "c"]}
    if where == "view":
        sql(databases, "CREATE VIEW seen AS SELECT id, a, b, c FROM message")
        source["source__relation"] = "seen"

    pipeline(databases, model, deduplicate=True, **source).run()

    assert answers(databases) == [described(row) for row in matrix(numbers)]


def test_type_hints_of_texts_take_the_one_column(databases: Databases, numbers: pd.DataFrame, tmp_path: Path) -> None:
    import mlflow.pyfunc

    class Hinted(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, model_input: list[str]) -> list[str]:
            return [f"{type(model_input).__name__} {text!r}" for text in model_input]

    mlflow.pyfunc.save_model(tmp_path / "m", python_model=Hinted(), pip_requirements=["mlflow"])
    model = mlflow.pyfunc.load_model(str(tmp_path / "m"))
    sql(databases, "UPDATE message SET word = NULL WHERE id = 4")
    run = pipeline(databases, model, source__inputs=["word"], checks__max_quarantine_rate=0.5)

    planned = run.run()

    assert counts(databases, planned.run_id) == {"planned": ROWS, "predicted": ROWS - 1, "quarantined": 1}
    assert answers(databases) == [f"list {f'word {number}'!r}" for number in range(1, ROWS + 1) if number != 4]


class Message(pydantic.BaseModel):
    text: str
    n: int
    score: float | None = None


@pytest.mark.parametrize("inputs", [["word", "whole"], ["meta"]])
def test_type_hints_of_a_record_take_columns_or_one_of_json(
    databases: Databases, numbers: pd.DataFrame, tmp_path: Path, inputs: list[str]
) -> None:
    import mlflow.pyfunc

    class Hinted(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, model_input: list[Message]) -> list[str]:
            return [f"{type(item).__name__} {item.text} {item.n} {item.score}" for item in model_input]

    mlflow.pyfunc.save_model(tmp_path / "m", python_model=Hinted(), pip_requirements=["mlflow"])
    model = mlflow.pyfunc.load_model(str(tmp_path / "m"))
    sql(databases, "CREATE VIEW record AS SELECT id, word AS text, whole AS n, meta FROM message")
    named = ["text", "n"] if len(inputs) == 2 else inputs

    pipeline(databases, model, source__inputs=named, source__relation="record").run()

    assert answers(databases) == [f"Message word {number} {number} None" for number in range(1, ROWS + 1)]


def test_an_unnamed_column_without_hints_is_a_frame_as_mlflow_makes_it(
    databases: Databases, numbers: pd.DataFrame, tmp_path: Path
) -> None:
    model = logged(tmp_path / "m", lambda data, _: [f"{list(data)} {value!r}" for value in data.iloc[:, 0]], ["a", "b"])
    sql(databases, "UPDATE message SET word = NULL WHERE id = 4")

    pipeline(databases, model, source__inputs=["word"], checks__max_quarantine_rate=0.5).run()

    expected = [f"[0] {f'word {number}'!r}" for number in range(1, ROWS + 1) if number != 4]
    assert [text for text in answers(databases) if "None" not in text] == expected


def test_several_unnamed_columns_are_taken_by_position(
    databases: Databases, numbers: pd.DataFrame, tmp_path: Path
) -> None:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    signature = ModelSignature(Schema([ColSpec("double"), ColSpec("string")]), Schema([ColSpec("string")]))
    model = logged(
        tmp_path / "m", lambda data, _: [f"{a!r} {b!r}" for a, b in zip(data[0].tolist(), data[1])], signature
    )

    pipeline(databases, model, source__inputs=["wide", "word"]).run()

    assert answers(databases) == [
        f"{wide!r} 'word {number}'" for number, wide in enumerate(numbers["wide"].tolist(), 1)
    ]


def test_columns_named_by_numbers_are_found_by_their_text(
    databases: Databases, numbers: pd.DataFrame, tmp_path: Path
) -> None:
    """F15, of the inputs: a DataFrame without names has the columns 0, 1, ..."""
    example = pd.DataFrame(np.zeros((2, 2)))
    model = logged(
        tmp_path / "m", lambda data, _: [f"{list(data)} {row!r}" for row in data.to_numpy().tolist()], example
    )
    sql(databases, 'CREATE VIEW numbered AS SELECT id, wide AS "0", wide * 2 AS "1" FROM message')

    pipeline(databases, model, source__inputs=["0", "1"], source__relation="numbered").run()

    assert answers(databases) == [f"[0, 1] {[wide, wide * 2]!r}" for wide in numbers["wide"].tolist()]


@pytest.mark.parametrize(
    ("inputs", "example", "words"),
    [
        (["a", "b"], np.zeros((2, 3), "float32"),
         r"takes a tensor of 3 value\(s\) a row, and source.inputs names 2 columns. Name 3 columns in the order of the "
         r"tensor or one array column$"),
        (["a", "b", "wide"], np.zeros((2, 3), "float32"),
         r"column 'wide' is double precision, and the model takes a tensor of float32, which holds float4 exactly; "
         r"nothing is cast silently. If that will do \(it rounds to some 7 digits\), read a view: "
         r'CREATE VIEW ... AS SELECT <key>, '
         r'"a"::real AS "a", "b"::real AS "b", "wide"::real AS "wide" FROM ...$'),
        (["a"], np.zeros((2, 3), "float32"),
         r"takes a tensor of 3 values a row, and 'a' is one real. Name 3 columns in source.inputs"),
        (["word"], np.zeros(2, "int64"), r"column 'word' is text, and the model takes a tensor of int64"),
        (["word"], np.zeros((2, 2, 2)), r"is a tensor of shape \(-1, 2, 2\), and a row of a table can give one or two"),
        (["word"], np.zeros(2, "float16"), r"is a tensor of float16, which no column holds"),
        (["word", "a"], ["x"], r"takes 1 input\(s\) without names, and source.inputs names 2: word, a"),
        (["whole"], ["x"], r"input \(unnamed, from column 'whole'\) is string; the source's column is integer"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_at_plan_in_words(
    databases: Databases, numbers: pd.DataFrame, tmp_path: Path, inputs: list[str], example: Any, words: str
) -> None:
    model = logged(tmp_path / "m", lambda data, _: ["x"] * len(data), example)

    with pytest.raises(ModelError, match=rf"^intent version 1: .*{words}"):
        pipeline(databases, model, source__inputs=inputs).plan()


def test_nulls_that_cannot_be_nan_are_refused(databases: Databases, numbers: pd.DataFrame, tmp_path: Path) -> None:
    model = logged(tmp_path / "m", lambda data, _: ["x"] * len(data), np.zeros(2, "int64"))

    with pytest.raises(ModelError, match=r"model.nulls: nan is for tensors of floats"):
        pipeline(databases, model, source__inputs=["whole"], model__nulls="nan").plan()


def test_a_thousand_columns_are_a_tensor(databases: Databases, tmp_path: Path) -> None:
    """F24: many features are no reason to refuse a model."""
    names = [f"f{number}" for number in range(1000)]
    sql(databases, f"CREATE TABLE message (id bigint PRIMARY KEY, {', '.join(f'{name} real' for name in names)})")
    values = ", ".join(f"n + {number}" for number in range(1000))
    sql(databases, f"INSERT INTO message SELECT n, {values} FROM generate_series(1, 20) n")  # noqa: S608
    model = logged(tmp_path / "m", lambda data, _: [str(row.tolist()) for row in data], np.zeros((2, 1000), "float32"))

    planned = pipeline(databases, model, source__inputs=names).run()

    assert counts(databases, planned.run_id) == {"planned": 20, "predicted": 20}
    assert answers(databases) == [str([float(n + number) for number in range(1000)]) for n in range(1, 21)]
    assert len(run_row(databases, planned.run_id)["message"]) < 400


def test_five_hundred_and_one_named_inputs(databases: Databases, tmp_path: Path) -> None:
    """F24."""
    names = [f"f{number}" for number in range(501)]
    sql(databases, f"CREATE TABLE message (id bigint PRIMARY KEY, {', '.join(f'{name} float8' for name in names)})")
    values = ", ".join(f"n + {number}" for number in range(501))
    sql(databases, f"INSERT INTO message SELECT n, {values} FROM generate_series(1, 20) n")  # noqa: S608
    example = pd.DataFrame(np.zeros((2, 501)), columns=names)
    model = logged(tmp_path / "m", lambda data, _: data.sum(axis=1).tolist(), example, [1.0])

    planned = pipeline(databases, model, source__inputs=names).run()

    assert counts(databases, planned.run_id) == {"planned": 20, "predicted": 20}
    assert answers(databases) == [float(sum(n + number for number in range(501))) for n in range(1, 21)]


def test_parameters_reach_the_model_and_decide_what_is_current(
    databases: Databases, numbers: pd.DataFrame, tmp_path: Path
) -> None:
    """F28."""
    model = logged(
        tmp_path / "m", lambda data, params: [json.dumps(params, sort_keys=True)] * len(data), ["a"],
        params={"k": 3, "scale": 0.5, "labels": ["x"], "strict": False},
    )  # fmt: skip
    run = pipeline(databases, model, source__inputs=["word"])
    run.run()
    assert set(answers(databases)) == {'{"k": 3, "labels": ["x"], "scale": 0.5, "strict": false}'}

    given = {"k": 2**40, "scale": 1e22, "labels": ["a", "나"], "strict": True}
    run.job = job(cost="1", source__inputs=["word"], model__params=given)
    assert counts(databases, run.run().run_id) == {"planned": ROWS, "predicted": ROWS}
    assert set(map(json.dumps, map(json.loads, answers(databases)))) == {json.dumps(given, sort_keys=True)}
    assert run.run().state == "empty"  # the hash is the same at plan and in the shard

    run.job = job(cost="1", source__inputs=["word"])
    assert counts(databases, run.run().run_id) == {"planned": ROWS, "predicted": ROWS}
    assert run.run().state == "empty"


def test_parameters_count_in_a_window_as_well(databases: Databases, numbers: pd.DataFrame, tmp_path: Path) -> None:
    """F28. With a cursor, old rows are searched again as soon as the settings differ, there and back."""
    model = logged(tmp_path / "m", lambda data, params: [str(params["k"])] * len(data), ["a"], params={"k": 3})
    sql(databases, "ALTER TABLE message ADD updated_at timestamptz NOT NULL DEFAULT now() - interval '3 days'")
    source = {"source__inputs": ["word"], "source__cursor": "updated_at"}
    run = pipeline(databases, model, **source)
    run.run()

    for k in (5, 3, 5):
        run.job = job(cost="1", model__params={"k": k}, **source)
        assert counts(databases, run.run().run_id) == {"planned": ROWS, "predicted": ROWS}
        assert set(answers(databases)) == {str(k)}
        assert run.run().state == "empty"


def test_the_view_of_what_is_current_goes_by_the_settings_too(
    databases: Databases, numbers: pd.DataFrame, tmp_path: Path
) -> None:
    """F28. Its rows are not current from the plan with other settings until they are published, there and back."""
    model = logged(tmp_path / "m", lambda data, params: [params["k"]] * len(data), ["a"], params={"k": "x"})
    hard = "50% 'x' \\ {y} :z /* */ $$ $1 \" 나 %s %(a)s"
    current = "SELECT is_current, count(*) FROM prediction.intent__current GROUP BY 1"
    run = pipeline(databases, model, source__inputs=["word"])
    run.run()

    for given in ({"model__params": {"k": hard}}, {"model__environment": {"set": {"A": hard}}}, {}):
        run.job = job(cost="1", source__inputs=["word"], **given)
        planned = run.plan()
        assert sql(databases, current) == [(False, ROWS)]
        run.predict(planned)
        run.finish(planned)
        assert sql(databases, current) == [(True, ROWS)]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"j": 1}, r"model.params.j: is no parameter of the model's signature, which has: k, scale, labels, at"),
        ({"k": 1.5}, r"model.params.k: 1.5 is float, and the parameter takes a whole number of 64 bits"),
        ({"k": True}, r"model.params.k: True is bool"),
        ({"k": 2**63}, r"model.params.k: 9223372036854775808 is int, and the parameter takes a whole number of 64"),
        ({"k": "3"}, r"model.params.k: '3' is str"),
        ({"k": [3]}, r"model.params.k: \[3\] is a list, and the parameter is one long"),
        ({"scale": 2**60 + 1}, r"model.params.scale: 1152921504606846977 is int, and the parameter takes a number"),
        ({"labels": "x"}, r"model.params.labels: 'x' is one value, and the parameter is a list of string"),
        ({"labels": ["x", 1]}, r"model.params.labels.1: 1 is int, and the parameter takes a text"),
        ({"at": "soon"}, r"model.params.at: 'soon' is str, and the parameter takes a moment in quotes"),
    ],
)
def test_a_parameter_that_does_not_fit_is_refused_at_plan(
    databases: Databases, numbers: pd.DataFrame, tmp_path: Path, params: dict[str, Any], words: str
) -> None:
    """F28."""
    defaults = {"k": 3, "scale": 0.5, "labels": ["x"], "at": np.datetime64("2026-01-01T00:00:00")}
    model = logged(tmp_path / "m", lambda data, _: ["x"] * len(data), ["a"], params=defaults)

    with pytest.raises(ModelError, match=rf"^intent version 1: {words}"):
        pipeline(databases, model, source__inputs=["word"], model__params=params).plan()


def test_a_model_without_parameters_says_so(databases: Databases, numbers: pd.DataFrame, tmp_path: Path) -> None:
    model = logged(tmp_path / "m", lambda data, _: ["x"] * len(data), ["a"])

    with pytest.raises(ModelError, match=r"model.params.k: is no parameter of the model's signature, which has none"):
        pipeline(databases, model, source__inputs=["word"], model__params={"k": 1}).plan()


def test_the_hash_of_a_job_without_settings_is_what_it_was() -> None:
    """An upgrade makes no prediction stale."""
    from inference.jobs.job import section

    assert "answers" not in section(job())
    assert "answers" not in section(Job.model_validate({**job().model_dump(by_alias=True)}))
    assert section(job(model__params={"b": 1, "a": [1.0]}))["answers"] == '{"params": {"a": [1.0], "b": 1}}'
