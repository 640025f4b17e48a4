"""`python -m prediction_runtime.scoring.sign FOLDER EXAMPLE`: the signature of a model, inferred from an example.

Runs in the model's environment. The last line that it prints is the signature as an MLmodel file has it, or begins with
`error: `.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import ModelError


def main(arguments: list[str]) -> int:
    """Returns 0, or 65 after an error."""
    folder, example = map(Path, arguments)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    try:
        print(json.dumps(signature(folder, read(example))))
    except ModelError as error:
        print(f"error: {error}")
        return error.exit_code
    return 0


def read(example: Path) -> Any:
    """The rows of a file: a DataFrame, or a list of values. Raises ModelError."""
    try:
        if example.suffix == ".csv":
            return pd.read_csv(example)
        content = json.loads(example.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ModelError(f"the example {example.name} cannot be read: {error}") from None
    if isinstance(content, dict) and {"columns", "data"} <= content.keys():
        return pd.DataFrame(content["data"], columns=content["columns"])
    if isinstance(content, list) and content and isinstance(content[0], dict):
        return pd.DataFrame(content)
    if isinstance(content, list) and content and isinstance(content[0], list):
        import numpy as np

        return np.array(content)
    if isinstance(content, list) and content:
        return content
    raise ModelError(
        f"the example {example.name} has no rows: write a list of objects, a list of values, a list of lists of "
        "numbers, or an object with columns and data"
    )


def signature(folder: Path, example: Any) -> dict[str, Any]:
    """What MLflow infers from the example and from the model's answer to it."""
    import mlflow.pyfunc
    from mlflow.models import infer_signature

    try:
        model = mlflow.pyfunc.load_model(str(folder))
    except Exception as error:
        raise ModelError(f"the model cannot be loaded: {type(error).__name__}: {error}") from error
    try:
        answer = model.predict(example)
    except Exception as error:
        raise ModelError(f"the model does not take the example: {type(error).__name__}: {error}") from error
    try:
        found = infer_signature(example, answer).to_dict()
    except Exception as error:
        raise ModelError(f"MLflow infers no signature: {type(error).__name__}: {error}") from error
    declared = {name: value for name, value in found.items() if value is not None}
    if isinstance(example, pd.DataFrame) and any("name" not in item for item in json.loads(declared["inputs"])):
        raise ModelError("MLflow infers no types for the columns of the example")
    return declared


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
