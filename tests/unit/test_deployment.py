"""What a deployment decides: the runner of job files that name none, and that Airflow's side has no mlflow."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from inference.errors import JobError, ModelError
from inference.jobs.job import Job, load
from inference.models import artifact
from inference.models.mlflow_rest import Registry, Version


def written(folder: Path, **fields: str) -> Path:
    source = {"relation": "message", "key": ["id"], "inputs": ["text"]}
    content = {"name": "intent", "description": "d", "owner": "o", "source": source, "model": {"name": "intent"}}
    path = folder / "intent.yaml"
    path.write_text(yaml.safe_dump({**content, **fields}))
    return path


def test_a_job_file_that_names_no_runner_gets_the_deployments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INFERENCE_RUNNER", raising=False)
    assert load(written(tmp_path)).runner == "venv"

    monkeypatch.setenv("INFERENCE_RUNNER", "docker")

    assert load(written(tmp_path)).runner == "docker"
    assert load(written(tmp_path, runner="venv")).runner == "venv"
    planned = load(written(tmp_path)).model_dump(mode="json", by_alias=True)
    monkeypatch.delenv("INFERENCE_RUNNER")
    assert Job.model_validate(planned).runner == "docker"  # a run keeps what it was planned with


def test_a_runner_that_does_not_exist_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERENCE_RUNNER", "podman")

    with pytest.raises(JobError, match="runner: 'podman': Input should be 'venv'"):
        load(written(tmp_path))


def test_a_version_that_was_never_met_says_where_to_introduce_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFERENCE_STATE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "mlflow", None)

    with pytest.raises(ModelError, match=r"intent version 3: .*no mlflow.* python -m inference image build intent:3$"):
        artifact.fetch(Registry("http://127.0.0.1:1"), Version("intent", "3", "models:/m-3", None))
