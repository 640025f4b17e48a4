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
from typing import Optional

from ..base import log_lines
from ..base.database import Databases, said
from ..errors import InferenceError, RetryableError
from ..scoring import load as loading
from ..scoring.predict import Predictor
from . import shard
from .attempt import Work

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
    return loading.load(work.digest, work.allow_pickle)


def _die_with_parent() -> None:
    """Get SIGTERM when the process that started this one dies, however it dies (Linux)."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
