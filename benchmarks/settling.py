"""How many of a shard's rows are scored before its batches have found their size."""

from __future__ import annotations

from benchmarks.lap import Lap
from benchmarks.workload import Workload
from inference import pipeline
from inference.base.database import PREDICTIONS, Databases
from inference.jobs.request import Request
from inference.schema.lease import Caller
from inference.scoring.batch_size import BatchSize
from inference.shard import command, shard


class Counted(BatchSize):
    """Counts the rows of the calls until no size is tried any more."""

    rows_tried = 0

    def observe(self, rows: int, dearest: float, cost: float, seconds: float) -> None:
        if self._trying:
            Counted.rows_tried += rows
        super().observe(rows, dearest, cost, seconds)


def run(url: str, workload: Workload) -> Lap:
    """The only shard of a first run, in this process; `stages` holds the share of its rows."""
    databases = Databases({PREDICTIONS: url})
    job = workload.job(sizes={"max_shards": 1})
    planned = pipeline.plan(databases, job, Request(), Caller.command_line())
    shard.BatchSize = Counted  # type: ignore[attr-defined]
    Counted.rows_tried = 0
    shard.run(databases, planned.run_id, planned.generation, planned.shards[0], command.load)
    return Lap(0.0, stages={"settled": Counted.rows_tried / planned.planned})
