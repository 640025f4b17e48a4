"""Add a signature to a version that has none: as a new version, with the same files.

The model is loaded and asked in its own environment, by `inference/scoring/sign.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from inference.base import mlmodel, state_folder
from inference.base.root import ROOT
from inference.errors import ModelError, RequestError, Unavailable
from inference.models import artifact, environment, runtime
from inference.models.mlflow_rest import Registry, Version, public

TAG = "inference.signed_from"  # of the new version: the name and number of the one that it was made of
KINDS = (".json", ".csv")


def sign(
    registry: Registry, version: Version, example: Path, allow_pickle: bool, log: Callable[[str], None]
) -> tuple[Version, str]:
    """A new version with the files of `version` and a signature inferred from its answer to `example`; and the
    signature in words of MLflow.

    Raises RequestError for an example that is none, ModelError if the model does not take it, answers with what has no
    columns, or would be unpickled.
    """
    if example.suffix not in KINDS or not example.is_file():
        raise RequestError(f"--example: {example} is no file of JSON or CSV")
    digest = artifact.fetch(registry, version)
    files = state_folder.model_folder(digest)
    kept = artifact.environment_of(files, version)
    if kept.pickled and not allow_pickle:
        raise ModelError(f"{version}: {artifact.unpickled(files)}. To load it all the same: --allow-pickle")
    # MLflow infers types with scipy, and without it calls everything `any`.
    lines = (*kept.requirements, "scipy")
    python = environment.ensure(
        kept.python_version, lines, state_folder.folder(), ROOT / "inference" / "requirements.txt", log
    )
    with tempfile.TemporaryDirectory(prefix="sign-") as temporary:
        folder = Path(temporary) / "model"
        shutil.copytree(files, folder)
        signature = _ask(python, folder, example, allow_pickle, version)
        mlmodel.parse(signature, str(version))  # what it answers must have columns
        _write(folder, signature)
        return _log(registry, version, folder), json.dumps(signature)


def _ask(python: Path, folder: Path, example: Path, allow_pickle: bool, version: Version) -> dict[str, Any]:
    """The signature, as the model's own process infers it."""
    command = [str(python), "-m", f"{runtime.PACKAGE}.scoring.sign", str(folder), str(example.absolute())]
    settings = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": os.environ.get("HOME", ""),
        "PYTHONPATH": str(runtime.folder()),
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": str(allow_pickle).lower(),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    done = subprocess.run(command, cwd=runtime.folder(), env=settings, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        words = next((line for line in reversed(lines) if line.startswith("error: ")), done.stderr.strip()[-2000:])
        raise ModelError(f"{version}: {words.removeprefix('error: ')}")
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def _write(folder: Path, signature: dict[str, Any]) -> None:
    content = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
    content["signature"] = signature
    (folder / "MLmodel").write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _log(registry: Registry, version: Version, folder: Path) -> Version:
    """Upload the files into a run of their own, and register them."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        from mlflow.tracking import MlflowClient  # seconds
    except ImportError:
        raise ModelError(
            f"{version}: this Python has no mlflow to upload files with; run this where mlflow is"
        ) from None
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    client = MlflowClient(tracking_uri=registry.address, registry_uri=registry.address)
    try:
        run = client.create_run(_experiment(client, version), run_name=f"signed {version}")
        client.log_artifacts(run.info.run_id, str(folder), "model")
        client.set_terminated(run.info.run_id)
        made = client.create_model_version(
            version.name, f"{run.info.artifact_uri}/model", run_id=run.info.run_id, tags={TAG: str(version)}
        )
    except Exception as error:
        raise Unavailable(
            f"{version}: its new files cannot be logged to {registry.public_address}: {public(str(error))}"
        ) from None
    return Version(made.name, str(made.version), str(made.source), made.run_id)


def _experiment(client: Any, version: Version) -> str:
    """The experiment of the version's own run; else the default one."""
    if version.run_id is None:
        return "0"
    return str(client.get_run(version.run_id).info.experiment_id)
