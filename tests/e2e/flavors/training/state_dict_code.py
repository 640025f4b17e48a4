"""The code of the model whose weights stand beside it."""

import mlflow
import torch
from network import network
from safetensors.torch import load_file


class FromWeights(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.network = network()
        self.network.load_state_dict(load_file(context.artifacts["weights"]))

    def predict(self, context, model_input, params=None):
        with torch.inference_mode():
            return self.network(torch.from_numpy(model_input)).numpy()


mlflow.models.set_model(FromWeights())
