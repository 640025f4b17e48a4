"""Write: a chunk's outcomes and the shard's progress, in one transaction; the latest attempt wins."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence

import psycopg2
from sqlalchemy.engine import Connection

from inference import queries
from inference.bisect import bisect
from inference.database import PREDICTIONS, Databases
from inference.encode import escape
from inference.predict import Outcome, Scored
from inference.session import Session
from inference.work import SQL, Work, identity, register, taken_over


class Writer:
    """Commits one shard's chunks in order. Belongs to one thread."""

    def __init__(self, databases: Databases, work: Work) -> None:
        self._shard = work.shard
        self._cursor = work.shard.cursor
        self._outputs = [item.name for item in work.signature.outputs]
        self._session = Session(databases, PREDICTIONS, lambda connection: register(connection, work.shard))

    def commit(self, scored: Scored, seconds: float, held: int, peak: int) -> None:
        """Write one chunk. Raises TakenOver, and writes nothing, if a later attempt owns the shard.

        `seconds` spent on the chunk; `held` and `peak` memory of this process in bytes.
        """
        values = {
            **identity(self._shard), "from": self._cursor, "to": scored.upto,
            "calls": scored.calls, "batch": scored.batch_rows, "seconds": seconds, "held": held, "peak": peak,
        }  # fmt: skip

        def write(connection: Connection) -> None:
            if self._committed(connection, scored.upto):
                return  # the answer to an earlier COMMIT was lost; it took effect
            self._copy_all(connection, scored.outcomes)
            if queries.run(connection, SQL["advance"], **values).rowcount != 1:
                raise taken_over(self._shard)

        self._session.attempt(write)
        self._cursor = scored.upto

    def alive(self) -> None:
        """A sign of life while the model works."""
        self._session.attempt(
            lambda connection: queries.run(connection, SQL["alive"], **identity(self._shard)) and None
        )

    def close(self) -> None:
        self._session.close()

    def _committed(self, connection: Connection, upto: int) -> bool:
        row = queries.run(connection, SQL["position"], **identity(self._shard)).first()
        if row is None or row.attempt != self._shard.attempt:
            raise taken_over(self._shard)
        return bool(row.cursor == upto)

    def _copy_all(self, connection: Connection, outcomes: Sequence[Outcome]) -> None:
        """COPY all outcomes; those that Postgres refuses are quarantined with its reason."""
        for part, fault in bisect(outcomes, lambda rows: self._copy(connection, rows), (psycopg2.DataError,)):
            if isinstance(fault, BaseException):
                message = str(fault).splitlines()[0]
                refused = dataclasses.replace(
                    part[0], outcome="quarantined", error=type(fault).__name__, message=message, outputs=()
                )
                self._copy(connection, [refused])

    def _copy(self, connection: Connection, outcomes: Sequence[Outcome]) -> None:
        parts = {
            "result": queries.table(f"result_{self._shard.run_id}_{self._shard.generation}"),
            "outputs": queries.columns(self._outputs),
        }
        statement = queries.text(connection, queries.fill(SQL["copy_result"], **parts)).replace("%%", "%")
        with connection.begin_nested():
            connection.connection.cursor().copy_expert(statement, self._lines(outcomes))

    def _lines(self, outcomes: Sequence[Outcome]) -> io.StringIO:
        lines = io.StringIO()
        nothing = [None] * len(self._outputs)
        for item in outcomes:
            fields = (item.outcome, item.input_hash, item.error, item.message, *(item.outputs or nothing))
            lines.write("\t".join([str(item.ordinal), *map(escape, fields)]) + "\n")
        lines.seek(0)
        return lines
