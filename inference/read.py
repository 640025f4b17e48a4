"""Read: chunks of a shard's rows, bounded in rows and in bytes, each in a transaction of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Optional, Union

import psycopg2
from psycopg2 import extensions, sql
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DataError

from inference import queries, source
from inference.bisect import bisect
from inference.database import PREDICTIONS, Databases
from inference.errors import SourceError, WorkLost
from inference.queries import column, expression, fill
from inference.session import Session
from inference.source import Column
from inference.work import Shard, Work, register

SQL = queries.load("read")

# A value that cannot be read (an expression that fails on it, text that is no UTF-8, a date that
# Python has not) is the row's fault; anything else is not.
FAULTS = (DataError, psycopg2.DataError, ValueError, OverflowError)


_MOMENTS = {1082: extensions.PYDATE, 1114: extensions.PYDATETIME, 1184: extensions.PYDATETIMETZ}


@dataclass(frozen=True)
class Row:
    """A row of the work list as read. `inputs` is None for a row that is gone or that has a `fault`."""

    ordinal: int
    input_hash: Optional[str]
    inputs: Optional[tuple[Any, ...]]
    fault: Optional[BaseException] = None


@dataclass(frozen=True)
class Chunk:
    """Rows with ordinals after `after` up to `upto`: the unit of commit."""

    after: int
    upto: int
    rows: list[Row]


class Reader:
    """Reads one shard's rows in order. Belongs to one thread."""

    def __init__(self, databases: Databases, work: Work) -> None:
        self._work = work
        self._names = [f"key{number + 1}" for number in range(len(work.source["key"]))]
        self._here = Session(databases, PREDICTIONS, lambda connection: _prepare(connection, work.shard))
        self._there: Optional[Session] = None
        if not databases.same(work.source["connection"], PREDICTIONS):
            self._there = Session(databases, work.source["connection"], _refuse_infinity)
        self._columns: dict[str, Column] = {}
        self._octets_left = 0  # of the chunk that is being read

    def chunks(self) -> Iterator[Chunk]:
        """From the committed cursor to the end of the shard."""
        session = self._there or self._here
        self._columns = session.attempt(lambda connection: source.describe(connection, self._work.source))
        after, shard = self._work.shard.cursor, self._work.shard
        while after < shard.last:
            upto = min(after + self._work.sizes["chunk_rows"], shard.last)
            rows = self._rows(range(after + 1, upto + 1))
            yield Chunk(after, rows[-1].ordinal, rows)
            after = rows[-1].ordinal

    def close(self) -> None:
        for session in (self._here, self._there):
            if session:
                session.close()

    def _rows(self, ordinals: range) -> list[Row]:
        """The rows of `ordinals`, or as many of the first as the byte budget allows."""
        rows: list[Row] = []
        self._octets_left = self._work.sizes["chunk_bytes"]
        part: Any
        for part, outcome in bisect(ordinals, self._page, FAULTS):
            if isinstance(outcome, BaseException):
                rows.append(Row(part[0], None, None, outcome))
            else:
                rows.extend(outcome)
                if len(outcome) < len(part) or self._octets_left <= 0:
                    break
        return rows

    def _page(self, ordinals: Union[range, Any]) -> list[Row]:
        bounds = {"after": ordinals[0] - 1, "upto": ordinals[-1], "octets": self._octets_left}
        if self._there is None:
            rows = self._here.attempt(lambda connection: self._fetch(connection, self._listed(), bounds))
        else:
            keys = self._here.attempt(lambda connection: self._keys(connection, bounds))
            relation, values = self._sent(keys)
            rows = self._there.attempt(lambda connection: self._fetch(connection, relation, {**bounds, **values}))
        if not rows:
            raise WorkLost(
                f"{self._work.shard}: work tables lost: Postgres restarted and emptied them. The next run plans "
                "the same rows again"
            )
        if len({row[0] for row in rows}) < len(rows):
            raise SourceError(
                f"{self._work.shard}: the source gives a key twice between ordinals {bounds['after'] + 1} and "
                f"{bounds['upto']}; it did not when the run was planned. The next run says which"
            )
        self._octets_left -= int(rows[-1][2])
        return [Row(row[0], row[3] and str(row[3]), tuple(row[4:]) if row[1] else None) for row in rows]

    def _fetch(
        self, connection: Connection, relation: dict[str, sql.Composable], values: dict[str, Any]
    ) -> list[tuple[Any, ...]]:
        section, inputs = self._work.source, self._work.source["inputs"]
        names = [f"in{number + 1}" for number in range(len(inputs))]
        octets = source.octets([self._columns[name] for name in inputs], "s")
        parts = {
            **relation,
            "hash": source.input_hash(section, queries.columns(names)),
            "inputs": queries.columns(names),
            "source_inputs": sql.SQL(", ").join(
                fill("{one} AS {name}", one=column(one, "s"), name=column(name)) for one, name in zip(inputs, names)
            ),
            "key": column(section["key"][0]),
            "octets": octets,
            "rows": source.rows(section),
            "joined": sql.SQL(" AND ").join(
                fill("{one} = {name}", one=column(one, "s"), name=column(name, "w"))
                for one, name in zip(section["key"], self._names)
            ),
        }
        return [tuple(row) for row in queries.run(connection, SQL["page"], parts, **values)]

    def _listed(self) -> dict[str, sql.Composable]:
        shard = self._work.shard
        name = queries.table(f"work_{shard.run_id}_{shard.generation}")
        return {"work": name, "selected": sql.SQL(SQL["selected"])}

    def _keys(self, connection: Connection, bounds: dict[str, Any]) -> list[tuple[Any, ...]]:
        keys = sql.SQL(", ").join(fill("{name}::text", name=column(name, "w")) for name in self._names)
        parts = {"work": self._listed()["work"], "keys": keys}
        return [tuple(row) for row in queries.run(connection, SQL["keys"], parts, **bounds)]

    def _sent(self, keys: list[tuple[Any, ...]]) -> tuple[dict[str, sql.Composable], dict[str, Any]]:
        """The keys as a relation in the source's database, and what it binds."""
        columns = list(zip(*keys)) or [()] * (1 + len(self._names))
        values = {"ordinals": list(columns[0])}
        values.update({name: list(column) for name, column in zip(self._names, columns[1:])})
        types = [self._columns[name].type for name in self._work.source["key"]]
        relation = fill(
            SQL["sent_keys"],
            keys=sql.SQL(", ").join(
                fill("{name}::{type} AS {name}", name=column(name), type=expression(kind))
                for name, kind in zip(self._names, types)
            ),
            arrays=sql.SQL(", ").join(sql.SQL(f"%({name})s::text[]") for name in self._names),
            names=queries.columns(self._names),
        )
        return {"work": relation, "selected": sql.SQL("true")}, values


def _prepare(connection: Connection, shard: Shard) -> None:
    register(connection, shard)
    _refuse_infinity(connection)


def _refuse_infinity(connection: Connection) -> None:
    """The driver would make `infinity` the last moment that Python has, which is another value."""
    raw: Any = connection.connection.dbapi_connection
    for oid, cast in _MOMENTS.items():
        extensions.register_type(_finite(oid, cast), raw)


def _finite(oid: int, cast: Any) -> Any:
    def read(value: Any, cursor: Any) -> Any:
        if value in ("infinity", "-infinity"):
            raise ValueError(f"{value} is no moment that a model can be given")
        return cast(value, cursor)

    return extensions.new_type((oid,), "MOMENT", read)
