"""The folder of fetched models and of environments."""

from __future__ import annotations

import os
from pathlib import Path

from .root import ROOT


def folder() -> Path:
    """INFERENCE_STATE, or `.state` beside the code."""
    given = os.environ.get("INFERENCE_STATE")
    return Path(given) if given else ROOT / ".state"


def model_folder(digest: str) -> Path:
    return folder() / "models" / digest
