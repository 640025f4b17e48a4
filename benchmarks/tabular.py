"""The workload that reading and writing limit: rows of ten `real` columns, scored by an MLP 10-64-1."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.workload import ROOT, Workload

COLUMNS = [f"x{number}" for number in range(10)]
REQUIREMENTS = ["mlflow-skinny==3.17.2", "numpy==2.4.6", "pandas==3.1.1", "safetensors==0.8.0"]
CHUNK_ROWS = 20_000


def _log(folder: Path, name: str, repeats: int = 1) -> Any:
    """`repeats`: of the model's arithmetic."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from safetensors.numpy import save_file

    random = np.random.default_rng(0)
    weights = {"hidden": random.normal(size=(10, 64)), "last": random.normal(size=(64, 1))}
    path = folder / "weights.safetensors"
    tensors = {part: values.astype(np.float32) for part, values in weights.items()}
    save_file({**tensors, "repeat": np.array([repeats])}, path)
    with mlflow.start_run():
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=str(ROOT / "benchmarks" / "mlp.py"),
            artifacts={"weights": str(path)},
            signature=ModelSignature(
                Schema([ColSpec(DataType.float, one) for one in COLUMNS]), Schema([ColSpec(DataType.float, "score")])
            ),
            pip_requirements=REQUIREMENTS,
            registered_model_name=name,
        )


def _fill(cursor: Any, rows: int) -> None:
    values = ", ".join("random() * 2 - 1" for _ in COLUMNS)
    cursor.execute(f"INSERT INTO measurement SELECT n, {values} FROM generate_series(1, {rows}) n")


def _prepare(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[COLUMNS].astype("float32")


TABULAR = Workload(
    name="measurement",
    relation="measurement",
    inputs=dict.fromkeys(COLUMNS, "real"),
    outputs={"score": "real"},
    model="mlp",
    requirements=REQUIREMENTS,
    log=_log,
    fill=_fill,
    prepare=_prepare,
    sizes={"chunk_rows": CHUNK_ROWS},
)
# Limited by its processor: for docs/scaling.md.
HEAVY = replace(TABULAR, model="mlp_heavy", log=partial(_log, repeats=500))
