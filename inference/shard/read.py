"""Read: chunks of a shard's rows, bounded in rows and in bytes, each in a transaction of its own."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from typing import Any, Optional, Union

import numpy as np
import psycopg2
from psycopg2 import sql
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DataError, ProgrammingError

from ..base import matching, queries, source
from ..base.bisect import bisect
from ..base.database import PREDICTIONS, Databases
from ..base.pooler import require_session
from ..base.queries import column, fill
from ..base.source import Column
from ..base.work_names import input_names, key_names
from ..errors import RetryableError, SourceError, WorkLost
from ..scoring.rows import HASH, Chunk, Lost, Rows, join, quarantined
from . import copy_binary, sent_keys
from .attempt import Work, taken_over
from .attempt import session as work_session
from .casts import read_exactly
from .session import Session

SQL = queries.load("shard/read")

# A value that cannot be read (an expression that fails on it, text that is no UTF-8, a date that
# Python has not) is the row's fault; anything else is not.
FAULTS = (DataError, psycopg2.DataError, ValueError, OverflowError)


class Reader:
    """Reads one shard's rows in order. Belongs to one thread."""

    def __init__(self, databases: Databases, work: Work) -> None:
        self._work = work
        self._names = key_names(len(work.source["key"]))
        self._inputs = input_names(work.source)
        shard = work.shard
        self._list = queries.work_table(f"work_{shard.run_id}_{shard.generation}")
        self._here = work_session(databases, work, read_exactly)
        self._there: Optional[Session] = None
        if not work.inputs_kept and not databases.same(work.source["connection"], PREDICTIONS):
            self._there = Session(databases, work.source["connection"], read_exactly, work.page_timeout)
        self._columns: dict[str, Column] = {}
        self._layout: Optional[copy_binary.Layout] = None  # of pages whose inputs all have a fixed size
        self._null_is_nan = True  # for a column of floats
        self._octets_left = 0  # of the chunk that is being read
        self._fixed_octets = source.FIXED_OCTETS * len(work.source["inputs"])  # of a row of such inputs

    def chunks(self) -> Iterator[Chunk]:
        """From the committed cursor to the end of the shard. Raises ModelError if the source has changed since plan."""
        session = self._there or self._here
        self._columns = session.attempt(self._describe)
        names = self._work.source["inputs"]
        made = matching.match(
            self._work.signature, self._columns, names, f"{self._work.shard}: the model", self._work.nulls
        )
        kinds = [self._columns[name].kind for name in names]
        self._layout = copy_binary.of_inputs(
            kinds, matching.dtypes(made, len(names)), self._work.source["changes"] != "none"
        )
        self._null_is_nan = self._work.nulls == "nan" or made[0].input.shape is None
        after, shard = self._work.shard.cursor, self._work.shard
        while after < shard.last:
            chunk = self._chunk(after, min(after + self._work.sizes["chunk_rows"], shard.last))
            yield chunk
            after = chunk.upto

    def _describe(self, connection: Connection) -> dict[str, Column]:
        """The columns of the source, or of the inputs that plan has kept of it."""
        if not self._work.inputs_kept:
            return source.describe(connection, self._work.source)
        shard, names = self._work.shard, self._work.source["inputs"]
        kept = source.columns(connection, "prediction_work", f"work_{shard.run_id}_{shard.generation}")
        if not kept:
            raise taken_over(shard)
        return {name: kept[number] for name, number in zip(names, self._inputs)}

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
        """One query, and another one while rows seem to be gone: they are, if a later snapshot says so as well."""
        left, page = self._octets_left, self._ask(ordinals)
        while page.lost:
            before = {item.ordinal for item in page.lost}
            self._octets_left = left
            page = self._ask(range(ordinals[0], page.upto + 1))
            if before.issuperset(item.ordinal for item in page.lost):
                break
        return page

    def _ask(self, ordinals: range) -> Chunk:
        """As many of the first of `ordinals` as the byte budget allows."""
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
        """A row that cannot be read, once more: the value that is no good must be the one that its hash is of."""
        while True:
            before = self._hash(ordinals)
            try:
                return self._page(ordinals)
            except FAULTS as error:
                if self._hash(ordinals) == before:
                    return quarantined(ordinals[0], before, error)

    def _hash(self, ordinals: range) -> Optional[bytes]:
        """The hash of one row's present input, without reading it; None where nothing is hashed, or that fails too."""
        session, relation, values = self._listed(ordinals[0] - 1, ordinals[0])
        kept = self._work.inputs_kept
        hashed = column("input_hash", "w") if kept else source.input_hash(self._work.source, self._columns, "s")

        def ask(connection: Connection) -> Any:
            require_session(connection)
            parts = {**self._joined(relation), "hash": hashed}
            return queries.run(connection, SQL["hash"], parts, **values).scalar()

        try:
            found = session.attempt(ask)
        except FAULTS:
            return None
        return found and bytes.fromhex(found.replace("-", ""))

    def _fetch(self, connection: Connection, relation: dict[str, sql.Composable], values: dict[str, Any]) -> Chunk:
        require_session(connection)
        section, inputs = self._work.source, [self._columns[name] for name in self._work.source["inputs"]]
        alias, limit = "w" if self._work.inputs_kept else "s", sql.SQL(str(source.MOST_OCTETS))
        source_inputs = queries.columns(self._inputs, alias)
        hashed = column("kept_hash") if self._work.inputs_kept else source.input_hash(section, self._columns, "page")
        judged = self._work.inputs_kept and section["changes"] == "hash"
        parts = {
            **self._joined(relation),
            "hash": hashed,
            "fits": sql.SQL(SQL["kept_fits"]) if judged else fill(SQL["fits"], limit=limit),
            "inputs": sql.SQL(", ").join(fill(SQL["input"], limit=limit, name=column(name)) for name in self._inputs),
            "source_inputs": sql.SQL(SQL["kept_hash"]) + source_inputs if self._work.inputs_kept else source_inputs,
            "octets": source.octets(inputs, alias),
        }
        rows = list(queries.run(connection, SQL["page"], parts, **values).cursor.fetchall())
        self._refuse_changed(connection)
        if not rows:
            return Chunk(values["after"], values["upto"], self._none(), [])
        self._refuse_repeated(connection, [row[0] for row in rows])
        if not all(row[3] for row in rows):
            raise ValueError(f"its inputs take more than {source.MOST_OCTETS} bytes, which is more than can be read")
        self._octets_left = values["octets"] - int(rows[-1][2])
        present = [row for row in rows if row[1]]
        gone = [Lost(row[0], "vanished") for row in rows if not row[1]]
        if not present:
            return Chunk(values["after"], rows[-1][0], self._none(), gone)
        ordinals, _, _, _, hashes, *columns = map(list, zip(*present))
        octets = None if section["changes"] == "none" else bytes.fromhex("".join(hashes).replace("-", ""))
        read = Rows(np.array(ordinals, np.int64), octets and np.frombuffer(octets, HASH), columns)
        return Chunk(values["after"], rows[-1][0], read, gone)

    def _fetch_numbers(
        self, connection: Connection, relation: dict[str, sql.Composable], values: dict[str, Any]
    ) -> Optional[Chunk]:
        """The same for inputs of a fixed size, as arrays and without a look at each value; None if some are NULL."""
        assert self._layout is not None
        require_session(connection)
        section, kept = self._work.source, self._work.inputs_kept
        alias = "w" if kept else "s"
        parts = {
            **self._joined(relation),
            "hash": column("input_hash", "w") if kept else source.input_hash(section, self._columns, alias),
            "inputs": sql.SQL(", ").join(
                self._sent(self._columns[name], column(number, alias))
                for name, number in zip(section["inputs"], self._inputs)
            ),
        }
        if not kept:
            source.lock(connection, section)
        statement = queries.text(connection, fill(SQL["page_of_numbers"], **parts))
        cursor, data = connection.connection.cursor(), io.BytesIO()
        cursor.copy_expert(cursor.mogrify(statement, {"": None, **values}), data)
        self._refuse_changed(connection)
        columns = self._layout.decode(data.getvalue())
        if columns is None:
            return None
        ordinals, present, *columns = columns
        order = np.argsort(ordinals, kind="stable")
        self._refuse_repeated(connection, ordinals.tolist())
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
        """The work list's rows and the source's, joined by key; of a view, the work list has what is needed."""
        if self._work.inputs_kept:
            return {**relation, "present": sql.SQL("true"), "listed": fill("{work} w", work=relation["work"])}
        conditions = [fill("s.{name} = w.{name}", name=column(name)) for name in self._names]
        if self._work.dense and self._there is None:
            conditions.append(fill(SQL["in_range"], work=relation["work"]))
        parts = {"rows": source.rows(self._work.source), "joined": sql.SQL(" AND ").join(conditions)}
        return {
            **relation,
            "present": sql.SQL("s.present IS NOT NULL"),
            "listed": fill(SQL["joined"], work=relation["work"], **parts),
        }

    def _refuse_repeated(self, connection: Connection, ordinals: list[int]) -> None:
        if len(set(ordinals)) == len(ordinals):
            return
        repeated = [ordinal for ordinal, rows in Counter(ordinals).items() if rows > 1]
        parts = {"work": self._list, "key_text": queries.as_text(self._names, "w")}

        def ask(here: Connection) -> list[Any]:
            return list(queries.run(here, SQL["repeated"], parts, ordinals=repeated))

        found = ask(connection) if self._there is None else self._here.attempt(ask)
        examples = "; ".join(f"({', '.join(row.key)})" for row in found)
        raise SourceError(
            f"{self._work.shard}: {len(repeated)} values of source.key belong to more than one row of the source: "
            f"{examples}. They did not when the run was planned. Choose a key that is unique"
        )

    def _refuse_changed(self, connection: Connection) -> None:
        """Asked after a page is read, whose lock still holds migrations off: was it read as what it was taken for?"""
        if self._work.inputs_kept:
            return
        now = source.describe(connection, self._work.source)
        for name in (*self._work.source["key"], *self._work.source["inputs"]):
            if now[name].type != self._columns[name].type:
                raise RetryableError(
                    f"{self._work.shard}: the source's column {name!r} was {self._columns[name].type} when this "
                    f"attempt began and is {now[name].type} now: a retry begins with that, if the model takes it"
                )

    def _listed(self, after: int, upto: int) -> tuple[Session, dict[str, sql.Composable], dict[str, Any]]:
        """Where to ask for these ordinals, the work list there, and what it binds."""
        bounds = {"after": after, "upto": upto}
        if self._there is None:
            return self._here, {"work": self._list, "selected": sql.SQL(SQL["selected"])}, bounds
        keys = self._here.attempt(lambda connection: sent_keys.read(connection, self._list, self._names, bounds))
        types = [self._columns[name].type for name in self._work.source["key"]]
        relation, values = sent_keys.relation(keys, self._names, types)
        return self._there, relation, {**bounds, **values}

    def _sent(self, one: Column, value: sql.Composable) -> sql.Composable:
        """A number as the model gets it: a missing float is NaN in a DataFrame."""
        missing = self._null_is_nan and one.kind.startswith("float")
        return fill(SQL["nan"], value=value) if missing else value
