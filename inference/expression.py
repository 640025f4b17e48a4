"""The two places where a job file holds SQL: `where` and `cost`, one expression each.

Here the text is checked before any server sees it; plan lets Postgres parse it alone, by EXPLAIN.
"""

from __future__ import annotations

import re

# Literals, quoted identifiers, numbers, names and operators of a Postgres expression.
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<string>'(?:[^'\\]|'')*')
    |(?P<quoted>"(?:[^"]|"")+")
    |(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<name>[^\W\d]\w*)
    |(?P<mark>::|\|\||<=|>=|<>|!=|!~~\*?|~~\*?|!~\*?|~\*?|->>|->|\#>>|\#>|@>|<@|[-+*/%^=<>.,()\[\]])
    """,
    re.VERBOSE,
)
_FORBIDDEN = {
    "select", "insert", "update", "delete", "merge", "table", "values", "with", "from", "into", "union", "copy",
    "over", "returning",
}  # fmt: skip


def one_expression(text: str) -> str:
    """Return `text` if it is one closed expression: no subselect, comment, semicolon or window.

    Raises ValueError that says what is not allowed, and where.
    """
    depth: list[str] = []
    position, before = 0, ""
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None or text.startswith(("--", "/*"), position):
            raise ValueError(f"at character {position + 1}, {text[position : position + 10]!r} is not allowed")
        _check_token(token, depth, before)
        position = token.end()
        before = before if token.lastgroup == "space" else token[0].lower()
    if depth:
        raise ValueError(f"{depth[-1]!r} is not closed")
    return text


def _check_token(token: re.Match[str], depth: list[str], before: str) -> None:
    value = token[0]
    # `extract(year from x)`, `substring(x from 1)` and `x is distinct from y` have a FROM that is no subselect.
    harmless = value.lower() == "from" and (depth or before == "distinct")
    if token.lastgroup == "name" and value.lower() in _FORBIDDEN and not harmless:
        raise ValueError(f"{value!r} is not allowed: one expression over the row's own columns")
    if value in ("(", "["):
        depth.append(value)
    elif value in (")", "]") and (not depth or depth.pop() != {")": "(", "]": "["}[value]):
        raise ValueError(f"{value!r} closes nothing, at character {token.start() + 1}")
