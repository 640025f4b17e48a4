"""Registers the light model, as the examples register theirs."""

from __future__ import annotations

import argparse
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

HERE = Path(__file__).parent
parser = argparse.ArgumentParser()
parser.add_argument("--name", required=True)
parser.add_argument("--alias", required=True)
arguments = parser.parse_args()

outputs = Schema([ColSpec("string", "intent"), ColSpec("double", "confidence")])
with mlflow.start_run():
    info = mlflow.pyfunc.log_model(
        name="model",
        python_model=str(HERE / "model.py"),
        signature=ModelSignature(Schema([ColSpec("string", "text")]), outputs),
        input_example=pd.DataFrame({"text": ["where is my parcel", "thanks", "I want my money back"]}),
        pip_requirements=str(HERE / "requirements.txt"),
        registered_model_name=arguments.name,
    )
version = str(info.registered_model_version)
mlflow.MlflowClient().set_registered_model_alias(arguments.name, arguments.alias, version)
