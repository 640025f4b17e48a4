"""A model called directly, in a process that has MLflow and the model's packages alone.

    python direct.py task.json answer.json

The task names the model, the form that its flavour's documentation calls it with, the rows, and the types of their
columns; the answer is a list of columns. MLflow and NumPy of any version that a model was logged with.
"""

import json
import sys

import mlflow
import numpy as np
import pandas as pd

DTYPES = {"double precision": "float64", "real": "float32", "bigint": "Int64", "text": "object"}


def given(form, rows, columns):
    if form == "frame":
        return pd.DataFrame(
            {name: pd.Series([row[name] for row in rows], dtype=DTYPES[kind]) for name, kind in columns.items()}
        )
    if form == "array":
        return np.array([[row[name] for name in columns] for row in rows], dtype=np.float32)
    if form == "texts":
        return [row["text"] for row in rows]
    assert form == "records", form
    return rows


def plain(value):
    """What JSON can hold; a float32 in full."""
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def columns_of(answer):
    if isinstance(answer, pd.DataFrame):
        return [answer[name].tolist() for name in answer]
    if isinstance(answer, dict):
        return [column for part in answer.values() for column in columns_of(part)]
    if isinstance(answer, list) and isinstance(answer[0], dict):
        return [[row[name] for row in answer] for name in answer[0]]
    values = answer if isinstance(answer, list) else np.asarray(answer)
    if isinstance(values, np.ndarray) and values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    return [[plain(value) for value in values]]


def main(task_path, answer_path):
    with open(task_path, encoding="utf-8") as stream:
        task = json.load(stream)
    assert "inference" not in sys.modules
    model = mlflow.pyfunc.load_model(task["model"])
    data = given(task["form"], task["rows"], task["columns"])
    answer = model.predict(data, params=task["params"]) if task["params"] else model.predict(data)
    with open(answer_path, "w", encoding="utf-8") as stream:
        json.dump(columns_of(answer), stream)


if __name__ == "__main__":
    main(*sys.argv[1:])
