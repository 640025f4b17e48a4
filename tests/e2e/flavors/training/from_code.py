"""A model whose code is a file, with an output of several columns."""

import sys
from pathlib import Path

import mlflow
import pandas as pd

example = pd.DataFrame({"text": ["where is my parcel", "thanks"], "stars": [1.0, 5.0]})
answer = pd.DataFrame({"digest": ["a", "b"], "length": [1, 2], "score": [0.5, 0.25]})
mlflow.pyfunc.log_model(
    name="model", python_model=str(Path(__file__).with_name("from_code_code.py")), input_example=example,
    signature=mlflow.models.infer_signature(example, answer), registered_model_name=sys.argv[1],
)  # fmt: skip
