"""Read: chunks of a shard's rows, bounded in rows and in bytes, each in a transaction of its own."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from typing import Any, Optional, Union

import numpy as np
import psycopg2
from psycopg2 import extensions, extras, sql
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DataError, ProgrammingError

from inference import binary, queries, signature, source
from inference.bisect import bisect
from inference.database import PREDICTIONS, Databases
from inference.errors import RetryableError, SourceError, WorkLost
from inference.queries import column, expression, fill
from inference.rows import HASH, Chunk, Lost, Rows, join, quarantined
from inference.session import Session
from inference.source import Column
from inference.work import Shard, Work, register

SQL = queries.load("read")

# A value that cannot be read (an expression that fails on it, text that is no UTF-8, a date that
# Python has not) is the row's fault; anything else is not.
FAULTS = (DataError, psycopg2.DataError, ValueError, OverflowError)


# Type of a source column and NumPy type of the model's input, where every value means the same in both. The driver
# reads a float4 by its shortest decimal form, which is another number in double precision: that pair is not here.
_AS_SENT = {
    ("bool", "bool"), ("int2", "int32"), ("int2", "int64"), ("int2", "float64"), ("int4", "int32"), ("int4", "int64"),
    ("int4", "float64"), ("int8", "int64"), ("float4", "float32"), ("float8", "float64"),
}  # fmt: skip

_MOMENTS = {1082: extensions.PYDATE, 1114: extensions.PYDATETIME, 1184: extensions.PYDATETIMETZ}


class _Repeated(Exception):
    """The source gives a key more than once."""

    def __init__(self, ordinal: int, rows: int) -> None:
        super().__init__(ordinal, rows)
        self.ordinal, self.rows = ordinal, rows


class Reader:
    """Reads one shard's rows in order. Belongs to one thread."""

    def __init__(self, databases: Databases, work: Work) -> None:
        self._work = work
        self._names = [f"key{number + 1}" for number in range(len(work.source["key"]))]
        self._here = Session(
            databases, PREDICTIONS, lambda connection: _prepare(connection, work.shard), work.page_timeout
        )
        self._there: Optional[Session] = None
        if not databases.same(work.source["connection"], PREDICTIONS):
            self._there = Session(databases, work.source["connection"], _read_exactly, work.page_timeout)
        self._columns: dict[str, Column] = {}
        self._layout: Optional[binary.Layout] = None  # of pages whose inputs all have a fixed size
        self._octets_left = 0  # of the chunk that is being read
        self._fixed_octets = source.FIXED_OCTETS * len(work.source["inputs"])  # of a row of such inputs

    def chunks(self) -> Iterator[Chunk]:
        """From the committed cursor to the end of the shard. Raises ModelError if the source has changed since plan."""
        session = self._there or self._here
        self._columns = session.attempt(lambda connection: source.describe(connection, self._work.source))
        signature.match(
            self._work.signature, self._columns, self._work.source["inputs"], f"{self._work.shard}: the model"
        )
        self._layout = _layout(self._work, self._columns)
        after, shard = self._work.shard.cursor, self._work.shard
        while after < shard.last:
            try:
                chunk = self._chunk(after, min(after + self._work.sizes["chunk_rows"], shard.last))
            except _Repeated as repeated:
                raise self._named(repeated) from None
            yield chunk
            after = chunk.upto

    def close(self) -> None:
        for session in (self._here, self._there):
            if session:
                session.close()

    def _chunk(self, after: int, upto: int) -> Chunk:
        """The rows after `after` up to `upto`, or as many of the first as the byte budget allows."""
        read, lost, last = [], [], after
        self._octets_left = self._work.sizes["chunk_bytes"]
        for part, outcome in bisect(range(after + 1, upto + 1), self._page, FAULTS):
            found = self._alone(part) if isinstance(outcome, BaseException) else outcome
            if isinstance(found, Lost):
                lost.append(found)
                last = part[0]
            else:
                if len(found.rows):
                    read.append(found.rows)
                lost += found.lost
                last = found.upto
                if last < part[-1] or self._octets_left <= 0:
                    break
        return Chunk(after, last, join(read) if read else self._none(), lost)

    def _page(self, ordinals: range) -> Chunk:
        """One query; as many of the first of `ordinals` as the byte budget allows."""
        after, upto = ordinals[0] - 1, ordinals[-1]
        if self._layout is not None:
            upto = min(upto, after + max(1, self._octets_left // self._fixed_octets))
        session, relation, values = self._listed(after, upto)
        values = {**values, "octets": self._octets_left}  # the same when a lost connection makes it read again
        page = None
        try:
            if self._layout is not None:
                page = session.attempt(lambda connection: self._fetch_numbers(connection, relation, values))
            if page is None:
                page = session.attempt(lambda connection: self._fetch(connection, relation, values))
        except (*FAULTS, ProgrammingError, psycopg2.ProgrammingError):
            session.attempt(self._refuse_changed)  # a migration is not the fault of the rows
            raise
        if not len(page.rows) and not page.lost:
            raise WorkLost(
                f"{self._work.shard}: work tables lost: Postgres restarted and emptied them. The next run plans "
                "the same rows again"
            )
        return page

    def _alone(self, ordinals: range) -> Union[Chunk, Lost]:
        """A row that cannot be read, once more: the value that is no good and its hash must be of one moment."""
        session, relation, values = self._listed(ordinals[0] - 1, ordinals[0])
        values = {**values, "octets": self._octets_left}

        def read(connection: Connection) -> Union[Chunk, Lost]:
            queries.run(connection, SQL["one_moment"])
            found = self._hash(connection, relation, values)
            try:
                with connection.begin_nested():
                    return self._fetch(connection, relation, values)
            except FAULTS as error:
                return quarantined(ordinals[0], found, error)

        return session.attempt(read)

    def _hash(
        self, connection: Connection, relation: dict[str, sql.Composable], values: dict[str, Any]
    ) -> Optional[bytes]:
        """The hash of one row's present input, without reading it; None where nothing is hashed, or that fails too."""
        parts = {
            **self._joined(relation),
            "hash": source.input_hash(self._work.source, queries.columns(self._work.source["inputs"], "s")),
        }
        try:
            with connection.begin_nested():
                found = queries.run(connection, SQL["hash"], parts, **values).scalar()
        except FAULTS:
            return None
        return found and bytes.fromhex(found.replace("-", ""))

    def _fetch(self, connection: Connection, relation: dict[str, sql.Composable], values: dict[str, Any]) -> Chunk:
        section, inputs = self._work.source, self._work.source["inputs"]
        names = [f"in{number + 1}" for number in range(len(inputs))]
        parts = {
            **self._joined(relation),
            "hash": source.input_hash(section, queries.columns(names)),
            "inputs": queries.columns(names),
            "source_inputs": sql.SQL(", ").join(
                fill("{one} AS {name}", one=column(one, "s"), name=column(name)) for one, name in zip(inputs, names)
            ),
            "octets": source.octets([self._columns[name] for name in inputs], "s"),
        }
        rows = list(queries.run(connection, SQL["page"], parts, **values).cursor.fetchall())
        self._refuse_changed(connection)
        if not rows:
            return Chunk(values["after"], values["upto"], self._none(), [])
        self._octets_left = values["octets"] - int(rows[-1][2])
        _refuse_repeated([row[0] for row in rows])
        present = [row for row in rows if row[1]]
        gone = [Lost(row[0], "vanished") for row in rows if not row[1]]
        if not present:
            return Chunk(values["after"], rows[-1][0], self._none(), gone)
        ordinals, _, _, hashes, *columns = map(list, zip(*present))
        hashed = None if section["changes"] == "none" else bytes.fromhex("".join(hashes).replace("-", ""))
        read = Rows(np.array(ordinals, np.int64), hashed and np.frombuffer(hashed, HASH), columns)
        return Chunk(values["after"], rows[-1][0], read, gone)

    def _fetch_numbers(
        self, connection: Connection, relation: dict[str, sql.Composable], values: dict[str, Any]
    ) -> Optional[Chunk]:
        """The same for inputs of a fixed size, as arrays and without a look at each value; None if some are NULL."""
        assert self._layout is not None
        section, inputs = self._work.source, self._work.source["inputs"]
        parts = {
            **self._joined(relation),
            "hash": source.input_hash(section, queries.columns(inputs, "s")),
            "inputs": sql.SQL(", ").join(_sent(self._columns[name]) for name in inputs),
        }
        statement = queries.text(connection, fill(SQL["page_of_numbers"], **parts))
        cursor, data = connection.connection.cursor(), io.BytesIO()
        cursor.copy_expert(cursor.mogrify(statement, {"": None, **values}), data)
        self._refuse_changed(connection)
        columns = self._layout.decode(data.getvalue())
        if columns is None:
            return None
        ordinals, present, *columns = columns
        order = np.argsort(ordinals, kind="stable")
        _refuse_repeated(ordinals)
        self._octets_left = values["octets"] - self._fixed_octets * len(ordinals)
        gone = [Lost(int(ordinal), "vanished") for ordinal in ordinals[order][~present[order]]]
        order = order[present[order]]
        hashes = None if section["changes"] == "none" else columns.pop(0)[order]
        return Chunk(
            values["after"], values["upto"], Rows(ordinals[order], hashes, [one[order] for one in columns]), gone
        )

    def _none(self) -> Rows:
        return Rows(np.array([], np.int64), None, [[] for _ in self._work.source["inputs"]])

    def _joined(self, relation: dict[str, sql.Composable]) -> dict[str, sql.Composable]:
        """The work list's rows and the source's, joined by key."""
        key = self._work.source["key"]
        conditions = [
            fill("{one} = {name}", one=column(one, "s"), name=column(name, "w")) for one, name in zip(key, self._names)
        ]
        if self._work.dense:
            parts = {"key": column(key[0]), "work_key": column(self._names[0]), "work": relation["work"]}
            conditions.append(fill(SQL["in_range"], **parts))
        return {
            **relation,
            "key": column(key[0]),
            "rows": source.rows(self._work.source),
            "joined": sql.SQL(" AND ").join(conditions),
        }

    def _named(self, repeated: _Repeated) -> SourceError:
        shard, bounds = self._work.shard, {"after": repeated.ordinal - 1, "upto": repeated.ordinal}
        work = queries.work_table(f"work_{shard.run_id}_{shard.generation}")
        ((_, *key),) = self._here.attempt(lambda connection: self._keys(connection, work, bounds))
        return SourceError(
            f"{shard}: the source gives the key ({', '.join(key)}) {repeated.rows} times, where plan found one row "
            "that is pending. Choose a key that is unique, or make the view give each row once"
        )

    def _refuse_changed(self, connection: Connection) -> None:
        """Asked after a page is read, whose lock still holds migrations off: was it read as what it was taken for?"""
        now = source.describe(connection, self._work.source)
        for name in (*self._work.source["key"], *self._work.source["inputs"]):
            if now[name].type != self._columns[name].type:
                raise RetryableError(
                    f"{self._work.shard}: the source's column {name!r} was {self._columns[name].type} when this "
                    f"attempt began and is {now[name].type} now: a retry begins with that, if the model takes it"
                )

    def _listed(self, after: int, upto: int) -> tuple[Session, dict[str, sql.Composable], dict[str, Any]]:
        """Where to ask for these ordinals, the work list there, and what it binds."""
        shard, bounds = self._work.shard, {"after": after, "upto": upto}
        name = queries.work_table(f"work_{shard.run_id}_{shard.generation}")
        if self._there is None:
            return self._here, {"work": name, "selected": sql.SQL(SQL["selected"])}, bounds
        keys = self._here.attempt(lambda connection: self._keys(connection, name, bounds))
        relation, values = self._sent(keys)
        return self._there, relation, {**bounds, **values}

    def _keys(self, connection: Connection, work: sql.Composable, bounds: dict[str, Any]) -> list[tuple[Any, ...]]:
        keys = sql.SQL(", ").join(fill("{name}::text", name=column(name, "w")) for name in self._names)
        parts = {"work": work, "keys": keys}
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


def _refuse_repeated(ordinals: Any) -> None:
    found, rows = np.unique(ordinals, return_counts=True)
    if len(found) < len(ordinals):
        raise _Repeated(int(found[rows.argmax()]), int(rows.max()))


def _layout(work: Work, columns: dict[str, Column]) -> Optional[binary.Layout]:
    """How a page of numbers is sent; None unless each input is one that the model is given as it is sent."""
    declared = {item.name: item.dtype for item in work.signature.inputs}
    kinds = [columns[name].kind for name in work.source["inputs"]]
    if any((kind, declared[name]) not in _AS_SENT for kind, name in zip(kinds, work.source["inputs"])):
        return None
    hashed = None if work.source["changes"] == "none" else "V16"
    return binary.Layout([">i8", "?", hashed, *(binary.SENT[kind] for kind in kinds)])


def _sent(one: Column) -> sql.Composable:
    """A number as the model gets it: a missing float is NaN there."""
    value = column(one.name, "s")
    return fill(SQL["nan"], value=value) if one.kind.startswith("float") else value


def _prepare(connection: Connection, shard: Shard) -> None:
    register(connection, shard)
    _read_exactly(connection)


def _read_exactly(connection: Connection) -> None:
    """The driver would make `infinity` the last moment that Python has, and `1e400` in JSON infinite: other values."""
    raw: Any = connection.connection.dbapi_connection
    for oid, cast in _MOMENTS.items():
        extensions.register_type(_finite(oid, cast), raw)
    extras.register_default_json(raw, loads=_json)
    extras.register_default_jsonb(raw, loads=_json)


def _json(text: str) -> Any:
    return json.loads(text, parse_float=_number)


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:80]} is out of range for the double precision that numbers in JSON are read in")
    return number


def _finite(oid: int, cast: Any) -> Any:
    def read(value: Any, cursor: Any) -> Any:
        if value in ("infinity", "-infinity"):
            raise ValueError(f"{value} is no moment that a model can be given")
        return cast(value, cursor)

    return extensions.new_type((oid,), "MOMENT", read)
