"""The code of a model that takes a factor."""

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel


class Scaled(PythonModel):
    def predict(self, context, model_input, params=None):
        return pd.DataFrame({"scaled": model_input["length"] * params["factor"]})


mlflow.models.set_model(Scaled())
