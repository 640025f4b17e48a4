"""Which columns of a relation a model is given, and what of them a view must convert first."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from inference.authoring import position_choice
from inference.authoring.questions import Questions
from inference.authoring.relation import Relation, quoted
from inference.base import queries
from inference.base.matching import by_position, said, taken
from inference.base.queries import Identifier, column, expression
from inference.base.signature import Input, Signature
from inference.errors import RequestError

SQL = queries.load("authoring/new_job")
# What a view makes of a column that does not fit; there is no cast to bytes that keeps a text's meaning.
_TYPES = {
    "boolean": "boolean", "integer": "integer", "long": "bigint", "float": "real", "double": "double precision",
    "string": "text", "datetime": "timestamptz", "object": "jsonb", "map": "jsonb", "any": "jsonb",
}  # fmt: skip


@dataclass(frozen=True)
class Inputs:
    """Columns for the model's inputs, where all fit. `left_out`: optional inputs without a column. `problems`: what is
    in the way. `views`: the SQL of each input that a view must give another name or type, if that can be done."""

    columns: tuple[str, ...]
    left_out: tuple[str, ...]
    problems: tuple[str, ...]
    views: dict[str, str]
    hopeless: bool


def choose(
    connection: Connection, relation: Relation, signature: Signature, key: tuple[str, ...], given: tuple[str, ...],
    questions: Questions,
) -> Inputs:  # fmt: skip
    """Match a model's inputs with columns: by name, or by position where it has no names. `given`: the answer of
    --inputs."""
    if by_position(signature.inputs):
        columns, problem = position_choice.choose(relation, signature, key, given, questions)
        return Inputs(columns, (), (problem,) if problem else (), {}, bool(problem))
    return _by_name(connection, relation, signature, given)


def _by_name(connection: Connection, relation: Relation, signature: Signature, given: tuple[str, ...]) -> Inputs:
    known = [item.name for item in signature.inputs]
    for name in given:
        if name not in known:
            raise RequestError(f"--inputs: {name!r} is no input of the model, which has: {', '.join(known)}")
    columns, left_out, problems, views, hopeless = [], [], [], {}, False
    for item in signature.inputs:
        if given and item.name not in given and not item.required:
            left_out.append(item.name)
            continue
        names = [item.name] if item.name in relation.columns else _alike(item.name, relation)
        if not names and not item.required and item.name not in given:
            left_out.append(item.name)
            continue
        problem, view = _judge(connection, relation, item, names)
        columns.append(item.name)
        if problem:
            problems.append(problem)
            hopeless |= view is None
        if view:
            views[item.name] = view
    return Inputs(tuple(columns), tuple(left_out), tuple(problems), views, hopeless)


def _judge(connection: Connection, relation: Relation, item: Input, names: list[str]) -> tuple[str, str | None]:
    """What is in the way of an input, nothing if it fits, and the SQL that a view needs for it, if any can do."""
    need = f"input {item.name!r} ({taken(item)[0]})"
    if not names:
        readable = ", ".join(map(quoted, relation.columns))
        return f"{need}: there is no such column; {relation.name} has: {readable}", None
    if len(names) > 1:
        return f"{need}: several columns are named like it: {', '.join(map(quoted, names))}", None
    name = names[0]
    if name in relation.unreadable:
        grant = f"GRANT SELECT ({quoted(name)}) ON {relation.name} TO {quoted(relation.role)};"
        return f"{need}: role {relation.role} may not read that column. As the owner: {grant}", None
    there = relation.columns[name]
    if there.kind in taken(item)[1]:
        if name == item.name:
            return "", None
        return f"{need}: the column is called {_shown(name)}", f"{quoted(name)} AS {quoted(item.name)}"
    kind = _type(item)
    takes = f"{need}: column {quoted(name)} is {there.type}, and it takes {said(taken(item)[1])}"
    if kind is None or not _castable(connection, relation, name, kind):
        return f"{takes}; no cast makes that of it", None
    return takes, f"CAST({quoted(name)} AS {kind}) AS {quoted(item.name)}"


def _castable(connection: Connection, relation: Relation, name: str, kind: str) -> bool:
    savepoint = connection.begin_nested()
    try:
        parts = {
            "column": column(name),
            "type": expression(kind),
            "source": Identifier(relation.name.schema, relation.name.relation),
        }
        queries.run(connection, SQL["try_cast"], parts)
    except DBAPIError:
        return False
    finally:
        savepoint.rollback()
    return True


def _type(item: Input) -> str | None:
    """The type that a view gives a column for this input."""
    if item.type != "array":
        return _TYPES.get(item.type)
    inner: dict[str, Any] = item.declared or {"type": "any"}
    while inner["type"] == "array":
        inner = inner["items"]
    kind = _TYPES.get(inner["type"])
    return kind if kind in (None, "jsonb") else f"{kind}[]"


def _alike(wanted: str, relation: Relation) -> list[str]:
    """Columns that are named like it: by other capitals or code points, or by snake_case for camelCase."""
    for fold in (_folded, _words):
        if names := [name for name in relation.columns if fold(name) == fold(wanted)]:
            return names
    return []


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip().casefold()


def _words(name: str) -> str:
    return re.sub(r"[\W_]+", "", _folded(name))


def _shown(name: str) -> str:
    return quoted(name) if unicodedata.is_normalized("NFC", name) else f"{quoted(name)}, in other code points (NFD)"
