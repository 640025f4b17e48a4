"""Messages as the company's rows: real ones where the data folder is, else the examples' own."""

from __future__ import annotations

import csv
from pathlib import Path

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "data" / "ko_intent_3i4k.csv"


def messages() -> list[str]:
    path = REAL if REAL.exists() else ROOT / "examples" / "intent" / "messages.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        return [row["text"] for row in csv.DictReader(stream)]
