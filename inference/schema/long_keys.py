"""Keys that no index of Postgres holds, about 2,700 bytes after compression: each costs its own row, and no other."""

from __future__ import annotations

from psycopg2 import sql
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from inference.base import queries
from inference.base.bisect import bisect
from inference.base.database import code, said
from inference.base.queries import column, fill

SQL = queries.load("schema/long_keys")
LIMIT_EXCEEDED = "54000"


class _TooLong(Exception):
    pass


def set_aside(connection: Connection, work: str, parts: dict[str, sql.Composable], keys: list[str]) -> None:
    """Quarantine the scored rows whose key the target cannot hold. `work`: the work list's name; `keys`: its columns.

    Only Postgres knows, since it compresses: a temporary index is asked about keys that are long.
    """
    if not queries.run(connection, SQL["vary"], work=work).scalar():
        return
    sizes = sql.SQL(" + ").join(fill("pg_column_size({key})", key=column(key, "w")) for key in keys)
    places: list[str] = list(queries.run(connection, SQL["long"], {**parts, "size": sizes}).scalars())
    if not places:
        return
    parts = {**parts, "keys": queries.columns(keys)}
    queries.run(connection, SQL["create_probe"], parts)
    for found, fault in bisect(places, lambda some: _probe(connection, parts, some), (_TooLong,)):
        if fault is not None:
            queries.run(connection, SQL["set_aside"], parts, place=found[0], message=str(fault))


def _probe(connection: Connection, parts: dict[str, sql.Composable], places: list[str]) -> None:
    try:
        with connection.begin_nested():
            queries.run(connection, SQL["probe"], parts, places=places)
    except DBAPIError as error:
        if code(error) != LIMIT_EXCEEDED:
            raise
        reason = said(error).partition(" for index")[0]
        raise _TooLong(f"the key is too long for an index of Postgres: {reason}") from None
