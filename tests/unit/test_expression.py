"""`where` and `cost` are one closed expression each, read by Postgres's grammar and written back, or refused."""

from __future__ import annotations

import postgast
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.base.queries import expression
from inference.jobs.sql_expression import one_expression

AS_WRITTEN = [
    "true",
    "status = 'open'",
    "tags && ARRAY['vip']",
    "meta ? 'lang'",
    "meta @? '$.a'",
    "text @@ 'a'",
    "text ^@ 'a'",
    "text::varchar <> '' AND tags[1] = 'x'",
    "tags[1:2] = '{a,b}' OR tags[:2] = '{}'",
    "name LIKE '%o''clock%'",
    "\"Order\" IN (1, 2, 3) OR \"it\"\"s\" IS NULL",
    "channel IS DISTINCT FROM 'spam'",
    "CASE WHEN a THEN 1 ELSE 2 END",
    "text ~* 'a|b' AND text !~ 'c'",
    "'select; -- not SQL' = text",
    "x BETWEEN SYMMETRIC 2 AND 1",
    "ROW(a, b) = ROW(1, 2)",
    "(a, b) < (1, 2)",
    "text COLLATE \"C\" < 'a'",
    "(pair).field > 1",
    "x = ANY(tags) OR x <> ALL(tags)",
    "created_at AT TIME ZONE 'UTC' > '2024-01-01'",
    "public.\"Weird Func\"(x) = ':x %s {} {a}'",
    "text ILIKE 'a%' AND NOT text SIMILAR TO 'a|b'",
    "meta IS JSON OBJECT",
]  # fmt: skip
REWRITTEN = [
    ("flags & 4 = 4", "(flags & 4) = 4"),
    ("flags|1 = 1", "(flags | 1) = 1"),
    ("meta?|array['a']", "meta ?| ARRAY['a']"),
    ("meta #- '{a}' = '{}'", "(meta #- '{a}') = '{}'"),
    ("id % 2 = 1", "(id % 2) = 1"),
    (r"text ~ '^\d+$'", r"text ~ E'^\\d+$'"),
    ("created_at > timestamp with time zone '2024-01-01'", "created_at > '2024-01-01'::timestamp with time zone"),
    ("created_at > now() - interval '30 days'", "created_at > (now() - '30 days'::interval)"),
    ("extract(year from created_at) = 2024", "extract ('year' FROM created_at) = 2024"),
    ("data->>'kind' = 'a'", "(data ->> 'kind') = 'a'"),
    ("a - -1 > 0", "(a - -1) > 0"),
    ("이름 = '한국'", "\"이름\" = '한국'"),
    (r"text = E'\' OR true --'", "text = ''' OR true --'"),
    (r"text = 'a\'", r"text = E'a\\'"),
    ("text = $a$it's$a$", "text = 'it''s'"),
    (r"text = U&'\0441'", "text = 'с'"),
    ("true -- the rest", "true"),
    ("a /* hidden */ = 1", "a = 1"),
    ("(1=1) OR (1=1)", "1 = 1 OR 1 = 1"),
    # Where the writer forgets parentheses, the lexer's words.
    ("(a OR b) IS NULL", "( a OR b ) IS NULL"),
    ("제목 LIKE (a = '\\d') -- c", "제목 LIKE ( a = '\\d' )"),
    ("(a /* c */ OR b = U&'!0441' UESCAPE '!') IS NULL", "( a OR b = U&'!0441' UESCAPE '!' ) IS NULL"),
]
REFUSED = [
    ("(1=1) OR (1=1", "at end of input"),
    ("true) OR (true", r'at or near "\)"'),
    ("id = 1; DROP TABLE message", 'at or near ";"'),
    ("id = 1;", 'at or near ";"'),
    ("true; --", 'at or near ";"'),
    ("a->--b", 'at or near "[)]"|at end of input'),
    ("true /* hidden", "unterminated"),
    ("id IN (SELECT id FROM other)", "a subselect"),
    ("EXISTS (TABLE secret)", "a subselect"),
    ("id IN (VALUES (1))", "a subselect"),
    ("ARRAY(SELECT 1) = tags", "a subselect"),
    ("id = ANY (SELECT 1)", "a subselect"),
    ("JSON_ARRAY(SELECT 1) IS NULL", "a subselect"),
    ("(WITH x AS (DELETE FROM a RETURNING *) SELECT 1) = 1", "a subselect"),
    ("row_number() OVER (ORDER BY id) < 5", "a window"),
    ("row_number() OVER w < 5", "a window"),
    ("text = $1", "a parameter"),
    ("DEFAULT", "DEFAULT"),
    ("t.* IS NULL", "`[*]`"),
    ("count((t).*) = 1", "`[*]`"),
    ("*", "[*]"),
    ("a[1)", r'at or near "\)"'),
    ("id = 1 UNION ALL id", "syntax error"),
    ("true FROM pg_authid", "FROM"),
    ("true WHERE true", "WHERE"),
    ("true LIMIT 1", "LIMIT"),
    ("DISTINCT a", "DISTINCT"),
    ("ALL a", "ALL"),
    ("x INTO y", "INTO"),
    ("a AS b", "AS"),
    ("a b", '"b"'),
    ("a, b", "is a list"),
    ("", "closed"),
    (" -- nothing", "closed"),
    ("text = :value", '":"'),
    ("text = %(value)s", '"%"'),
    ("text = 'open", "unterminated quoted string at or near \"'open\"$"),
    ('"open = 1', "unterminated"),
    ("{source}", '"{"'),
    ("a \\gexec", "near"),
    ("true\0 OR (", "NUL"),
    ("x = '\ud800'", "surrogates"),
    ("- " * 1500 + "a", "nested too deeply"),
    ("(" * 3000 + "1", "closed expression"),
]  # fmt: skip


