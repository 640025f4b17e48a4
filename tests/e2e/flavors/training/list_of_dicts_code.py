"""The code of a model that answers a list of dictionaries."""

import mlflow
from mlflow.pyfunc import PythonModel


class Dictionaries(PythonModel):
    def predict(self, context, model_input, params=None):
        lengths = [len(text or "") for text in model_input["text"]]
        return [{"label": "long" if length > 10 else "short", "length": length} for length in lengths]


mlflow.models.set_model(Dictionaries())
