"""The keys of a page's rows: read from the work list, and sent to a source in another database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg2 import sql
from sqlalchemy.engine import Connection

from ..base import queries
from ..base.queries import column, expression, fill

SQL = queries.load("shard/sent_keys")


def read(
    connection: Connection, work: sql.Composable, names: Sequence[str], bounds: Mapping[str, int]
) -> list[tuple[Any, ...]]:
    """Ordinal and key, as text, of the rows of the work list within `bounds`. names: of the key's columns there."""
    keys = sql.SQL(", ").join(fill("{name}::text", name=column(name, "w")) for name in names)
    return [tuple(row) for row in queries.run(connection, SQL["keys"], {"work": work, "keys": keys}, **bounds)]


def relation(
    keys: Sequence[tuple[Any, ...]], names: Sequence[str], types: Sequence[str]
) -> tuple[dict[str, sql.Composable], dict[str, Any]]:
    """The keys as a relation in the source's database, and what it binds. types: of the key's columns in the source."""
    columns = list(zip(*keys)) or [()] * (1 + len(names))
    values = {"ordinals": list(columns[0])}
    values.update({name: list(texts) for name, texts in zip(names, columns[1:])})
    made = fill(
        SQL["relation"],
        keys=sql.SQL(", ").join(
            fill("{name}::{type} AS {name}", name=column(name), type=expression(kind))
            for name, kind in zip(names, types)
        ),
        arrays=sql.SQL(", ").join(sql.SQL(f"%({name})s::text[]") for name in names),
        names=queries.columns(names),
    )
    return {"work": made, "selected": sql.SQL("true")}, values
