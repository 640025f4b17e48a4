"""Which seeds have passed on this very code: what an interrupted `make chaos SEEDS=200` need not do again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".state" / "chaos"


def digest() -> str:
    """Of everything that a verdict depends on."""
    total = hashlib.sha256()
    for folder, pattern in (("inference", "*.py"), ("sql", "**/*.sql"), ("chaos", "*.py")):
        for path in sorted((ROOT / folder).glob(pattern)):
            total.update(f"{path.name}\0".encode() + path.read_bytes())
    return total.hexdigest()[:16]


class Ledger:
    def __init__(self, mutant: str) -> None:
        STATE.mkdir(parents=True, exist_ok=True)
        self._file = STATE / f"passed-{digest()}{mutant and '-' + mutant}.json"
        self.passed: dict[str, str] = json.loads(self._file.read_text()) if self._file.exists() else {}

    def note(self, seed: int, line: str) -> None:
        self.passed[str(seed)] = line
        draft = self._file.with_suffix(".draft")
        draft.write_text(json.dumps(self.passed, ensure_ascii=False, indent=0))
        draft.replace(self._file)
