"""PyTorch in the format that MLflow takes by default."""

import sys

import mlflow
from network import EXAMPLE, answer, network

signature = mlflow.models.infer_signature(EXAMPLE, answer())
mlflow.pytorch.log_model(
    network(), name="model", signature=signature, input_example=EXAMPLE, registered_model_name=sys.argv[1]
)
