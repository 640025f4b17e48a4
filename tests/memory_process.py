"""One shard in a process of its own, with a model that costs nothing: what it needs is the pipeline's own memory.

python -m tests.memory_process RUN GENERATION SHARD
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd

from inference import shard
from inference.database import Databases


class Trivial:
    def predict(self, data: pd.DataFrame) -> Any:
        return np.ones(len(data))


if __name__ == "__main__":
    shard.run(Databases(), *map(int, sys.argv[1:4]), lambda work: Trivial())
