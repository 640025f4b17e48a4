"""A model the size of numpy, in the place of both examples. A text that begins with "slow" takes a while."""

from __future__ import annotations

import time

import mlflow.models
import pandas as pd
from mlflow.pyfunc import PythonModel

SECONDS = 0.07


class LightModel(PythonModel):  # type: ignore[misc]
    def predict(self, model_input: pd.DataFrame) -> pd.DataFrame:
        texts = list(model_input["text"])
        time.sleep(SECONDS * sum(text.startswith("slow") for text in texts))
        return pd.DataFrame({"intent": [text.split(" ")[0] for text in texts], "confidence": [0.5] * len(texts)})


mlflow.models.set_model(LightModel())
