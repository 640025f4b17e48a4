"""The code of the model of texts."""

import mlflow
from mlflow.pyfunc import PythonModel


class Shout(PythonModel):
    def predict(self, model_input: list[str], params=None) -> list[str]:
        return [text.upper()[::-1] for text in model_input]


mlflow.models.set_model(Shout())
