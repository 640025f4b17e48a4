"""The two places where a job file holds SQL: `where` and `cost`, one closed expression over a row each.

A job file's text is read by Postgres's own grammar (libpg_query), and what its tree says is written back: only that
runs. Plan then asks the source's server what the names mean. Runs in Airflow's environment alone: a shard gets the text
from the run's definition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import postgast
from google.protobuf.message import DecodeError
from sqlalchemy.engine import Connection

from inference.base import queries, source
from inference.base.database import passing
from inference.errors import SourceError

SQL = queries.load("jobs/sql_expression")

_POSITIONS = ("location", "stmt_location", "stmt_len", "name_location", "list_start", "list_end", "rexpr_list_start",
              "rexpr_list_end")  # fmt: skip
_NOT_OF_THE_ROW = {
    "SelectStmt": "a subselect",
    "WindowDef": "a window (OVER)",
    "ParamRef": "a parameter",
    "SetToDefault": "DEFAULT",
    "A_Star": "`*`",
}
_PRESENT = {"now", "transaction_timestamp", "statement_timestamp"}  # of pg_catalog, without arguments
_PRESENT_LITERAL = re.compile(r"[^a-z]*(now|today|tomorrow|yesterday)\b([^a-z]|allballs|[ap]m|utc|z)*", re.IGNORECASE)


def one_expression(text: str) -> str:
    """What `text` says, as Postgres's grammar reads it and writes it: `flags & 4 = 4` gives `(flags & 4) = 4`.

    Raises ValueError if it is not one closed expression over a row: a list, a subselect, a window, a parameter.
    """
    if "\0" in text:
        raise ValueError("contains a NUL character")
    tree = _tree(f"SELECT {text}")
    # Equal only if the text is closed in itself (`true) OR (true` is not), and one expression and nothing else.
    if tree != _tree(f"SELECT ({text}\n)"):
        raise ValueError("is a list; write one expression")
    for kind, _ in _parts(tree):
        if kind in _NOT_OF_THE_ROW:
            raise ValueError(f"{_NOT_OF_THE_ROW[kind]} is not allowed: one expression over the row's own columns")
    written = postgast.deparse(tree).removeprefix("SELECT ")
    # The writer forgets some parentheses, as of `(a OR b) IS NULL`. Then the lexer's words are taken, less comments.
    for candidate in (written, _words(text)):
        if _means(candidate, tree):
            return candidate
    raise ValueError("Postgres's grammar reads it and cannot write it back; write it in another way")


def check(connection: Connection, section: dict[str, Any], cost: str) -> None:
    """Let the source's server judge `where` and `cost`, each alone. Raises SourceError, also for volatile functions."""
    for field, text, block in (("source.where", section["where"], "parse_where"), ("cost", cost, "parse_cost")):
        if text is None:
            continue
        volatile = [row.name for row in _functions(connection, text) if row.volatility == "v"]
        if volatile:
            raise SourceError(
                f"{field}: {text!r}: {volatile[0]}() is volatile: it may give another value each time. Use none such, "
                "or declare it STABLE or IMMUTABLE if it is"
            )
        savepoint = connection.begin_nested()
        try:
            parts = {"source": source.relation(section), "expression": queries.expression(text)}
            queries.run(connection, SQL[block], parts)
        except Exception as error:
            if passing(error):
                raise
            reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
            raise SourceError(f"{field}: {text!r}: Postgres says: {reason}") from None
        finally:
            savepoint.rollback()


def depends_on_time(connection: Connection, section: dict[str, Any]) -> str | None:
    """What in `where` may give another value by the passing of time alone, if anything does: `now()`.

    Rows become due by it that no cursor tells of. Any function that is not Postgres's own may read the clock, unless it
    is declared immutable.
    """
    if section["where"] is None:
        return None
    present = next(_present(section["where"]), None)
    others = (row.name for row in _functions(connection, section["where"]) if row.volatility != "i" and not row.builtin)
    return present or next((f"{name}()" for name in others), None)


def _tree(statement: str) -> Any:
    """The tree of a statement, without where in the text each part of it stands."""
    try:
        tree = postgast.parse(statement)
    except postgast.PgQueryError as error:
        raise ValueError(f"is not one closed expression: {error.message}") from None
    except DecodeError:
        raise ValueError("is nested too deeply: about 45 operations one in another; use a column of a view") from None
    for _, node in postgast.walk(tree):
        for name in _POSITIONS:
            if name in node.DESCRIPTOR.fields_by_name:
                node.ClearField(name)
    return tree


def _means(text: str, tree: Any) -> bool:
    try:
        return bool(_tree(f"SELECT {text}") == tree == _tree(f"SELECT ({text})"))
    except ValueError:
        return False


def _words(text: str) -> str:
    """The words of a text as Postgres's lexer cuts them."""
    given = text.encode()
    comments = (postgast.pg_query_pb2.SQL_COMMENT, postgast.pg_query_pb2.C_COMMENT)
    words = [given[word.start : word.end] for word in postgast.scan(text).tokens if word.token not in comments]
    return b" ".join(words).decode()


def _parts(tree: Any) -> Iterator[tuple[str, Any]]:
    """The nodes of the expressions that a statement selects, each with the name of its type."""
    for target in tree.stmts[0].stmt.select_stmt.target_list:
        for _, node in postgast.walk(target):
            yield node.DESCRIPTOR.name, node


def _functions(connection: Connection, text: str) -> list[Any]:
    """What the server knows by the names of the functions that an expression calls: each with all of its overloads."""
    called = [_names(node) for kind, node in _parts(_tree(f"SELECT {text}")) if kind == "FuncCall"]
    names = {"schemas": [schema for schema, _ in called], "names": [name for _, name in called]}
    return list(queries.run(connection, SQL["functions"], **names))


def _present(text: str) -> Iterator[str]:
    """What an expression has of the present moment by the grammar and by Postgres's own functions."""
    for kind, node in _parts(_tree(f"SELECT {text}")):
        if kind == "SQLValueFunction":
            name = node.DESCRIPTOR.fields_by_name["op"].enum_type.values_by_number[node.op].name
            if "DATE" in name or "TIME" in name:  # the others say who and where
                yield name.removeprefix("SVFOP_").removesuffix("_N").lower()
        elif kind == "FuncCall":
            schema, name = _names(node)
            if schema in (None, "pg_catalog") and (name in _PRESENT or (name == "age" and len(node.args) == 1)):
                yield f"{name}()"
        elif kind == "A_Const" and _PRESENT_LITERAL.fullmatch(node.sval.sval):
            yield repr(node.sval.sval)


def _names(call: Any) -> tuple[str | None, str]:
    """The schema and the name of a function that is called."""
    names = [part.string.sval for part in call.funcname]
    return (names[-2] if len(names) > 1 else None), names[-1]
