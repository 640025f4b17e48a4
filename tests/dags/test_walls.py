"""Who imports whom, transitively: a fresh interpreter says what it has loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODEL_SIDE = {"torch", "mlflow", "sklearn", "inference.scoring.predict", "inference.shard.shard"}


def loaded(code: str) -> set[str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "plugins"), str(ROOT / "dags")])
    program = f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("module", ["predictions", "job_files", "prediction_plugin", "batch_prediction.tasks"])
def test_airflows_side_never_imports_the_models_side(module: str) -> None:
    assert not loaded(f"import {module}") & MODEL_SIDE


def test_inference_never_imports_airflow() -> None:
    files = (path for path in (ROOT / "inference").rglob("*.py") if not path.stem.startswith("__"))
    modules = sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files)
    code = "\n".join(f"import {name}" for name in modules)

    assert not {name for name in loaded(code) if name.split(".")[0] in ("airflow", "dags", "plugins")}


def test_engines_and_clusters_cost_nothing_where_no_shard_runs() -> None:
    code = "import predictions, batch_prediction.tasks, inference.cli.app, inference.runners.runner"

    assert not loaded(code) & {"docker", "kubernetes"}


def test_a_shard_imports_only_what_a_models_environment_has() -> None:
    needed = {"psycopg2", "sqlalchemy", "pandas", "numpy"}
    found = {name.split(".")[0] for name in loaded("import inference.shard.command")}

    assert needed <= found
    assert not found & {"pydantic", "typer", "rich", "yaml", "requests", "croniter", "filelock", "mlflow", "airflow"}
