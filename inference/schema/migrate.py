"""Migrations: numbered plain SQL in `sql/migrations`, applied once, in order, under a lock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from inference.base import queries
from inference.base.database import PREDICTIONS, Databases
from inference.errors import ConfigurationError
from inference.schema import roles

FOLDER = queries.FOLDER / "migrations"
SQL = queries.load("schema/migrate")
TIMEOUT = "60min"  # of one statement: it may wait for runs, and rewrite tables


def upgrade(databases: Databases, say: Callable[[str], None], folder: Path = FOLDER) -> list[str]:
    """Apply what is missing and return the names of the migrations applied, in order.

    Each runs in a transaction of its own. Two upgrades at once wait for one another. A file that was
    edited after it had been applied is refused: databases would differ without anybody knowing.
    """
    applied = []
    with databases.connect(PREDICTIONS, TIMEOUT) as connection:
        with connection.begin():
            queries.run(connection, SQL["lock"])
            queries.run(connection, SQL["prepare"])
        for path in sorted(folder.glob("[0-9]*.sql")):
            number = int(path.name.split("_")[0])
            text = path.read_text(encoding="utf-8")
            with connection.begin():
                queries.run(connection, SQL["lock"])
                known = queries.run(connection, SQL["find"], number=number, text=text).first()
                if known is None:
                    connection.connection.cursor().execute(text)
                    queries.run(connection, SQL["record"], number=number, name=path.stem, text=text)
                    say(f"applied {path.stem}")
                    applied.append(path.stem)
                elif not known.same:
                    raise ConfigurationError(
                        f"migration {path.name} was edited after it had been applied to this database. "
                        "Restore the file and put the change into a new migration."
                    )
        with connection.begin():
            queries.run(connection, SQL["lock"])
            roles.grant(connection)
    return applied


def require(databases: Databases) -> None:
    """Raise ConfigurationError if the schema is older than this code."""
    newest = max(int(path.name.split("_")[0]) for path in FOLDER.glob("[0-9]*.sql"))
    with databases.begin(PREDICTIONS) as connection:
        found = None
        if queries.run(connection, SQL["exists"]).scalar():
            found = queries.run(connection, SQL["newest"]).scalar()
    if (found or 0) < newest:
        raise ConfigurationError(
            f"the schema `prediction` is at migration {found or 'none'}, this code needs {newest}. "
            "Run: python -m inference db upgrade"
        )
