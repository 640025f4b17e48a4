"""Write: a chunk's outcomes and the shard's progress, in one transaction; the latest attempt wins."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import IO, Any

import numpy as np
import psycopg2
from psycopg2 import sql
from sqlalchemy.engine import Connection

from ..base import queries
from ..base.bisect import bisect
from ..base.database import Databases, write_words
from ..base.outputs import Output
from ..scoring.copy_text import NULL, encoder, escape
from ..scoring.rows import Column, Lost, Rows, Scored, hash_of, join, plain, quarantined
from .attempt import SQL, Work, identity, taken_over
from .attempt import session as work_session
from .copy_binary import RESULTS, Layout

PREDICTED = b"predicted"


class Writer:
    """Commits one shard's chunks in order. Belongs to one thread."""

    def __init__(self, databases: Databases, work: Work) -> None:
        self._shard = work.shard
        self._cursor = work.shard.cursor
        self._outputs = work.signature.outputs
        self._session = work_session(databases, work)

    def commit(self, scored: Scored, seconds: float, held: int, peak: int) -> None:
        """Write one chunk. Raises TakenOver, and writes nothing, if a later attempt owns the shard.

        `seconds` spent on the chunk; `held` and `peak` memory of this process in bytes.
        """
        values = {
            **identity(self._shard), "from": self._cursor, "to": scored.upto,
            "calls": scored.calls, "batch": scored.batch_size, "seconds": seconds, "held": held, "peak": peak,
        }  # fmt: skip

        def write(connection: Connection) -> None:
            if self._committed(connection, scored.upto):
                return  # the answer to an earlier COMMIT was lost; it took effect
            self._copy_all(connection, scored)
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

    def _copy_all(self, connection: Connection, scored: Scored) -> None:
        """COPY all outcomes; predictions that Postgres refuses are quarantined with its reason."""
        lost = list(scored.lost)
        if scored.predicted:
            for part, fault in bisect(
                self._join(scored.predicted), lambda rows: self._copy_predicted(connection, rows), (psycopg2.DataError,)
            ):
                if isinstance(fault, BaseException):
                    lost.append(quarantined(int(part.ordinals[0]), hash_of(part), _first_line(fault)))
        if lost:
            write_words(
                connection, lambda fitting: self._copy(connection, SQL["copy_lost"], _lost_lines(lost, fitting))
            )

    def _join(self, parts: list[Rows]) -> Rows:
        """A chunk's batches as one. Some may hold an array where others, in which a value is missing, hold texts."""
        mixed = [
            len({isinstance(column, np.ndarray) for column in columns}) > 1
            for columns in zip(*(part.columns for part in parts))
        ]
        if not any(mixed):
            return join(parts)
        return join([self._with_texts(part, mixed) for part in parts])

    def _with_texts(self, rows: Rows, wanted: list[bool]) -> Rows:
        columns = [
            _texts(item, column) if text else column for item, column, text in zip(self._outputs, rows.columns, wanted)
        ]
        return Rows(rows.ordinals, rows.hashes, columns)

    def _copy_predicted(self, connection: Connection, rows: Rows) -> None:
        binary = all(isinstance(column, np.ndarray) for column in rows.columns)
        data = io.BytesIO(self._records(rows)) if binary else self._lines(rows)
        self._copy(connection, SQL["copy_numbers" if binary else "copy_predicted"], data)

    def _copy(self, connection: Connection, block: str, data: IO[Any]) -> None:
        parts: dict[str, sql.Composable] = {
            "result": queries.work_table(f"result_{self._shard.run_id}_{self._shard.generation}"),
            "outputs": queries.columns([item.name for item in self._outputs]),
        }
        statement = queries.text(connection, queries.fill(block, **parts)).replace("%%", "%")
        with connection.begin_nested():
            connection.connection.cursor().copy_expert(statement, data)

    def _records(self, rows: Rows) -> bytes:
        """COPY's binary format."""
        codes = [RESULTS[item.type] for item in self._outputs]
        hashed = [] if rows.hashes is None else [rows.hashes]
        layout = Layout([">i8", f"S{len(PREDICTED)}", "V16" if hashed else None, *codes])
        return layout.encode([rows.ordinals, PREDICTED, *hashed, *rows.columns])

    def _lines(self, rows: Rows) -> io.StringIO:
        """COPY's text format."""
        columns = [_texts(item, values) for item, values in zip(self._outputs, rows.columns)]
        hashes = repeat(NULL) if rows.hashes is None else _hexadecimal(rows.hashes.tobytes())
        fields: list[Iterable[str]] = [map(str, rows.ordinals.tolist()), repeat(PREDICTED.decode()), hashes]
        lines = map("\t".join, zip(*fields, *(map(escape, column) for column in columns)))
        return io.StringIO("".join(line + "\n" for line in lines))


def _texts(item: Output, values: Column) -> Column:
    """A column as Postgres reads it."""
    return list(map(encoder(item.type), plain(values))) if isinstance(values, np.ndarray) else values


def _hexadecimal(data: bytes) -> Iterator[str]:
    text = data.hex()
    return (text[start : start + 32] for start in range(0, len(text), 32))


def _lost_lines(lost: list[Lost], fitting: Callable[[str], str]) -> io.StringIO:
    lines = io.StringIO()
    for item in lost:
        hashed = None if item.input_hash is None else item.input_hash.hex()
        error, message = (said and fitting(said) for said in (item.error, item.message))
        fields = (item.outcome, hashed, error, message)
        lines.write("\t".join([str(item.ordinal), *map(escape, fields)]) + "\n")
    lines.seek(0)
    return lines


def _first_line(error: BaseException) -> BaseException:
    """What Postgres says, without the line of COPY where it happened."""
    return type(error)(str(error).splitlines()[0])
