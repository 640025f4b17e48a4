"""Answers of scikit-learn, and in the shapes of XGBoost and LightGBM, from the row to the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from inference.base import mlmodel
from inference.base.database import Databases
from inference.base.outputs import Output
from inference.base.signature import Signature
from inference.errors import ModelError
from tests.stub import Pipeline, counts, job, predictions, sql

ROWS = 150
CLASSES = 3


@pytest.fixture
def rows(databases: Databases) -> pd.DataFrame:
    """Two numbers a row, in the table `message`, and a label that follows from them."""
    sql(databases, "CREATE TABLE message (id bigint PRIMARY KEY, a float8 NOT NULL, b float8 NOT NULL)")
    sql(databases, "INSERT INTO message SELECT n, sin(n), cos(n * n) FROM generate_series(1, :rows) n", rows=ROWS)
    frame = pd.DataFrame(sql(databases, "SELECT a, b FROM message ORDER BY id"), columns=["a", "b"])
    return frame.assign(label=np.digitize(frame["a"] + frame["b"] / 3, [-0.4, 0.4]))


def parsed(outputs: list[dict[str, Any]]) -> Signature:
    inputs = [{"type": "double", "name": name, "required": True} for name in ("a", "b")]
    return mlmodel.parse({"inputs": json.dumps(inputs), "outputs": json.dumps(outputs)}, "m")


def tensor(dtype: str, *shape: int) -> dict[str, Any]:
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": [-1, *shape]}}


def published(databases: Databases, model: Any, declared: Signature) -> list[Any]:
    """What stands in the table after a run in pages and batches of other sizes than the source, by key."""
    sizes = {"chunk_rows": 64, "batch_rows": 48}
    pipeline = Pipeline(databases, job(cost="1", source__inputs=["a", "b"], sizes=sizes), model, declared)
    assert counts(databases, pipeline.run().run_id) == {"planned": ROWS, "predicted": ROWS}
    assert pipeline.run().planned == 0
    return [row["prediction"] for _, row in sorted(predictions(databases).items())]


@pytest.mark.filterwarnings("ignore")  # MLflow's own
@pytest.mark.parametrize("function", ["predict_proba", "predict", "predict_log_proba"])
@pytest.mark.parametrize("labels", [[0, 1, 2], ["낮음", "so so", "high"]])
def test_a_classifier_of_scikit_learn(
    databases: Databases, rows: pd.DataFrame, tmp_path: Path, function: str, labels: list[Any]
) -> None:
    """R6. `predict_proba` gives an array `(n, 3)`, which is one column of arrays."""
    import mlflow.pyfunc
    import mlflow.sklearn
    from sklearn.linear_model import LogisticRegression

    inputs, names = rows[["a", "b"]], np.array(labels)
    classifier = LogisticRegression().fit(inputs, names[rows["label"]])
    expected = getattr(classifier, function)(inputs)
    mlflow.sklearn.save_model(
        classifier,
        tmp_path / "m",
        pyfunc_predict_fn=function,
        signature=mlflow.models.infer_signature(inputs, expected),
        serialization_format="cloudpickle",
        pip_requirements=["scikit-learn"],
    )
    model = mlflow.pyfunc.load_model(str(tmp_path / "m"))
    declared = mlmodel.parse(model.metadata.signature.to_dict(), "m")

    found = published(databases, model, declared)

    if function == "predict":
        assert found == expected.tolist()
    else:
        assert declared.outputs == (Output("prediction", "double precision[]", True, CLASSES),)
        assert expected.shape == (ROWS, CLASSES)
        assert np.allclose(found, expected, rtol=1e-12, atol=0)  # BLAS may differ in the last digit by size of batch


LABELS = np.arange(ROWS) % CLASSES
CHANCES = np.random.default_rng(6).dirichlet(np.ones(CLASSES), ROWS)
ANSWERS = {
    "XGBClassifier.predict": (LABELS.astype(np.int64), "int64", "bigint"),
    "XGBClassifier.predict of 2.x": (LABELS.astype(np.int32), "int32", "integer"),
    "XGBClassifier.predict_proba": (CHANCES.astype(np.float32), "float32", "real[]"),
    "XGBRegressor.predict": (CHANCES[:, 0].astype(np.float32), "float32", "real"),
    "xgboost.Booster.predict, multi:softprob": (CHANCES.astype(np.float32), "float32", "real[]"),
    "xgboost.Booster.predict, multi:softmax": (LABELS.astype(np.float32), "float32", "real"),
    "xgboost.Booster.predict, pred_leaf": (np.column_stack([LABELS, LABELS]).astype(np.float32), "float32", "real[]"),
    "LGBMClassifier.predict": (LABELS.astype(np.int64), "int64", "bigint"),
    "LGBMClassifier.predict of texts": (np.array(["a", "b", "c"])[LABELS], "str", "text"),
    "LGBMClassifier.predict_proba": (CHANCES, "float64", "double precision[]"),
    "lightgbm.Booster.predict, multiclass": (CHANCES, "float64", "double precision[]"),
    "lightgbm.Booster.predict, pred_leaf": (np.column_stack([LABELS, LABELS]).astype(np.int32), "int32", "integer[]"),
    "a transposed view": (np.asfortranarray(CHANCES.T).T[:, ::-1], "float64", "double precision[]"),
    "read-only": (np.broadcast_to(CHANCES[0], (ROWS, CLASSES)), "float64", "double precision[]"),
}  # fmt: skip


@pytest.mark.parametrize("answer", ANSWERS)
def test_answers_in_the_shapes_of_xgboost_and_lightgbm(databases: Databases, rows: pd.DataFrame, answer: str) -> None:
    """R6. Neither is installed here: only the shape and type of their answers is tested, with NumPy's arrays."""
    values, dtype, kind = ANSWERS[answer]
    places = {pair: number for number, pair in enumerate(zip(rows["a"], rows["b"], strict=True))}

    class Model:
        def predict(self, data: pd.DataFrame) -> Any:
            return values[[places[pair] for pair in zip(data["a"], data["b"], strict=True)]]

    declared = parsed([tensor(dtype, *values.shape[1:])])
    assert [(item.name, item.type) for item in declared.outputs] == [("prediction", kind)]

    found = published(databases, Model(), declared)

    assert np.array(found, values.dtype).tolist() == values.tolist()  # `real` comes back as its shortest decimal


