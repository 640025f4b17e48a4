"""The code of a model with an output of several columns; a gap in `stars` is a gap in `score`."""

import hashlib

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel


class Columns(PythonModel):
    def predict(self, context, model_input, params=None):
        texts = model_input["text"].tolist()
        return pd.DataFrame(
            {
                "digest": [hashlib.sha256((text or "").encode()).hexdigest() for text in texts],
                "length": [len(text or "") for text in texts],
                "score": (model_input["stars"] / 5).tolist(),
            }
        )


mlflow.models.set_model(Columns())
