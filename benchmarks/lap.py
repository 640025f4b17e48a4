"""One run of one contestant."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sqlalchemy.engine import Connection

from benchmarks.workload import Workload, count
from inference.base.database import PREDICTIONS, Databases


@dataclass(frozen=True)
class Lap:
    """Seconds of the work, of what had to start before it, and of each stage; bytes at the peak of all processes."""

    seconds: float
    start_up: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    memory: int = 0

    def on(self, memory: int) -> Lap:
        return replace(self, memory=memory)


def timed(url: str, workload: Workload, work: Callable[[Databases, Connection], None]) -> Lap:
    """`work` in one transaction with its COMMIT; it leaves one prediction a row in `target`."""
    databases = Databases({PREDICTIONS: url})
    started = time.monotonic()
    with databases.begin(PREDICTIONS) as connection:
        work(databases, connection)
    lap = Lap(time.monotonic() - started)
    clean(databases, workload)
    return lap


def clean(databases: Databases, workload: Workload) -> None:
    """Check what a contestant has left, and remove it."""
    assert count(databases, "target") == count(databases, workload.relation)
    with databases.begin(PREDICTIONS) as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS target, work, result")