@pytest.mark.parametrize("library", ["scipy", "torch"])
def test_sparse_matrices_and_tensors_are_arrays(databases: Databases, rows: pd.DataFrame, library: str) -> None:
    """R2."""
    import torch
    from scipy.sparse import csr_matrix

    class Model:
        def predict(self, data: pd.DataFrame) -> Any:
            values = np.column_stack([data["a"], np.zeros(len(data)), data["b"]])
            return csr_matrix(values) if library == "scipy" else torch.tensor(values)

    found = published(databases, Model(), parsed([tensor("float64", CLASSES)]))

    assert found == [[a, 0, b] for a, b in zip(rows["a"], rows["b"], strict=True)]


def test_an_array_of_another_library_fails_the_run_at_the_first_call(databases: Databases, rows: pd.DataFrame) -> None:
    """R2: not after every row has been tried."""
    import torch

    calls: list[int] = []

    class Model:
        def predict(self, data: pd.DataFrame) -> Any:
            calls.append(len(data))
            return torch.ones(len(data), dtype=torch.bfloat16)

    pipeline = Pipeline(databases, job(cost="1", source__inputs=["a", "b"]), Model(), parsed([tensor("float64")]))
    with pytest.raises(ModelError, match=r"^the model returned Tensor, which NumPy cannot hold: .*BFloat16"):
        pipeline.run()
    assert len(calls) == 1
    assert predictions(databases) == {}
