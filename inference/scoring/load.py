"""A model's files become a model: after a look at whether they are those that plan saw, and may be loaded."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from ..base import digest, pickles
from ..base.state_folder import model_folder
from ..errors import ModelError
from .predict import Predictor


def load(wanted: str, allow_pickle: bool) -> Predictor:
    """The model whose files have the digest `wanted`, loaded by MLflow.

    Raises ModelError if the files are not those, if loading them fails, or if it would unpickle and must not.
    """
    path = model_folder(wanted)
    if not path.exists() or digest.digest(path) != wanted:
        raise ModelError(
            f"the files of model {wanted[:12]} are not as planned in {path}; clear the task, or plan again"
        )
    if not allow_pickle:
        os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
        _refuse_pickles(path)
    import mlflow.pyfunc

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    try:
        model: Predictor = mlflow.pyfunc.load_model(str(path))
    except Exception as error:
        raise ModelError(f"the model cannot be loaded: {type(error).__name__}: {error}") from error
    return model


def _refuse_pickles(path: Path) -> None:
    """Plan has refused them; but older code may have planned, and older versions of MLflow have no such switch."""
    import yaml  # MLflow needs it; the rest of a shard does not

    try:
        flavors = yaml.safe_load((path / "MLmodel").read_text(encoding="utf-8"))["flavors"]
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ModelError(f"the model cannot be loaded: {type(error).__name__}: {error}") from error
    if pickles.found(path, flavors):
        raise ModelError("the model is loaded by unpickling, which model.allow_pickle of its job does not allow")
    pickles.require_guard(path, flavors)
