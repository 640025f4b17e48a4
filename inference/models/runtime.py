"""The package that runs beside a model: the rooms of the model's side, under a name of its own.

A model may bring modules of any name, `inference` included. So the package has another name where a model is loaded,
and its modules import one another by relative names only.

<state>/runtime/<digest>/prediction_runtime    the rooms, and the modules at the top that they need
<state>/runtime/<digest>/sql                   the SQL files of those rooms
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from inference.base import state_folder
from inference.base.digest import digest
from inference.base.root import ROOT

PACKAGE = "prediction_runtime"
ROOMS = ("base", "scoring", "shard")  # these run on Python 3.9, and import nothing of the other rooms
_TOP = ("__init__.py", "__main__.py", "errors.py")


def copy(target: Path) -> None:
    """Write the package and its SQL files into the folder `target`, which must be empty."""
    package = target / PACKAGE
    package.mkdir(parents=True)
    for name in _TOP:
        shutil.copy(ROOT / "inference" / name, package)
    for room in ROOMS:
        shutil.copytree(ROOT / "inference" / room, package / room, ignore=shutil.ignore_patterns("__pycache__"))
        if (ROOT / "sql" / room).exists():
            shutil.copytree(ROOT / "sql" / room, target / "sql" / room)


def folder() -> Path:
    """A folder of the state that holds the package, for PYTHONPATH; made if it is missing."""
    parent = state_folder.folder().absolute() / "runtime"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix="copy-") as temporary:
        draft = Path(temporary) / "runtime"
        copy(draft)
        made = parent / digest(draft)[:16]
        if not made.exists():
            try:
                os.rename(draft, made)
            except OSError:  # another process has made it in the meantime
                if not made.exists():
                    raise
    return made


def code() -> str:
    """The digest of the package, to tell an image that carries another one."""
    with tempfile.TemporaryDirectory() as temporary:
        copy(Path(temporary) / "runtime")
        return digest(Path(temporary) / "runtime")
