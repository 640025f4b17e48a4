"""The folder that a model version's image is built from.

Dockerfile
requirements/requirements.txt   the model's own and the runtime's, resolved together
requirements/constraints.txt    the model's, which bound the versions of both
requirements/build.txt          the model's build dependencies, installed first
requirements/wheels/            those of them that this machine has in a folder of wheels
runtime/                        the package of the model's side, see inference/models/runtime.py
state/models/<digest>/          the version's files
state/signature.json            what goes in and out, for the conformance check
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from inference.base.root import ROOT
from inference.errors import ConfigurationError
from inference.models import environment, packages, runtime
from inference.models.model_version import Model
from inference.models.packages import PackagesError

CODE = ROOT / "inference"
WHEELS = "/requirements/wheels"  # inside the image


@contextmanager
def made(model: Model, files: Path) -> Iterator[Path]:
    """The folder, for as long as the block lasts. `files`: of the model version."""
    with tempfile.TemporaryDirectory(prefix="image-") as temporary:
        folder = Path(temporary)
        shutil.copy(CODE / "Dockerfile", folder)
        wanted = requirements(model)
        wheels = folder / "requirements" / "wheels"
        wheels.mkdir(parents=True)
        for name, lines in zip(("requirements", "constraints", "build"), packages.listed(wanted)):
            (wheels.parent / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        for wheel in local_wheels(wanted, python_version(model)):
            shutil.copy(wheel, wheels)
        runtime.copy(folder / "runtime")
        shutil.copytree(files, folder / "state" / "models" / model.artifact.digest)
        inputs, outputs, params = map(json.loads, model.artifact.signature.to_json())
        (folder / "state" / "signature.json").write_text(
            json.dumps({"inputs": inputs, "outputs": outputs, "params": params})
        )
        _readable(folder)
        yield folder


def requirements(model: Model) -> list[str]:
    """The model's own and the runtime's, as in the environments of the runner `venv`."""
    own = [line.strip() for line in model.artifact.requirements]
    return [*own, *environment.runtime(CODE / "requirements.txt", own)]


def python_version(model: Model) -> str:
    return environment.short(model.artifact.python_version)


def arguments(model: Model, torch: str | None) -> dict[str, str]:
    """The build's arguments: the Python, and where packages come from. `torch`: cpu, cu128, ..., None: a CPU build."""
    try:
        given = packages.install_arguments(requirements(model), python_version(model))
    except PackagesError as error:
        raise ConfigurationError(str(error)) from None
    pages = [link for link in packages.find_links() if not _folder(link)]
    found = {
        "PYTHON": python_version(model),
        "UV": subprocess.run([packages.find_uv(), "--version"], capture_output=True, text=True).stdout.split()[1],
        "UV_FIND_LINKS": ",".join([WHEELS, *pages]),
        "BUILD_PACKAGES": os.environ.get("INFERENCE_BUILD_PACKAGES", ""),
    }
    if "--default-index" in given:
        found["UV_DEFAULT_INDEX"] = given[given.index("--default-index") + 1]
    backend = torch or ("cpu" if "--torch-backend=cpu" in given else "")
    return {**found, "UV_TORCH_BACKEND": backend} if backend else found


def local_wheels(wanted: Sequence[str], python: str) -> list[Path]:
    """Of the wheels in this machine's folders, those that resolving `wanted` chooses: the build cannot see them."""
    folders = [folder for folder in map(_folder, packages.find_links()) if folder]
    wheels = [wheel for folder in folders for wheel in folder.glob("*.whl")]
    if not wheels:
        return []
    command = [packages.find_uv(), "pip", "compile", "-", "--quiet", "--no-annotate", "--no-header"]
    command += ["--python-version", python, "--python-platform", f"{platform.machine()}-manylinux_2_36"]
    command += packages.install_arguments(wanted, python)
    given = packages.listed(wanted)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write("\n".join(given.constraints))
        constraints.flush()
        command += ["--constraint", constraints.name]
        resolved = subprocess.run(command, input="\n".join(given.requirements), capture_output=True, text=True)
    if resolved.returncode:
        raise ConfigurationError(
            f"the requirements {', '.join(wanted)} cannot be resolved. uv says:\n{resolved.stderr}"
        )
    pins = {tuple(line.split("==")) for line in [*resolved.stdout.split(), *given.build] if "==" in line}
    return sorted(wheel for wheel in wheels if _chosen(wheel, pins, python))


def _chosen(wheel: Path, pins: set[tuple[str, ...]], python: str) -> bool:
    name, version, *_, interpreter, abi, _platform = wheel.stem.split("-")
    mine = "cp" + python.replace(".", "")
    fits = mine in interpreter.split(".") or "py3" in interpreter.split(".") or abi == "abi3"
    return fits and (re.sub(r"[-_.]+", "-", name).lower(), version) in pins


def _folder(link: str) -> Path | None:
    path = Path(link.removeprefix("file://"))
    return path if path.is_dir() else None


def _readable(folder: Path) -> None:
    """For the image's user, whatever the umask here; and equal layers for equal files."""
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
