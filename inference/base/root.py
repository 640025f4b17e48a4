"""The folder that holds this package and `sql`: of the project, or of what a model's image carries."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
