"""The digest that names a model version's files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..errors import ModelError

# Written by MLflow when it fetches a version, not part of what was logged.
_FETCHED = {"registered_model_meta"}
_BLOCK = 1 << 20  # bytes


def digest(path: Path) -> str:
    """SHA-256 over the names and contents of all files. Raises ModelError on a link, which could lead anywhere."""
    total = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        if file.is_symlink():
            raise ModelError(f"model file {file.relative_to(path)} is a link; log the file itself")
        if file.is_file() and file.name not in _FETCHED:
            total.update(f"{file.relative_to(path).as_posix()}\0{_content(file)}\n".encode())
    return total.hexdigest()


def _content(file: Path) -> str:
    content = hashlib.sha256()
    with file.open("rb") as stream:
        while True:
            block = stream.read(_BLOCK)
            if not block:
                return content.hexdigest()
            content.update(block)
