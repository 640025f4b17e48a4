"""A model that answers a list of dictionaries."""

import sys
from pathlib import Path

import mlflow
import pandas as pd

example = pd.DataFrame({"text": ["where is my parcel", "thanks"]})
answer = [{"label": "long", "length": 18}, {"label": "short", "length": 6}]
mlflow.pyfunc.log_model(
    name="model", python_model=str(Path(__file__).with_name("list_of_dicts_code.py")), input_example=example,
    signature=mlflow.models.infer_signature(example, pd.DataFrame(answer)), registered_model_name=sys.argv[1],
)  # fmt: skip
