"""Between the row and the model stands `mlflow.pyfunc`: `tests/value_cases.py` in an environment for each version."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from inference.environment import BuildError, ensure

ROOT = Path(__file__).parents[2]
MLFLOW = {"2.22": "mlflow-skinny==2.22.1", "3.17": "mlflow-skinny==3.17.2"}
PANDAS = {"pandas 2": "pandas==2.3.3", "pandas 3": "pandas==3.1.1"}
ARROW = {"pyarrow": ["pyarrow==25.0.1"], "no pyarrow": []}


@pytest.mark.parametrize("arrow", ARROW)
@pytest.mark.parametrize("pandas", PANDAS)
@pytest.mark.parametrize("mlflow", MLFLOW)
def test_what_a_model_sees_is_what_the_row_holds(mlflow: str, pandas: str, arrow: str) -> None:
    """F1, F2, F13, F30, F33, R1: each value is seen as it is, or its row lost with the reason, or plan refuses the
    column; which of them is written down in `tests/value_cases.py`."""
    done = subprocess.run(
        [interpreter(MLFLOW[mlflow], PANDAS[pandas], *ARROW[arrow]), "-W", "ignore", ROOT / "tests" / "value_cases.py"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["wrong"] == []
    found, of_pandas, _, has_arrow = told["versions"]
    assert (found[:4], of_pandas[0], has_arrow) == (mlflow, pandas[-1], arrow == "pyarrow")
    assert min(told["count"][name] for name in ("given", "quarantined", "refused by plan", "batches")) > 2000


def interpreter(*requirements: str) -> Path:
    """Of this project, with the whole MLflow, if it has these versions; else of an environment with its skinny one."""
    if len(requirements) == 3 and all(
        version(name) == number for name, _, number in (line.partition("==") for line in requirements)
    ):
        return Path(sys.executable)
    try:
        return ensure("3.11", requirements, ROOT / ".state" / "tests", ROOT / "inference" / "requirements.txt", print)
    except BuildError as error:
        if "No solution found" not in str(error):
            raise
        pytest.skip(f"{', '.join(requirements)} do not go together")
