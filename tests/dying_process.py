"""`python -m inference shard` with a stub model that ends its process, or hangs, on the rows that say so.

python -m tests.dying_process shard --run RUN --generation GENERATION --shard SHARD
"""

from __future__ import annotations

import faulthandler
import os
import re
import subprocess
import sys
import time

import pandas as pd

from inference.shard import command
from tests.stub import Digest


def leave_a_child() -> None:
    """It holds the process's output open."""
    print(f"child {subprocess.Popen(['sleep', '120']).pid}", flush=True)
    os._exit(4)


DEATHS = {
    "leave a child": leave_a_child,
    "segfault": lambda: faulthandler._sigsegv(),  # type: ignore[attr-defined]
    "exit 3": lambda: os._exit(3),
    "exit 0": lambda: os._exit(0),
    "sys.exit": lambda: sys.exit(65),
    "sleep": lambda: time.sleep(3600),
    "backtrack": lambda: re.match(r"(a+)+$", "a" * 60 + "b"),  # keeps the interpreter's lock
}


class Dying(Digest):
    def predict(self, data: pd.DataFrame) -> pd.DataFrame:
        for text in data["text"]:
            for name, die in DEATHS.items():
                if text.startswith(name):
                    die()
        return super().predict(data)


if __name__ == "__main__":
    command.load = lambda work: Dying()  # type: ignore[assignment]
    sys.exit(command.main(sys.argv[2:]))
