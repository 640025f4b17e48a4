"""Eight ways to break what the pipeline promises. Each must make the harness fail: `make chaos MUTANTS=1`.

Applied only in the harness's own entry modules, which get the name from the environment variable CHAOS_MUTANT.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import numpy as np
from psycopg2 import extras
from sqlalchemy.engine import Connection

from inference.base import queries
from inference.jobs.job import Job
from inference.models.model_version import Model
from inference.planning import plan
from inference.publishing import check, publish
from inference.scoring.rows import HASH, Chunk
from inference.shard import attempt as shard_attempt
from inference.shard import read, write


def attempt() -> None:
    """The attempt is left out of the compare-and-swap, and of all else that keeps an earlier one away."""
    blocks = queries.load("shard/attempt")
    blocks["advance"] = blocks["advance"].replace("s.attempt = %(attempt)s AND ", "")
    blocks["register"] = blocks["register"].replace(" AND attempt = %(attempt)s", "")
    blocks["terminate"] = "SELECT 0"

    def committed(self: write.Writer, connection: Connection, upto: int) -> bool:
        row = queries.run(connection, blocks["position"], **shard_attempt.identity(self._shard)).one()
        return bool(row.cursor == upto)

    write.Writer._committed = committed  # type: ignore[method-assign]


def publication() -> None:
    """Publish is two transactions: the rows, then the run."""

    class Queries:
        def __getattr__(self, name: str) -> Any:
            return getattr(queries, name)

        def run(self, connection: Connection, block: str, *parts: Any, **values: Any) -> Any:
            result = queries.run(connection, block, *parts, **values)
            if block == publish.SQL["merge"]:
                connection.exec_driver_sql("COMMIT")
                connection.exec_driver_sql("BEGIN")
            return result

    publish.queries = Queries()  # type: ignore[assignment,attr-defined]


def hash_of_plan() -> None:
    """A row carries the hash that plan saw, whatever the model was given."""
    page = read.Reader._page

    def planned(self: read.Reader, ordinals: range) -> Chunk:
        chunk = page(self, ordinals)
        shard = self._work.shard
        if chunk.rows.hashes is None or not len(chunk.rows):
            return chunk

        def ask(connection: Connection) -> dict[int, bytes]:
            cursor: Any = connection.connection.cursor()
            extras.register_uuid(conn_or_curs=cursor)  # type: ignore[no-untyped-call]
            cursor.execute(
                f"SELECT ordinal, input_hash FROM prediction_work.work_{shard.run_id}_{shard.generation} "
                "WHERE ordinal = ANY (%s) AND NOT duplicate",
                (chunk.rows.ordinals.tolist(),),
            )
            return {ordinal: value.bytes for ordinal, value in cursor.fetchall()}

        found = self._here.attempt(ask)
        hashes = np.array([np.void(found[ordinal]) for ordinal in chunk.rows.ordinals.tolist()], HASH)
        return replace(chunk, rows=replace(chunk.rows, hashes=hashes))

    read.Reader._page = planned  # type: ignore[method-assign]


def watermark() -> None:
    """Pending is what came after the last published run."""
    queries.load("planning/search")["not_predicted"] = """
        CASE WHEN c.changed_at IS NULL THEN c.key1 > (SELECT coalesce(max(id), 0) FROM {target})
             ELSE c.changed_at > (SELECT coalesce(max(source_time), '-infinity') FROM prediction.run
                                  WHERE job = %(job)s AND state = 'published') END"""


def sentinel() -> None:
    """Nobody asks whether the work tables were emptied."""
    check.SQL["sentinels"] = "SELECT true"


def lock() -> None:
    """Nobody waits for whoever rewrites the source before taking a snapshot."""
    queries.load("base/source")["lock"] = "SELECT 1"


def window() -> None:
    """A window starts at the last complete run of this version and source, whatever other runs came after it."""
    queries.load("planning/plan")["last_complete"] = """
        SELECT source_time, clock_offset, true AS same FROM prediction.run
        WHERE job = %(job)s AND complete AND model_id = %(model_id)s
          AND definition->'source' = CAST(%(source)s AS jsonb)
        ORDER BY run_id DESC LIMIT 1"""


def clock() -> None:
    """Times of the source are compared whatever its clock was when they were taken, also those that are yet to come."""
    blocks, start, due = queries.load("planning/plan"), plan._window_start, plan._sweep_is_due
    blocks["last_complete"] = blocks["last_complete"].replace("r.clock_offset", "NULL AS clock_offset", 1)
    blocks["last_sweep"] = "SELECT max(source_time) FROM prediction.run WHERE job = %(job)s AND complete AND sweep"

    def window_start(here: Connection, job: Job, model: Model, clock: plan.Clock) -> datetime | None:
        return start(here, job, model, replace(clock, time=datetime.max.replace(tzinfo=timezone.utc)))

    plan._window_start = window_start
    plan._sweep_is_due = lambda here, job, now: due(here, job, datetime.now(timezone.utc))


MUTANTS: dict[str, Callable[[], None]] = {
    "attempt": attempt,
    "publication": publication,
    "hash": hash_of_plan,
    "watermark": watermark,
    "sentinel": sentinel,
    "lock": lock,
    "window": window,
    "clock": clock,
}


def apply(name: str) -> None:
    MUTANTS[name]()
