"""PyTorch as a pickle of the whole module."""

import sys

import mlflow
from network import EXAMPLE, answer, network

signature = mlflow.models.infer_signature(EXAMPLE, answer())
mlflow.pytorch.log_model(
    network(), name="model", serialization_format="pickle", signature=signature, input_example=EXAMPLE,
    registered_model_name=sys.argv[1],
)  # fmt: skip
