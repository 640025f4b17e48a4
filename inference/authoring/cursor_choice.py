"""Which column is the cursor of a new job: one that something in the database really keeps true, or none."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy.engine import Connection

from inference.authoring import relation as relations
from inference.authoring.relation import Relation, quoted
from inference.base import queries
from inference.errors import RequestError

SQL = queries.load("authoring/new_job")
_NOW = r"(?:(?:pg_catalog\.)?(?:now|clock_timestamp|statement_timestamp|transaction_timestamp)\(\)|current_timestamp)"
# A function with one of these may leave the column as it was.
_BRANCH = re.compile(r"\b(if|case|loop|exception|execute|exit|continue|select)\b", re.IGNORECASE)


def choose(connection: Connection, relation: Relation, given: str | None) -> tuple[str | None, str]:
    """The cursor, and why it is one or why there is none."""
    moments = [
        name
        for name, column in relation.columns.items()
        if column.kind == "timestamptz" and name not in relation.unreadable
    ]
    if given is not None:
        if given not in moments:
            names = ", ".join(map(quoted, moments)) or "none"
            raise RequestError(
                f"--cursor: {given!r} is no column of {relation.name} of type timestamptz that may be read; such are: "
                f"{names}"
            )
        return given, "as --cursor says: every insert and every update must set it"
    if not moments:
        return None, "no column is timestamptz: each run searches the whole source"
    listed = ", ".join(map(quoted, moments))
    if relation.kind not in relations.TABLE:
        return (
            None,
            f"candidates are {listed}; whether writers of what is below always set one, the catalog does not say",
        )
    required = [name for name in moments if relation.columns[name].required]
    if not required:
        return None, f"{listed} may be NULL; a cursor is set by every insert and update"
    triggers = list(queries.run(connection, SQL["triggers"], oid=relation.oid))
    defaults = {row.name: row.value for row in queries.run(connection, SQL["defaults"], oid=relation.oid)}
    for name in required:
        setting = [trigger for trigger in triggers if not trigger.sometimes and _sets(trigger, name)]
        on_update = next((trigger.name for trigger in setting if trigger.updates), None)
        on_insert = any(trigger.inserts for trigger in setting)
        now = re.fullmatch(_NOW, defaults.get(name, ""), re.IGNORECASE)
        if on_update and (on_insert or now):
            also = "inserts as well" if on_insert else "its default does at inserts"
            return name, f"trigger {quoted(on_update)} sets it at every update, {also}"
    timed = [name for name in required if re.fullmatch(_NOW, defaults.get(name, ""), re.IGNORECASE)]
    if timed:
        return (
            None,
            f"{quoted(timed[0])} has a default, which only inserts set; no trigger surely sets it at every update",
        )
    return None, f"nothing in the database surely sets {', '.join(map(quoted, required))} at every insert and update"


def _sets(trigger: Any, column: str) -> bool:
    """Whether a trigger sets the column to the present time, whatever the row is."""
    if trigger.language == "c":
        return bool(trigger.function == "moddatetime" and trigger.argument == column)
    if trigger.language != "plpgsql":
        return False
    body = re.sub(r"--[^\n]*|/\*.*?\*/", " ", trigger.body, flags=re.DOTALL)
    name = re.escape(column) if re.fullmatch("[a-z_][a-z0-9_]*", column) else "(?!)"
    quoted_name = re.escape('"' + column.replace('"', '""') + '"')
    assignments = re.findall(rf"(?i:\bnew)\s*\.\s*(?:(?i:{name})|{quoted_name})\s*:?=\s*([^;]*);", body)
    returns = re.findall(r"(?i)\breturn\b\s*([^;]*);", body)
    always = not _BRANCH.search(body) and [word.strip().lower() for word in returns] == ["new"]
    return bool(always and assignments and re.fullmatch(_NOW, assignments[-1].strip(), re.IGNORECASE))
