"""Virtual environments for models: one per Python version and list of requirements.

<state>/environments/<digest>/            bin/python and the packages
<state>/environments/<digest>/complete    written last: what `uv pip freeze` said
<state>/environments/<digest>.lock        held while the environment is being made

BuildError              the environment cannot be made; the message says why and what to do
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Iterator, List, Sequence

from filelock import FileLock

from inference.errors import PermanentError
from inference.models.packages import PackagesError, find_uv, install_arguments, listed, read_requirements

Log = Callable[[str], None]

MARKER = "complete"
INSTALL_SECONDS = 3600  # a download of several GB on a slow line


class BuildError(PermanentError):
    """The environment cannot be made."""


def ensure(
    python_version: str,
    requirements: Sequence[str],
    state: Path,
    runtime_requirements: Path,
    log: Log,
) -> Path:
    """The interpreter of the environment with exactly these requirements, made if missing.

    python_version: "3.11" or "3.11.7", of which the first two numbers count. requirements: the
    model's own lines, see inference/models/logged.py. They are resolved together with those of runtime_requirements,
    which must be ranges: a conflict raises BuildError with uv's explanation.
    """
    short_version = short(python_version)
    requirements = [line.strip() for line in requirements if line.strip()]
    needed = runtime(runtime_requirements, requirements)
    digest = _digest(short_version, requirements, needed)
    folder = state.absolute() / "environments" / digest
    interpreter = folder / "bin" / "python"
    if (folder / MARKER).exists():
        return interpreter
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(str(folder) + ".lock"):
        if not (folder / MARKER).exists():  # else another process made it while this one waited
            _build(folder, short_version, requirements, needed, log)
    return interpreter


def find_interpreter(version: str) -> str:
    """A Python "X.Y" of this machine: this one, then PATH, pyenv, uv's own. Else BuildError."""
    for candidate in _candidates(version):
        if _answers(candidate, version):
            return candidate
    raise BuildError(
        f"Python {version} is needed and was not found (looked at this interpreter, PATH, pyenv "
        f"and uv's own). Install it, for example with `pyenv install {version}` or "
        f"`uv python install {version}`, or log the model again under another Python."
    )


def _build(folder: Path, version: str, requirements: Sequence[str], runtime: Sequence[str], log: Log) -> None:
    started = time.monotonic()
    if folder.exists():
        log(f"removing {folder}: its installation was interrupted")
        shutil.rmtree(folder)
    interpreter = find_interpreter(version)
    log(f"making an environment for Python {version} with {len(requirements)} requirements")
    try:
        extra = install_arguments([*requirements, *runtime], version)
        _uv("venv", "--quiet", "--no-python-downloads", "--python", interpreter, str(folder))
        # Each shard is a process: without bytecode it would compile its imports again every time,
        # where PYTHONDONTWRITEBYTECODE is set or the environment cannot be written to.
        install = ["pip", "install", "--python", str(folder), "--compile-bytecode", *extra]
        given = listed(requirements)
        if given.build:
            _uv(*install, *given.build)
        wanted = _write_lines(folder / "requirements.txt", [*given.requirements, *runtime])
        constraints = _write_lines(folder / "constraints.txt", given.constraints)
        _uv(*install, "--requirement", str(wanted), "--constraint", str(constraints))
        frozen = _uv("pip", "freeze", "--python", str(folder))
    except PackagesError as error:
        raise BuildError(str(error)) from error
    except subprocess.CalledProcessError as error:
        raise BuildError(_explain(error, version, folder, requirements)) from error
    _write_lines(folder / MARKER, frozen.splitlines())
    log(f"environment {folder.name} ready after {time.monotonic() - started:.0f} s")


def _uv(*arguments: str) -> str:
    answer = subprocess.run(
        [find_uv(), *arguments], check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS
    )
    return answer.stdout


def _explain(error: subprocess.CalledProcessError, version: str, folder: Path, requirements: Sequence[str]) -> str:
    return (
        f"the environment for Python {version} with {', '.join(requirements)} cannot be installed. "
        f"uv says:\n{error.stderr.strip()}\n"
        "If versions conflict, the model's pins or inference/requirements.txt must allow a common "
        "version; if a download failed, run the same again: a half-made environment in "
        f"{folder} is not used."
    )


def runtime(path: Path, requirements: Sequence[str]) -> List[str]:
    """The runtime's lines, less those that the model's own packages stand for.

    mlflow and mlflow-skinny own the same files: installed in different versions, as with an
    mlflow that does not depend on its skinny one, the second overwrites the first.
    """
    names = {_name(line) for line in requirements}
    replaced = {"mlflow-skinny"} if "mlflow" in names else set()
    return [line for line in read_requirements(path) if _name(line) not in replaced]


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0].lower().replace("_", "-")


def _digest(version: str, requirements: Sequence[str], runtime: Sequence[str]) -> str:
    content = json.dumps([version, sorted(requirements), sorted(runtime)])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def short(version: str) -> str:
    match = re.match(r"^(3\.\d+)(?:\.\d+\w*)?$", version.strip())
    if match is None:
        raise BuildError(f"Python version {version!r} is not of the form 3.11 or 3.11.7")
    return match.group(1)


def _candidates(version: str) -> Iterator[str]:
    if "{}.{}".format(*sys.version_info) == version:
        yield sys.executable
    name = "python" + version
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if (Path(folder) / name).exists():
            yield str(Path(folder) / name)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for home in sorted(pyenv.glob(version + ".*"), reverse=True):
        yield str(home / "bin" / "python")
    found = subprocess.run(
        [find_uv(), "python", "find", "--no-python-downloads", version],
        capture_output=True,
        text=True,
    )
    if found.returncode == 0:
        yield found.stdout.strip()


def _answers(interpreter: str, version: str) -> bool:
    """Whether it runs and is that version: a shim of pyenv may be neither."""
    question = "import sys; print('{}.{}'.format(*sys.version_info))"
    try:
        answer = subprocess.run([interpreter, "-c", question], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and answer.stdout.strip() == version


def _write_lines(path: Path, lines: Sequence[str]) -> Path:
    """Whole or not at all: a reader never sees half a file, not even after a kill."""
    draft = path.with_name(path.name + ".draft")
    with draft.open("w") as file:
        file.write("".join(line + "\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return path
