"""The source relation: its columns, and the SQL expressions made from the job's `source` section.

Runs in Airflow's environment (plan) and in a model's (read): `source` is the section as a dict. In every query made
here the key columns are called key1, key2, ... and the inputs in1, in2, ..., so that no name can meet another.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql
from sqlalchemy.engine import Connection

from ..errors import SourceError
from . import queries
from .queries import Identifier, column, expression, fill
from .work_names import input_names, key_names

SQL = queries.load("base/source")

# Part of what is hashed: a change in how the text is made must make every row pending, not some.
HASH_FORMAT = 1

# Types whose size is known without reading the value, even when it is stored out of line.
_OCTETS = {"text", "varchar", "bpchar", "bytea"}
FIXED_OCTETS = 16  # of each, about, with what a value costs in memory
_FIXED = {"bool", "int2", "int4", "int8", "float4", "float8", "date", "timestamp", "timestamptz", "uuid"}
# A row's inputs, as `octets` counts them, from which its text form may exceed the 1 GB that Postgres allows: the text
# form of bytea has twice as many bytes, and so has a text of quotes.
MOST_OCTETS = 450_000_000


@dataclass(frozen=True)
class Column:
    """A column as the catalog has it. `kind`: name of the type below all domains, `enum`, or `_x` for an array of x.
    `base`: a type that every database has and that holds the same values."""

    name: str
    type: str
    kind: str
    collation: str | None
    required: bool
    base: str = ""

    @property
    def type_and_collation(self) -> str:
        return f"{self.type} COLLATE {self.collation}" if self.collation else self.type


def relation(source: dict[str, Any]) -> sql.Composable:
    return Identifier(source["schema"], source["relation"])


def columns(connection: Connection, schema: str, relation: str) -> dict[str, Column]:
    """The columns of a relation by name; none if it does not exist."""
    rows = queries.run(connection, SQL["columns"], schema=schema, relation=relation).mappings()
    return {row["name"]: Column(**row) for row in rows}


def describe(connection: Connection, source: dict[str, Any]) -> dict[str, Column]:
    """The source's columns by name. Raises SourceError if the relation or a named column is missing."""
    schema, name = source["schema"], source["relation"]
    found = columns(connection, schema, name)
    if not found:
        raise SourceError(
            f"source: {schema}.{name} is no table or view that connection {source['connection']!r} may read. "
            "Check source.schema and source.relation (names are case-sensitive) and the role's grants."
        )
    cursor = [source["cursor"]] if source["cursor"] else []
    for field, names in (("key", source["key"]), ("inputs", source["inputs"]), ("cursor", cursor)):
        for wanted in names:
            if wanted not in found:
                raise SourceError(
                    f"source.{field}: {wanted!r} is no column of {schema}.{name}, which has: {', '.join(found)}"
                    f"{_alike(wanted, found)}"
                )
    if cursor and found[cursor[0]].kind != "timestamptz":
        raise SourceError(
            f"source.cursor: {cursor[0]!r} is {found[cursor[0]].type}; it must be timestamptz (a timestamp "
            "without time zone could mean any hour). Leave the cursor out, or convert it in a view."
        )
    return found


def _alike(wanted: str, names: Iterable[str]) -> str:
    """What to add of names that look like the one that is not there."""
    for name in names:
        if unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", wanted):
            form = "NFC" if unicodedata.is_normalized("NFC", name) else "NFD"
            return f"; there is {name!r}, written with other code points ({form})"
    for name in names:
        if _folded(name) == _folded(wanted):
            return f"; there is {name!r}: capitals and blanks count"
    return ""


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip().casefold()


def has_unique_key(connection: Connection, source: dict[str, Any]) -> bool:
    """Whether an index of the source says that its key is unique and never NULL."""
    values = {"schema": source["schema"], "relation": source["relation"], "keys": list(source["key"])}
    return bool(queries.run(connection, SQL["unique_key"], **values).scalar())


def lock(connection: Connection, source: dict[str, Any]) -> None:
    """Wait for whoever rewrites the source; until the transaction ends, nobody can."""
    queries.run(connection, SQL["lock"], {"source": relation(source)})


def is_view(connection: Connection, source: dict[str, Any]) -> bool:
    values = {"schema": source["schema"], "relation": source["relation"]}
    return bool(queries.run(connection, SQL["is_view"], **values).scalar())


def passing_time(connection: Connection, source: dict[str, Any]) -> list[str]:
    """Names of functions by which a view changes as time passes, such as now(); none for a table."""
    values = {"schema": source["schema"], "relation": source["relation"]}
    return list(queries.run(connection, SQL["passing_time"], **values).scalars())


def input_hash(source: dict[str, Any], columns: dict[str, Column], alias: str) -> sql.Composable:
    """128 bits over the exact input values and names; NULL where the source is append-only, or a row too large."""
    if source["changes"] == "none":
        return sql.SQL("NULL::uuid")
    inputs = [columns[name] for name in source["inputs"]]
    # With the values go the names, and what the job sets for its model: the answer depends on all of them.
    settings = [{"answers": source["answers"]}] if source.get("answers") else []
    names = json.dumps([HASH_FORMAT, *source["inputs"], *settings], ensure_ascii=False)
    parts: dict[str, sql.Composable] = {
        "names": sql.SQL(literal(names).replace("%", "%%")),
        "inputs": queries.columns(input_names(source), alias),
    }
    if all(item.kind in _FIXED for item in inputs):
        return fill(SQL["input_hash"], **parts)
    limit = sql.SQL(str(MOST_OCTETS))
    return fill(SQL["input_hash_if_short"], octets=octets(inputs, alias), limit=limit, **parts)


def rows(source: dict[str, Any], *others: sql.Composable) -> sql.Composable:
    """The source's rows that the job is about, as a subquery: keys, inputs, `others`, and `present`, which is true."""
    named = [
        fill("{name} AS {number}", name=column(name), number=column(number))
        for names, numbers in ((source["key"], key_names(len(source["key"]))), (source["inputs"], input_names(source)))
        for name, number in zip(names, numbers)
    ]
    return fill(
        SQL["rows"],
        columns=sql.SQL(", ").join([*named, *others]),
        source=relation(source),
        where=expression(source["where"] or "true"),
    )


def octets(inputs: list[Column], alias: str) -> sql.Composable:
    """About how many bytes a row's inputs take, without reading values that are stored out of line."""
    sizes = [
        fill(SQL["octets" if item.kind in _OCTETS else "stored_octets"], value=column(f"in{number}", alias))
        for number, item in enumerate(inputs, 1)
        if item.kind not in _FIXED
    ]
    return sql.SQL(" + ").join([sql.SQL(str(FIXED_OCTETS * len(inputs))), *sizes])


def definitions(columns: list[Column], collated: bool = True) -> sql.Composable:
    """Columns as CREATE TABLE has them; a function's take no collation."""
    return sql.SQL(", ").join(
        fill("{name} {type}", name=column(one.name), type=expression(one.type_and_collation if collated else one.type))
        for one in columns
    )


def literal(value: str) -> str:
    """A string constant of SQL (standard_conforming_strings, the default since Postgres 9.1)."""
    return "'" + value.replace("'", "''") + "'"
