"""A function of objects of pydantic, whose type hints are its signature."""

import sys
from pathlib import Path

import mlflow

mlflow.pyfunc.log_model(
    name="model", python_model=str(Path(__file__).with_name("hints_pydantic_code.py")),
    input_example=[{"title": "a title", "stars": 4}], registered_model_name=sys.argv[1],
)  # fmt: skip
