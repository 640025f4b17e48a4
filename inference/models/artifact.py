"""A model version's files: fetched once, named by their digest, checked before anything is loaded."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from inference.base import mlmodel, pickles, state_folder
from inference.base.digest import digest
from inference.base.signature import Signature
from inference.errors import ModelError, Unavailable
from inference.models import logged
from inference.models.mlflow_rest import Registry, Version, public
from inference.models.packages import PackagesError


@dataclass(frozen=True)
class Artifact:
    """What plan must know of a version's files."""

    digest: str
    python_version: str
    requirements: tuple[str, ...]
    signature: Signature
    pickled: bool


def fetch(registry: Registry, version: Version) -> str:
    """Bring a version's files into the state folder and return their digest."""
    parent = state_folder.folder() / "models"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix="fetch-") as temporary:
        path = _download(registry, version, temporary)
        found = digest(path)
        if not state_folder.model_folder(found).exists():
            try:
                os.rename(path, state_folder.model_folder(found))
            except OSError:  # another process brought the same files in the meantime
                if not state_folder.model_folder(found).exists():
                    raise
    return found


def ensure(registry: Registry, version: Version, wanted: str) -> Path:
    """The folder of a version's files; fetched if it is not here. Raises ModelError if they changed."""
    path = state_folder.model_folder(wanted)
    if path.exists() and digest(path) != wanted:
        shutil.rmtree(path)
    if not path.exists():
        found = fetch(registry, version)
        if found != wanted:
            raise ModelError(
                f"{version}: its files have digest {found[:12]}, the run was planned with {wanted[:12]}: somebody "
                "changed them in place. Register a new version, and find out who did it."
            )
    return path


def _download(registry: Registry, version: Version, target: str) -> Path:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        import mlflow.artifacts  # seconds, and only for a version that was never here
    except ImportError:
        raise ModelError(
            f"{version}: was never met, and this Python has no mlflow to fetch its files with. Where mlflow is "
            "installed (docker-compose.yaml: in the service init), run: "
            f"python -m inference image build {version.name}:{version.version}"
        ) from None
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    place = registry.place(version)  # a name would be looked up in the registry of MLflow's own settings
    try:
        path = mlflow.artifacts.download_artifacts(artifact_uri=place, dst_path=target, tracking_uri=registry.address)
    except Exception as error:
        raise Unavailable(
            f"{version}: its files cannot be fetched from {registry.public_address}: {public(str(error))}"
        ) from None
    return Path(path)


@dataclass(frozen=True)
class Environment:
    """What a version runs on, and whether loading it unpickles."""

    python_version: str
    requirements: tuple[str, ...]
    pickled: bool


def read(path: Path, version: Version) -> Artifact:
    """Signature, environment and kind of the files in `path`."""
    content, environment = _content(path, version), environment_of(path, version)
    hinted = bool(content.get("is_signature_from_type_hint"))
    return Artifact(
        digest=path.name,
        python_version=environment.python_version,
        requirements=environment.requirements,
        signature=mlmodel.parse(content.get("signature"), str(version), hinted),
        pickled=environment.pickled,
    )


def environment_of(path: Path, version: Version) -> Environment:
    """What the files in `path` say that they run on. Raises ModelError if they do not, or if it cannot be honoured."""
    content = _content(path, version)
    try:
        environment = yaml.safe_load((path / "python_env.yaml").read_text(encoding="utf-8"))
        python = str(environment["python"])
        requirements = (*logged.requirements(path / "requirements.txt"), *logged.build_dependencies(environment))
    except PackagesError as error:
        raise ModelError(f"{version}: {error}") from None
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ModelError(
            f"{version}: has no python_env.yaml and requirements.txt that say what it runs on ({error}); log it with "
            "mlflow.pyfunc.log_model, which writes them"
        ) from None
    return Environment(python, requirements, pickles.found(path, content["flavors"]))


def unpickled(path: Path) -> str:
    """What to say of a version that is loaded by unpickling. `path`: of its files, which may be gone."""
    try:
        flavors = yaml.safe_load((path / "MLmodel").read_text(encoding="utf-8"))["flavors"]
    except (OSError, KeyError, TypeError, yaml.YAMLError):
        flavors = {}
    return f"is loaded by unpickling, which can run any code. {pickles.advice(flavors)}"


def _content(path: Path, version: Version) -> dict[str, Any]:
    """The MLmodel file. Raises ModelError if it is none, or leads out of the folder."""
    try:
        content: dict[str, Any] = yaml.safe_load((path / "MLmodel").read_text(encoding="utf-8"))
        flavor = content["flavors"]["python_function"]
    except (OSError, KeyError, TypeError, yaml.YAMLError):
        raise ModelError(f"{version}: is no model of the pyfunc flavour; log it with mlflow.pyfunc.log_model") from None
    _refuse_outside(flavor, version)
    return content


def _refuse_outside(flavor: dict[str, Any], version: Version) -> None:
    """Loading joins these names to the folder: what they reach outside of it, no digest is taken of."""
    names = {key: flavor.get(key) for key in ("python_model", "data", "code")}
    names |= {f"artifacts.{key}.path": item.get("path") for key, item in (flavor.get("artifacts") or {}).items()}
    for field, name in names.items():
        place = PurePosixPath(str(name or ""))
        if place.is_absolute() or ".." in place.parts:
            raise ModelError(f"{version}: {field} of its MLmodel is {name!r}, which leads out of the model's folder")
