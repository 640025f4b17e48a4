"""The environments of the models, made before anything is measured: called by scripts/bench-setup."""

from __future__ import annotations

import os
import platform

from benchmarks.machine import STATE
from benchmarks.messages import MESSAGES
from benchmarks.tabular import TABULAR
from benchmarks.workload import ROOT
from inference.base import state_folder
from inference.models import environment

if __name__ == "__main__":
    os.environ.setdefault("INFERENCE_STATE", str(STATE))
    for workload in (TABULAR, MESSAGES):
        environment.ensure(
            platform.python_version(),
            workload.requirements,
            state_folder.folder(),
            ROOT / "inference" / "requirements.txt",
            print,
        )
