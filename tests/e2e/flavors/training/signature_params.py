"""A model whose signature has parameters."""

import sys
from pathlib import Path

import mlflow
import pandas as pd

example = pd.DataFrame({"length": [1.0, 2.0]})
signature = mlflow.models.infer_signature(example, pd.DataFrame({"scaled": [1.0, 2.0]}), {"factor": 1.0})
mlflow.pyfunc.log_model(
    name="model", python_model=str(Path(__file__).with_name("signature_params_code.py")),
    input_example=(example, {"factor": 1.0}), signature=signature, registered_model_name=sys.argv[1],
)  # fmt: skip
