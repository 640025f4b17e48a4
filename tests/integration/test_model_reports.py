"""Situations of public bug reports about models that are scored from tables, rebuilt here.

Each test names the report. What the reports say is about other tools, or about MLflow itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from inference.base.database import Databases
from inference.errors import CheckFailed, ModelError
from tests.integration.test_inputs import answers, logged, pipeline
from tests.stub import counts, sql

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own

ROWS = 40


@pytest.fixture(autouse=True)
def table(databases: Databases) -> None:
    sql(
        databases,
        "CREATE TABLE message (id bigint PRIMARY KEY, text text, a real, b real, wide float8, whole int, "
        "at timestamptz)",
    )
    sql(
        databases,
        "INSERT INTO message SELECT n, 'text ' || n, n, n * 2, n / 3.0, n, '2026-01-01 09:00+09'::timestamptz + n * "
        "interval '1 hour' FROM generate_series(1, :rows) n",
        rows=ROWS,
    )


def test_a_model_that_was_shown_a_list_of_texts_gets_the_frame_that_mlflow_makes(
    databases: Databases, tmp_path: Path
) -> None:
    """mlflow#12990: such a model fails in MLflow itself, since it is given a DataFrame; the row says so."""
    model = logged(tmp_path / "m", lambda data, _: [text.upper() for text in data], ["hey"])
    run = pipeline(databases, model, source__inputs=["text"])

    with pytest.raises(CheckFailed, match="most often by AttributeError"):
        run.run()

    ((message,),) = sql(
        databases, "SELECT DISTINCT message FROM prediction_work.result_1_1 WHERE outcome = 'quarantined'"
    )
    assert "'int' object has no attribute 'upper'" in message


def test_a_tensor_that_is_given_scalar_columns(databases: Databases, tmp_path: Path) -> None:
    """mlflow#8167: MLflow refuses a DataFrame of scalar columns for a tensor of several values; here it is an array."""
    model = logged(
        tmp_path / "m", lambda data, _: [float(row.sum()) for row in data], np.zeros((2, 2), "float32"), [1.0]
    )

    pipeline(databases, model, source__inputs=["a", "b"]).run()

    assert answers(databases) == [float(3 * number) for number in range(1, ROWS + 1)]


def test_a_number_that_is_float64_is_not_given_as_float32(databases: Databases, tmp_path: Path) -> None:
    """mlflow#9680: a float64 for a float32 model is an error at the first row; here plan says it with the view."""
    model = logged(tmp_path / "m", lambda data, _: ["x"] * len(data), np.zeros((2, 1), "float32"))

    with pytest.raises(ModelError, match=r"column 'wide' is double precision.*\"wide\"::real AS \"wide\""):
        pipeline(databases, model, source__inputs=["wide"]).plan()


@pytest.mark.parametrize("outputs", [[], ["low", "high"]])
def test_a_wide_output_beside_a_narrow_one_keeps_its_rows(
    databases: Databases, tmp_path: Path, outputs: list[str]
) -> None:
    """mlflow#12539: values of different rows were interleaved."""
    model = logged(
        tmp_path / "m", lambda data, _: np.column_stack([data[:, 0], -data[:, 0]]), np.zeros((2, 1), "float32"),
        np.zeros((2, 2), "float32"),
    )  # fmt: skip

    pipeline(databases, model, source__inputs=["a"], model__outputs=outputs).run()

    if outputs:
        assert answers(databases, "low") == [float(number) for number in range(1, ROWS + 1)]
        assert answers(databases, "high") == [-float(number) for number in range(1, ROWS + 1)]
    else:
        assert answers(databases) == [[float(number), -float(number)] for number in range(1, ROWS + 1)]


def test_an_answer_that_is_flattened_is_refused(databases: Databases, tmp_path: Path) -> None:
    """mlflow#12539, as the version that has the fault answers: two values a row in one long column."""
    model = logged(
        tmp_path / "m", lambda data, _: np.column_stack([data[:, 0], data[:, 0]]).ravel(), np.zeros((2, 1), "float32"),
        np.zeros(2, "float32"),
    )  # fmt: skip

    with pytest.raises(CheckFailed, match=r"the model returned \d+ rows for"):
        pipeline(databases, model, source__inputs=["a"]).run()


def test_an_onnx_classifier_answers_with_a_list_of_dicts_beside_its_labels(
    databases: Databases, tmp_path: Path
) -> None:
    """mlflow#2499: scikit-learn in ONNX gives the chances as a dict a row (ZipMap)."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec
    from mlflow.types.schema import AnyType

    signature = ModelSignature(
        Schema([TensorSpec(np.dtype("float32"), (-1, 1), "X")]),
        Schema([ColSpec("long", "label"), ColSpec(AnyType(), "chances")]),
    )

    def answer(data: Any, _: Any) -> Any:
        return {"label": data["X"][:, 0].astype("int64"), "chances": [{0: 0.5, 1: float(x)} for x in data["X"][:, 0]]}

    pipeline(databases, logged(tmp_path / "m", answer, signature), source__inputs=["a"]).run()

    assert answers(databases, "label") == list(range(1, ROWS + 1))
    assert answers(databases, "chances") == [{"0": 0.5, "1": float(number)} for number in range(1, ROWS + 1)]


def test_one_value_a_row_among_named_outputs(databases: Databases, tmp_path: Path) -> None:
    """mlflow#6610: a one-dimensional tensor beside others was not handled."""
    model = logged(
        tmp_path / "m", lambda data, _: {"n": data["whole"], "box": np.stack([data["whole"]] * 4, axis=1)},
        {"whole": np.zeros(2, "int32"), "a": np.zeros((2, 1), "float32")},
        {"n": np.zeros(2, "int32"), "box": np.zeros((2, 4), "int32")},
    )  # fmt: skip

    pipeline(databases, model, source__inputs=["a", "whole"]).run()

    assert answers(databases, "n") == list(range(1, ROWS + 1))
    assert answers(databases, "box") == [[number] * 4 for number in range(1, ROWS + 1)]


