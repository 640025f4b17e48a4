"""An MLP 10-64-1 over ten numbers, as MLflow stores it: this file and `weights.safetensors`."""

from __future__ import annotations

from typing import Any

import mlflow.models
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel
from safetensors.numpy import load_file


class Mlp(PythonModel):
    """x0 ... x9 (float) -> score (float), computed `repeat` times: a model that takes as long as one wants."""

    def load_context(self, context: Any) -> None:
        weights = load_file(context.artifacts["weights"])
        self.hidden, self.last, self.repeat = weights["hidden"], weights["last"], int(weights["repeat"][0])

    def predict(self, model_input: pd.DataFrame) -> pd.DataFrame:  # type: ignore[override]
        values = model_input.to_numpy(dtype=np.float32)
        for _ in range(self.repeat):
            scores = np.maximum(values @ self.hidden, 0) @ self.last
        return pd.DataFrame({"score": scores[:, 0]})


mlflow.models.set_model(Mlp())
