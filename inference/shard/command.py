"""`python -m inference shard`: one shard, inside the model's environment, with nothing but what it needs.

No typer, no pydantic here: the model's environment has neither.
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Optional

from inference.base import digest, log_lines, pickles
from inference.base.database import Databases, said
from inference.base.state_folder import model_folder
from inference.errors import InferenceError, ModelError, RetryableError
from inference.scoring.predict import Predictor
from inference.shard import shard
from inference.shard.attempt import Work

log = logging.getLogger(__name__)


def main(arguments: Optional[list[str]] = None) -> int:
    """Returns the exit code: 0 done, 65 a retry cannot help, 75 a retry goes on from the last chunk."""
    parser = argparse.ArgumentParser("python -m inference shard", description=__doc__)
    for name in ("run", "generation", "shard"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args(arguments)
    _die_with_parent()
    log_lines.note_process(run=options.run, shard=options.shard)
    try:
        logging.basicConfig(level=logging.INFO, handlers=[log_lines.handler(sys.stdout)])
        shard.run(Databases(), options.run, options.generation, options.shard, load)
    except InferenceError as error:
        print(log_lines.error(error), flush=True)
        return error.exit_code
    except Exception as error:
        log.exception("error: %s: %s", type(error).__name__, said(error))
        return RetryableError.exit_code
    return 0


def load(work: Work) -> Predictor:
    """Load the model that was planned, after checking that its files are still the same."""
    log_lines.note_process(job=work.job)
    return load_files(work.digest, work.allow_pickle)


def load_files(wanted: str, allow_pickle: bool) -> Predictor:
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


def _die_with_parent() -> None:
    """Get SIGTERM when the process that started this one dies, however it dies (Linux)."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
