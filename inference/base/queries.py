"""SQL lives in files: `sql/<room>/<module>.sql` holds named blocks, this module loads and runs them.

A block begins with `-- name: <name>`. Values are bound (`%(name)s`); identifiers, the job's two SQL
expressions and other blocks are written `{name}` and filled with `psycopg2.sql` objects, which quote.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Optional

from psycopg2 import sql
from sqlalchemy.engine import Connection, CursorResult

from .root import ROOT

Parts = Optional[dict[str, sql.Composable]]
FOLDER = ROOT / "sql"


@cache
def load(stage: str) -> dict[str, str]:
    """The named blocks of `sql/<stage>.sql`. `stage`: room and module, such as `planning/plan`."""
    text = (FOLDER / f"{stage}.sql").read_text(encoding="utf-8")
    blocks = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    bodies = (re.sub(r"^--.*$", "", block, flags=re.MULTILINE) for block in blocks[1::2])
    return dict(zip(blocks[::2], (body.strip().rstrip(";") for body in bodies)))


class Identifier(sql.Identifier):
    """A quoted name whose `%` is no placeholder."""

    def as_string(self, context: Any) -> str:
        return str(super().as_string(context)).replace("%", "%%")


def expression(text: str) -> sql.Composable:
    """A validated SQL expression of a job file, or a type's name from the catalog, as it is."""
    return sql.SQL(text.replace("%", "%%"))


def fill(block: str, **parts: sql.Composable) -> sql.Composable:
    """A block with its `{name}` filled in."""
    return sql.SQL(block).format(**parts)


def text(connection: Connection, query: sql.Composable) -> str:
    raw: Any = connection.connection.dbapi_connection
    return str(query.as_string(raw))


def run(connection: Connection, block: str, parts: Parts = None, /, **values: Any) -> CursorResult[Any]:
    """Run one block: `parts` fills its `{name}`, `values` its `%(name)s`."""
    # The extra key makes the driver collapse `%%` in blocks that bind nothing.
    return connection.exec_driver_sql(text(connection, fill(block, **(parts or {}))), {"": None, **values})


def table(name: str) -> sql.Composable:
    """A table of the schema `prediction`."""
    return Identifier("prediction", name)


def work_table(name: str) -> sql.Composable:
    """A table that lives no longer than its run."""
    return Identifier("prediction_work", name)


def column(name: str, alias: str | None = None) -> sql.Composable:
    return Identifier(alias, name) if alias else Identifier(name)


def columns(names: Sequence[str], alias: str | None = None) -> sql.Composable:
    """`"a", "b"` or, with an alias, `t."a", t."b"`."""
    return sql.SQL(", ").join(column(name, alias) for name in names)


def equal(names: Sequence[str], left: str, right: str) -> sql.Composable:
    """`l."a" = r."a" AND l."b" = r."b"`."""
    return sql.SQL(" AND ").join(
        fill("{one} = {other}", one=column(name, left), other=column(name, right)) for name in names
    )


def as_text(names: Sequence[str], alias: str) -> sql.Composable:
    """A key as `text[]`, which is how `prediction.quarantine` keeps it."""
    values = sql.SQL(", ").join(fill("{one}::text", one=column(name, alias)) for name in names)
    return fill("ARRAY[{values}]", values=values)
