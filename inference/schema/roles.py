"""Access: what the roles of sql/roles.sql may do. Without them one role does everything, and nothing is granted."""

from __future__ import annotations

from psycopg2 import sql
from sqlalchemy.engine import Connection

from inference.base import queries

SQL = queries.load("schema/roles")


def granted(connection: Connection) -> bool:
    """Whether the schema belongs to the owner of sql/roles.sql, and so the others have their own rights."""
    return bool(queries.run(connection, SQL["granted"]).scalar())


def grant(connection: Connection) -> None:
    """Give planner, predictor and reader what each needs of the tables that are there; as the owner."""
    if granted(connection):
        queries.run(connection, SQL["tables"])
        queries.run(connection, SQL["policies"])
        queries.run(connection, SQL["jobs"])


def share_work(connection: Connection, work: sql.Composable) -> None:
    """Let shards read the work list of their run."""
    if granted(connection):
        queries.run(connection, SQL["work"], {"work": work})


def share_result(connection: Connection, result: sql.Composable) -> None:
    """Let shards add to the results of their run."""
    if granted(connection):
        queries.run(connection, SQL["result"], {"result": result})
