"""A function from texts to texts, whose type hints are its signature."""

import sys
from pathlib import Path

import mlflow

mlflow.pyfunc.log_model(
    name="model", python_model=str(Path(__file__).with_name("hints_text_code.py")), input_example=["a text"],
    registered_model_name=sys.argv[1],
)  # fmt: skip