@pytest.mark.parametrize("text", AS_WRITTEN)
def test_expressions_over_the_rows_own_columns_are_taken(text: str) -> None:
    """F21"""
    assert one_expression(text) == text


@pytest.mark.parametrize(("text", "written"), REWRITTEN)
def test_what_runs_is_what_the_grammar_writes(text: str, written: str) -> None:
    """F21"""
    assert one_expression(text) == written


@pytest.mark.parametrize(("text", "wanted"), REFUSED)
def test_everything_else_is_refused_and_named(text: str, wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        one_expression(text)


def test_a_placeholder_of_the_driver_is_arithmetic_and_never_bound() -> None:
    """`%(value)s` reads as modulo here, and the driver never sees it."""
    written = one_expression("a %(value) > 0")

    assert written == "(a % value) > 0"
    assert expression(written).string == "(a %% value) > 0"


NAMES = st.sampled_from(
    ["a", "제목", '"Order"', '"it""s"', '"a b"', '"select"', '"%s{x}:y"', "(pair).field", "tags[1]"]
)
LITERALS = st.sampled_from(
    [
        "1",
        "-1",
        "1.50",
        ".5",
        "1e5",
        "0x1F",
        "NULL",
        "true",
        "'a'",
        "'it''s'",
        r"'\d'",
        r"E'\n\t\\'",
        r"U&'\0441'",
        "$$x'y$$",
        "$t$ $$ $t$",
        "B'101'",
        "X'1F'",
        "date '2024-01-01'",
        "timestamp with time zone '2024-01-01'",
        "interval '1' day",
        "interval(3) '1 day'",
        "ARRAY[1, 2]",
        "current_date",
        "'%s :x {} ? $1'",
        "'🚀'",
    ]
)
OPERATORS = st.sampled_from(
    [
        "=",
        "<>",
        "!=",
        "<",
        ">=",
        "+",
        "-",
        "*",
        "/",
        "%",
        "^",
        "||",
        "&&",
        "?",
        "?|",
        "?&",
        "&",
        "|",
        "#",
        "@@",
        "@?",
        "^@",
        "#-",
        "->",
        "->>",
        "#>",
        "#>>",
        "@>",
        "<@",
        "~",
        "!~*",
        "~~",
        "LIKE",
        "NOT ILIKE",
        "SIMILAR TO",
        "AND",
        "OR",
        "IS DISTINCT FROM",
        "IS NOT DISTINCT FROM",
        "OPERATOR(pg_catalog.+)",
        "AT TIME ZONE",
        "*<>",
        "<->",
    ]
)
SHAPES = st.sampled_from(
    [
        "NOT {0}",
        "- {0}",
        "@ {0}",
        "{0}::text",
        "CAST({0} AS numeric(10, 2))",
        "{0}::int[]",
        "{0} IS NULL",
        "{0} NOTNULL",
        "{0} IS NOT TRUE",
        "{0} BETWEEN {1} AND {2}",
        "{0} NOT BETWEEN SYMMETRIC {1} AND {2}",
        "{0} IN ({1}, {2})",
        "{0} = ANY ({1})",
        "{0} <> ALL ({1})",
        "CASE WHEN {0} THEN {1} ELSE {2} END",
        "CASE {0} WHEN {1} THEN {2} END",
        "coalesce({0}, {1})",
        "nullif({0}, {1})",
        "greatest({0}, {1})",
        "f({0}, VARIADIC {1})",
        "s.f(x => {0})",
        '{0} COLLATE "C"',
        "ROW({0}, {1}) < ROW({1}, {2})",
        "({0}, {1}) = ({1}, {2})",
        "extract(year FROM {0})",
        "substring({0} FROM 1 FOR 2)",
        "{0} LIKE {1} ESCAPE '#'",
        "{0} IS JSON ARRAY",
        "trim(both {0} FROM {1})",
        "({0})[1:2]",
        "overlay({0} placing {1} from 1)",
    ]
)
# Each operand in parentheses: which operator binds stronger is for the grammar, not for this test, to know.
EXPRESSIONS = st.recursive(
    NAMES | LITERALS,
    lambda inner: st.one_of(
        st.builds("({}) {} ({})".format, inner, OPERATORS, inner),
        st.builds(lambda shape, *parts: shape.format(*(f"({part})" for part in parts)), SHAPES, inner, inner, inner),
    ),
    max_leaves=8,
)


@given(EXPRESSIONS)
def test_what_is_written_is_the_same_and_stays_the_same(text: str) -> None:
    """F21"""
    written = one_expression(text)

    assert one_expression(written) == written
    assert postgast.deparse(postgast.parse(f"SELECT ({text})")) == postgast.deparse(postgast.parse(f"SELECT {written}"))


PIECES = [
    "(",
    ")",
    "'",
    '"',
    ";",
    "--",
    "/*",
    "*/",
    "\n",
    "a",
    "1",
    "=",
    " OR ",
    "SELECT ",
    " FROM ",
    "$$",
    "E'",
    "\\",
    ",",
    "$1",
    "[",
    "]",
    " AS ",
    "::",
    "true",
    " UNION ",
    " LIMIT ",
    "*",
    "%",
    ":",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_whatever_is_taken_stays_inside_its_parentheses(text: str) -> None:
    try:
        written = one_expression(text)
    except ValueError:
        return
    (statement,) = postgast.parse(f"SELECT FROM t WHERE (false AND ({written})) ORDER BY 1").stmts
    conjunction = statement.stmt.select_stmt.where_clause.bool_expr

    assert conjunction.args[0].a_const.boolval.boolval is False
    assert len(statement.stmt.select_stmt.sort_clause) == 1
