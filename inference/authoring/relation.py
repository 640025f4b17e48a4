"""A relation of a named connection, as a person writes it: [CONNECTION:][SCHEMA.]RELATION, and what it is there."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from inference.base import queries, source
from inference.base.database import PREDICTIONS
from inference.base.source import Column
from inference.errors import RequestError, SourceError

SQL = queries.load("authoring/new_job")
TABLE, VIEW, MATERIALIZED, FOREIGN = ("r", "p"), "v", "m", "f"
_NAME = r'"(?:[^"]|"")+"|[^".:]+'


@dataclass(frozen=True)
class Name:
    """Where a relation is."""

    connection: str
    schema: str
    relation: str

    def __str__(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.relation)}"


@dataclass(frozen=True)
class Relation:
    """What the catalog says of a relation. `unreadable`: columns that the connection's role may not read."""

    name: Name
    oid: int
    kind: str
    role: str
    columns: dict[str, Column]
    unreadable: tuple[str, ...]


def quoted(name: str) -> str:
    """A name as SQL has it; in quotes only if need be."""
    return name if re.fullmatch("[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def parse(text: str) -> Name:
    """Read [CONNECTION:][SCHEMA.]RELATION. Raises RequestError."""
    match = re.fullmatch(rf"(?:([a-z][a-z0-9_]{{0,62}}):)?(?:({_NAME})\.)?({_NAME})", text)
    if match is None:
        raise RequestError(
            f"--source {text!r}: is not [CONNECTION:][SCHEMA.]RELATION. Write a name with a dot, a colon or a quote in "
            "double quotes, and the whole in single ones for the shell: --source 'shop.\"odd.name\"'"
        )
    return Name(match[1] or PREDICTIONS, _plain(match[2] or "public"), _plain(match[3]))


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def find(connection: Connection, name: Name) -> Relation:
    """Raises SourceError if the relation is not there, or nothing of it may be read: what is there, what to grant."""
    row = queries.run(connection, SQL["relation"], schema=name.schema, relation=name.relation).first()
    if row is None:
        raise SourceError(
            f"--source: connection {name.connection!r} has no table or view {name}.{_alike(connection, name)}"
        )
    role = quoted(row.role)
    if not row.usage:
        raise SourceError(
            f"--source: connection {name.connection!r}: role {row.role} may not use schema {name.schema}. As "
            f"its owner: GRANT USAGE ON SCHEMA {quoted(name.schema)} TO {role}; GRANT SELECT ON {name} TO {role};"
        )
    columns = source.columns(connection, name.schema, name.relation)
    unreadable = tuple(queries.run(connection, SQL["unreadable"], oid=row.oid).scalars())
    if set(columns) <= set(unreadable):
        raise SourceError(
            f"--source: connection {name.connection!r}: role {row.role} may not read {name}. As its owner: "
            f"GRANT SELECT ON {name} TO {role};"
        )
    return Relation(name, row.oid, row.kind, row.role, columns, unreadable)


def _alike(connection: Connection, name: Name) -> str:
    """What to add of relations that have a like name, and of the schema's others."""
    there = [Name(name.connection, row.schema, row.relation) for row in queries.run(connection, SQL["relations"])]
    wanted = name.relation.casefold()
    alike = [item for item in there if item.relation.casefold() == wanted]
    siblings = {item.relation.casefold(): item for item in there if item.schema == name.schema}
    alike += [siblings[match] for match in difflib.get_close_matches(wanted, siblings, 5)]
    if alike:
        return " Is it one of these: " + ", ".join(dict.fromkeys(map(str, alike))) + "? Capitals and blanks count"
    schemas = sorted({item.schema for item in there})
    if not siblings:
        return f" Schema {name.schema} has none; the schemas with tables are: {', '.join(schemas) or 'none'}"
    names = [str(item) for item in siblings.values()]
    return f" The schema has: {', '.join(names[:20])}" + (", and others" if len(names) > 20 else "")
