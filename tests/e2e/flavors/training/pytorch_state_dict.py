"""The weights of a PyTorch module as safetensors, and its code."""

import sys
import tempfile
from pathlib import Path

import mlflow
from network import EXAMPLE, answer, network
from safetensors.torch import save_file

with tempfile.TemporaryDirectory() as folder:
    weights = Path(folder) / "weights.safetensors"
    save_file(network().state_dict(), weights)
    here = Path(__file__).parent
    mlflow.pyfunc.log_model(
        name="model", python_model=str(here / "state_dict_code.py"), artifacts={"weights": str(weights)},
        code_paths=[str(here / "network.py")], signature=mlflow.models.infer_signature(EXAMPLE, answer()),
        input_example=EXAMPLE, registered_model_name=sys.argv[1],
    )  # fmt: skip
