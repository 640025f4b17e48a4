"""`where` and `cost` are one closed expression each, or refused."""

from __future__ import annotations

import pytest

from inference.expression import one_expression

ALLOWED = [
    "true",
    "status = 'open'",
    "length(text)",
    "coalesce(length(text), 0) + 1",
    "created_at > now() - interval '30 days'",
    "price * 1.5e-3 >= 10 AND NOT hidden",
    "name LIKE '%o''clock%'",
    "\"Order\" IN (1, 2, 3) OR \"it\"\"s\" IS NULL",
    "data->>'kind' = 'a' AND data @> '{\"x\": 1}'",
    "text::varchar <> '' AND tags[1] = 'x'",
    "extract(year from created_at) = 2024",
    "substring(text from 1 for 3) = 'abc'",
    "channel IS DISTINCT FROM 'spam'",
    "channel is not distinct  from NULL",
    "CASE WHEN a THEN 1 ELSE 2 END",
    "text ~* 'a|b' AND text !~ 'c'",
    "'select; -- not SQL' = text",
    "이름 = '한국'",
    "a - -1 > 0",
]  # fmt: skip
REFUSED = [
    ("id = 1; DROP TABLE message", "';"),
    ("true -- the rest", "'-- the re"),
    ("true /* hidden */", "'/*"),
    ("a->--b", "'--b"),
    ("id IN (SELECT id FROM other)", "'SELECT'"),
    ("EXISTS (TABLE secret)", "'TABLE'"),
    ("id IN (VALUES (1))", "'VALUES'"),
    ("(WITH x AS (DELETE FROM a RETURNING *) SELECT 1) = 1", "'WITH'"),
    ("true) OR (true", r"'\)' closes nothing"),
    ("(true", r"'\(' is not closed"),
    ("a[1)", r"'\)' closes nothing"),
    ("id = 1 UNION ALL id", "'UNION'"),
    ("true FROM pg_authid", "'FROM'"),
    ("row_number() OVER (ORDER BY id) < 5", "'OVER'"),
    (r"text = E'\' OR true --'", "is not allowed"),
    (r"text = 'a\'", "is not allowed"),
    ("text = $$a$$", r"'\$\$"),
    ("text = $1", r"'\$1"),
    ("text = :value", "':value"),
    ("text = %(value)s", ""),
    ("text = U&'\\0041'", "\"&'"),
    ("text = 'open", "\"'open"),
    ('"open = 1', "'\"open"),
    ("{source}", "'{source"),
    ("a ? 'b'", r'"\?'),
    ("a \\gexec", r"'\\\\gexec"),
    ("a\0b", "is not allowed"),
    ("`a` = 1", "'`a`"),
    ("@version", "'@version"),
    ("x INTO y", "'INTO'"),
    ("COPY", "'COPY'"),
]  # fmt: skip


@pytest.mark.parametrize("text", ALLOWED)
def test_expressions_over_the_rows_own_columns_are_allowed(text: str) -> None:
    assert one_expression(text) == text


@pytest.mark.parametrize(("text", "wanted"), [pair for pair in REFUSED if pair[1]])
def test_everything_else_is_refused_and_named(text: str, wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        one_expression(text)


def test_a_placeholder_of_the_driver_is_arithmetic_and_never_bound() -> None:
    """`%(value)s` reads as modulo here; Postgres then misses an operator, and the driver never sees it."""
    from inference.queries import expression

    with pytest.raises(Exception):  # noqa: B017, PT011 - either refuses it
        one_expression("text = %(value)s(")
    assert expression("a %(b)s").string == "a %%(b)s"
