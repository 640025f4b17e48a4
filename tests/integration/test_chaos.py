"""Some seeds of `make chaos`, always the same: each kind of fault is among them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SEEDS = (4, 7, 18, 55, 233, 274, 307, 321)


def test_fixed_seeds() -> None:
    environment = {**os.environ, "SEED": " ".join(map(str, SEEDS))}
    command = [sys.executable, "-m", "chaos"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True)
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    assert done.stdout.endswith(f"{len(SEEDS)} seeds, {len(SEEDS)} passed, 0 failed\n")
