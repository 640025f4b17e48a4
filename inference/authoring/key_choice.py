"""Which columns are the key of a new job: the primary key, else what is as good."""

from __future__ import annotations

from typing import Any

import postgast
from sqlalchemy.engine import Connection

from inference.authoring import relation as relations
from inference.authoring.questions import Questions
from inference.authoring.relation import Name, Relation, quoted
from inference.base import queries
from inference.errors import RequestError, SourceError

SQL = queries.load("authoring/new_job")


def choose(
    connection: Connection, relation: Relation, given: tuple[str, ...], questions: Questions
) -> tuple[tuple[str, ...], str]:
    """The key's columns and why these; no columns where a question is open. Raises SourceError if there is no key."""
    if given:
        _require(relation, given)
        return given, "as --key says; plan refuses it if two rows have the same"
    if relation.kind == relations.VIEW:
        return _of_view(connection, relation, questions)
    indexes = list(queries.run(connection, SQL["unique_indexes"], oid=relation.oid))
    sure = [index for index in indexes if index.never_null]
    if sure and sure[0].is_primary:
        _require(relation, sure[0].columns)
        return tuple(sure[0].columns), "the primary key"
    if len(sure) == 1:
        _require(relation, sure[0].columns)
        return tuple(sure[0].columns), f"of the unique index {quoted(sure[0].name)}; there is no primary key"
    candidates = sure or indexes
    if not candidates:
        raise SourceError(_without(relation))
    choices = [f"{_listed(index.columns)} (unique index {quoted(index.name)})" for index in candidates]
    doubt = "" if sure else " Its columns may be NULL by the catalog; a key is never NULL."
    number = questions.choose(f"Which columns are the key of {relation.name}?{doubt}", choices, "--key COLUMN,COLUMN")
    if number is None:
        return (), ""
    return tuple(candidates[number].columns), f"chosen; of the unique index {quoted(candidates[number].name)}"


def _of_view(connection: Connection, relation: Relation, questions: Questions) -> tuple[tuple[str, ...], str]:
    below = _passed_through(connection, relation)
    if below:
        key, name = below
        return key, f"the primary key of {name}, which the view passes through"
    answer = questions.text(
        f"{relation.name} is a view: which of its columns are unique and never NULL together "
        f"({_listed(relation.columns)})?", "--key COLUMN,COLUMN",
    )  # fmt: skip
    key = tuple(part.strip() for part in answer.split(",") if part.strip())
    _require(relation, key)
    return key, "chosen; plan refuses it if two rows have the same"


def _passed_through(connection: Connection, relation: Relation) -> tuple[tuple[str, ...], Name] | None:
    """The view's columns that are the primary key of the one table that it selects from, row by row."""
    text = str(queries.run(connection, SQL["definition"], oid=relation.oid).scalar_one())
    statement: Any = postgast.parse(text).stmts[0].stmt.select_stmt
    places = [item.range_var for item in statement.from_clause if item.WhichOneof("node") == "range_var"]
    plain = len(places) == len(statement.from_clause) == 1 and not (
        statement.group_clause or statement.distinct_clause or statement.with_clause.ctes or statement.larg.target_list
        or statement.having_clause.ByteSize()
    )  # fmt: skip
    if not plain:
        return None
    called = [
        node.funcname[-1].string.sval
        for target in statement.target_list
        for _, node in postgast.walk(target)
        if node.DESCRIPTOR.name == "FuncCall"
    ]
    if called and queries.run(connection, SQL["give_many"], names=called).scalar():
        return None
    below = Name(relation.name.connection, places[0].schemaname or "public", places[0].relname)
    row = queries.run(connection, SQL["relation"], schema=below.schema, relation=below.relation).first()
    indexes = queries.run(connection, SQL["unique_indexes"], oid=row.oid).all() if row else []
    primary = next((index.columns for index in indexes if index.is_primary), None)
    if primary is None:
        return None
    shown: dict[str, str] = {}  # the table's column -> the view's
    for target in statement.target_list:
        column = target.res_target
        if column.val.WhichOneof("node") == "column_ref":
            name = column.val.column_ref.fields[-1].string.sval
            shown.setdefault(name, column.name or name)
    key = tuple(shown[name] for name in primary if name in shown)
    return (key, below) if len(key) == len(primary) else None


def _require(relation: Relation, key: tuple[str, ...] | list[str]) -> None:
    """Raise RequestError or SourceError if a column is not there or may not be read."""
    for name in key:
        if name not in relation.columns:
            raise RequestError(
                f"--key: {name!r} is no column of {relation.name}, which has: {_listed(relation.columns)}"
            )
    hidden = [name for name in key if name in relation.unreadable]
    if hidden:
        raise SourceError(
            f"--source: role {relation.role} may not read the key of {relation.name}. As its owner: "
            f"GRANT SELECT ({', '.join(map(quoted, hidden))}) ON {relation.name} TO {quoted(relation.role)};"
        )


def _without(relation: Relation) -> str:
    says = f"--source: {relation.name} has no primary key and no unique index, so that nothing tells its rows apart. "
    if relation.kind in relations.TABLE:
        says += "Add one, such as: " + SQL["add_key"].format(source=relation.name) + "; "
    elif relation.kind == relations.MATERIALIZED:
        says += f"Add one: CREATE UNIQUE INDEX ON {relation.name} (COLUMN); "
    return says + "or name columns that are unique and never NULL together: --key COLUMN,COLUMN"


def _listed(names: Any) -> str:
    return ", ".join(map(quoted, names))