def test_a_classifier_in_a_pipeline_with_chances(databases: Databases, tmp_path: Path) -> None:
    """mlflow#12445: `predict_proba` of a pipeline was called with `params`, which it does not know."""
    import mlflow.pyfunc
    import mlflow.sklearn
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    frame = pd.DataFrame({"wide": np.arange(ROWS) / 3.0})
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, np.arange(ROWS) > 20)
    mlflow.sklearn.save_model(
        model, tmp_path / "m", pyfunc_predict_fn="predict_proba", serialization_format="cloudpickle",
        signature=mlflow.models.infer_signature(frame, model.predict_proba(frame)), pip_requirements=["scikit-learn"],
    )  # fmt: skip
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "m"))

    pipeline(databases, loaded, source__inputs=["wide"], model__outputs=["no", "yes"]).run()

    given = pd.DataFrame(sql(databases, "SELECT wide FROM message ORDER BY id"), columns=["wide"])
    assert np.allclose(answers(databases, "yes"), model.predict_proba(given)[:, 1], rtol=1e-12, atol=0)


def test_params_of_a_model_without_any_are_not_ignored(databases: Databases, tmp_path: Path) -> None:
    """mlflow#14908: MLflow warns and goes on with the defaults; here plan refuses them."""
    model = logged(tmp_path / "m", lambda data, _: ["x"] * len(data), ["hey"])

    with pytest.raises(ModelError, match=r"model.params.k: is no parameter of the model's signature, which has none"):
        pipeline(databases, model, source__inputs=["text"], model__params={"k": 3}).plan()


def test_a_moment_with_a_zone_is_given_as_utc(databases: Databases, tmp_path: Path) -> None:
    """mlflow#3684 and its neighbours: moments in a signature. A timestamptz is a moment, and MLflow's have no zone."""
    example = pd.DataFrame({"at": pd.to_datetime(["2026-01-01"])})
    model = logged(tmp_path / "m", lambda data, _: [str(value) for value in data["at"]], example)

    pipeline(databases, model, source__inputs=["at"]).run()

    assert answers(databases)[:2] == ["2026-01-01 01:00:00", "2026-01-01 02:00:00"]


def test_type_hints_of_dicts_are_told_at_plan_or_scored(databases: Databases, tmp_path: Path) -> None:
    """spark and mlflow#14265: `list[dict]` of several columns. Its signature says any, which only JSON holds."""
    import mlflow.pyfunc

    class Hinted(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, model_input: list[dict[str, Any]]) -> list[str]:
            return [f"{type(item).__name__} {item['text']} {item['n']}" for item in model_input]

    mlflow.pyfunc.save_model(tmp_path / "m", python_model=Hinted(), pip_requirements=["mlflow"])
    model = mlflow.pyfunc.load_model(str(tmp_path / "m"))
    with pytest.raises(ModelError, match="the source's column is text, and nothing is cast silently"):
        pipeline(databases, model, source__inputs=["text"]).plan()
    sql(
        databases,
        "CREATE VIEW row AS SELECT id, jsonb_build_object('text', text, 'n', whole) AS content FROM message",
    )

    planned = pipeline(databases, model, source__inputs=["content"], source__relation="row").run()

    assert counts(databases, planned.run_id) == {"planned": ROWS, "predicted": ROWS}
    assert answers(databases)[:2] == ["dict text 1 1", "dict text 2 2"]


def test_an_optional_column_that_a_later_version_adds(databases: Databases, tmp_path: Path) -> None:
    """mlflow#4836 and its neighbours: a signature's optional column is missing in the table."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    signature = ModelSignature(
        Schema([ColSpec("string", "text"), ColSpec("double", "score", required=False)]), Schema([ColSpec("string")])
    )
    model = logged(tmp_path / "m", lambda data, _: [f"{text} {list(data)}" for text in data["text"]], signature)

    pipeline(databases, model, source__inputs=["text"]).run()

    assert answers(databases)[0] == "text 1 ['text']"


def test_a_generator_is_no_answer(databases: Databases, tmp_path: Path) -> None:
    """mlflow#10939 and its neighbours: a model that answers lazily; MLflow's signature is a list of texts."""
    model = logged(tmp_path / "m", lambda data, _: (text for text in data.iloc[:, 0]), ["hey"])

    with pytest.raises((CheckFailed, ModelError), match="generator"):
        pipeline(databases, model, source__inputs=["text"]).run()
