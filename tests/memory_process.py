"""One shard in a process of its own, with a model that costs nothing: what it needs is the pipeline's own memory.

python -m tests.memory_process RUN GENERATION SHARD

How many chunks meet in memory is a matter of chance, and the peak with them. So the first commit waits here until every
place between reading and writing is taken, which is the most that there can ever be.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from inference.base.database import Databases
from inference.scoring.predict import Scorer
from inference.scoring.rows import Chunk, Scored
from inference.shard import shard
from inference.shard.read import Reader
from inference.shard.write import Writer

SCORED = shard.QUEUED + 2  # one is being written, QUEUED wait, one finds no room
READ = SCORED + shard.QUEUED + 1  # QUEUED more wait, and one finds no room


class Occupied:
    """Chunks that have come this far; `over` when there are no more to read."""

    def __init__(self) -> None:
        self.read = self.scored = 0
        self.over = False
        self._changed = threading.Condition()

    def note(self, **values: Any) -> None:
        with self._changed:
            self.__dict__.update(values)
            self._changed.notify_all()

    def wait(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.over or (self.read >= READ and self.scored >= SCORED))


places = Occupied()


class CountingReader(Reader):
    def chunks(self) -> Iterator[Chunk]:
        for chunk in super().chunks():
            places.note(read=places.read + 1)
            yield chunk
        places.note(over=True)


class CountingScorer(Scorer):
    def score(self, chunk: Chunk) -> Scored:
        scored = super().score(chunk)
        places.note(scored=places.scored + 1)
        return scored


class WaitingWriter(Writer):
    def commit(self, *arguments: Any) -> None:
        places.wait()
        super().commit(*arguments)


class Trivial:
    def predict(self, data: pd.DataFrame) -> Any:
        return np.ones(len(data))


if __name__ == "__main__":
    shard.Reader, shard.Scorer, shard.Writer = CountingReader, CountingScorer, WaitingWriter  # type: ignore[misc]
    shard.run(Databases(), *map(int, sys.argv[1:4]), lambda work: Trivial())
