"""`where` and `cost` on a real server: what is taken runs, what is refused says why, and what depends on the time."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.base import queries
from inference.base.database import PREDICTIONS, Databases
from inference.errors import SourceError
from inference.jobs import sql_expression
from inference.planning.search import section
from tests.stub import Pipeline, create_messages, job, run_row, sql

TAKEN = {
    "tags && ARRAY['vip']": [1],
    "meta ? 'lang'": [1, 2],
    "flags & 4 = 4": [2],
    r"text ~ '^\d+$'": [1],
    "created_at > timestamp with time zone '2024-01-01'": [2],
    r"text = E'it\'s' OR flags | 1 = 1": [1],
    "text ^@ 'b'": [2],
    "meta @? '$.lang ? (@ == \"ko\")'": [2],
    "(flags = 4) IS NOT DISTINCT FROM (text = 'b')": [1, 2],
    "(tags IS NULL OR flags = 0) IS FALSE": [2],
    "text LIKE '%3' AND id % 2 = 1": [1],
    "text = '123' -- the numbers": [1],
    "f(flags) = 5": [2],
    "text COLLATE \"C\" < 'a' AND NOT text = ':x {a} %s'": [1],
}


@pytest.fixture
def things(databases: Databases) -> Databases:
    columns = "id int PRIMARY KEY, text text, flags int, tags text[], meta jsonb, created_at timestamptz"
    sql(databases, f"CREATE TABLE thing ({columns})")
    values = "CAST(:tags AS text[]), jsonb_build_object('lang', CAST(:lang AS text)), CAST(:at AS timestamptz)"
    first = {"id": 1, "text": "123", "flags": 0, "tags": ["vip"], "lang": "en", "at": "2023-01-01"}
    second = {"id": 2, "text": "b", "flags": 4, "tags": ["b"], "lang": "ko", "at": "2024-06-01"}
    for row in (first, second):
        sql(databases, f"INSERT INTO thing SELECT :id, :text, :flags, {values}", **row)
    sql(databases, "CREATE FUNCTION f(x int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT x + 1'")
    return databases


@pytest.mark.parametrize("where", TAKEN)
def test_a_closed_expression_selects_what_it_says(things: Databases, where: str) -> None:
    """F21"""
    pipeline = Pipeline(things, job(source__relation="thing", source__where=where, cost="length(text) + (flags & 4)"))

    pipeline.run()

    assert [key for (key,) in sql(things, "SELECT id FROM prediction.intent ORDER BY id")] == TAKEN[where]
    assert sql(things, "SELECT id FROM prediction.intent__current WHERE is_current ORDER BY id") == [
        (key,) for key in TAKEN[where]
    ]


@pytest.mark.parametrize(
    ("field", "text", "reason"),
    [
        ("source__where", "wrong = 1", 'column "wrong" does not exist'),
        ("source__where", "count(*) > 1", "aggregate functions are not allowed in WHERE"),
        ("source__where", "grouping(id) = 1", "grouping operations are not allowed"),
        ("source__where", "generate_series(1, 2) = id", "set-returning functions are not allowed"),
        ("source__where", "text", "must be type boolean"),
        ("source__where", "id::wrong = 1", 'type "wrong" does not exist'),
        ("source__where", "random() > 0.5", r"random\(\) is volatile"),
        ("source__where", 'pg_catalog."random"() > 0.5', r"random\(\) is volatile"),
        ("source__where", "shop.draw(id) = 1", r"draw\(\) is volatile: .* declare it STABLE"),
        ("source__where", "draw(id) = 1", "function draw.* does not exist"),
        ("cost", "tags", "cannot cast type text.* to double precision"),
    ],
)
def test_what_the_server_refuses_names_the_field_and_the_reason(
    things: Databases, field: str, text: str, reason: str
) -> None:
    sql(things, "CREATE SCHEMA shop")
    sql(things, "CREATE FUNCTION shop.draw(x int) RETURNS int LANGUAGE sql AS 'SELECT x'")
    pipeline = Pipeline(things, job(source__relation="thing", **{field: text}))

    with pytest.raises(SourceError, match=reason) as raised:
        pipeline.plan()

    assert str(raised.value).startswith(field.replace("__", ".") + ": '")


def test_a_name_in_a_text_is_no_function(things: Databases) -> None:
    """A string that looks like a call of a volatile function, and one whose other overload is in another schema."""
    sql(things, "CREATE SCHEMA shop")
    sql(things, "CREATE FUNCTION shop.f(x int) RETURNS int VOLATILE LANGUAGE sql AS 'SELECT x'")

    Pipeline(things, job(source__relation="thing", source__where="text <> 'random()' AND f(flags) > 0")).plan()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
    st.sampled_from(["plain", "escape", "dollar", "unicode"]),
)
def test_each_way_to_write_a_text_keeps_its_value(databases: Databases, value: str, way: str) -> None:
    """F21"""
    written = {
        "plain": "'" + value.replace("'", "''") + "'",
        "escape": "E'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'",
        "dollar": f"$q${value}$q$",
        "unicode": "U&'" + "".join(f"\\+{ord(letter):06x}" for letter in value) + "'",
    }[way]
    if way == "dollar" and "$" in value:
        return
    text = sql_expression.one_expression(written)
    with databases.begin(PREDICTIONS) as connection:
        assert connection.exec_driver_sql(f"SELECT {queries.expression(text).string}", {"": None}).scalar() == value


TIMELESS = ["id > 0", "current_user = 'x'", "text = 'nowhere'", "age(created_at, created_at) = '0'", "f(flags) > 1",
            "text = 'now or never'", "date '2024-01-01' < created_at", "\"now\" = 'a'"]  # fmt: skip
TIMELY = {
    "created_at < now() - interval '6 seconds'": "now()",
    "created_at < pg_catalog.\"now\"()": "now()",
    "created_at < transaction_timestamp()": "transaction_timestamp()",
    "created_at < statement_timestamp()": "statement_timestamp()",
    "created_at::date < current_date": "current_date",
    "created_at < current_timestamp(3)": "current_timestamp",
    "created_at::time < localtime": "localtime",
    "created_at::timestamp < localtimestamp": "localtimestamp",
    "created_at < 'now'": "'now'",
    "created_at < timestamptz ' ToDay 12:00'": "' ToDay 12:00'",
    "created_at::date = date 'yesterday' + 1": "'yesterday'",
    "created_at < 'tomorrow allballs'": "'tomorrow allballs'",
    "age(created_at) > '1 day'": "age()",
    "CASE WHEN flags > 0 THEN created_at < now() END": "now()",
    "g(flags) > 1": "g()",
    "public.g(flags) > 1": "g()",
}  # fmt: skip


def _source(where: str | None) -> dict[str, object]:
    return section(job(source__relation="thing", source__where=where))


@pytest.mark.parametrize("where", [None, *TIMELESS])
def test_what_changes_with_its_row_alone(things: Databases, where: str | None) -> None:
    with things.begin(PREDICTIONS) as connection:
        assert sql_expression.depends_on_time(connection, _source(where)) is None


@pytest.mark.parametrize("where", TIMELY)
def test_what_changes_by_the_passing_of_time(things: Databases, where: str) -> None:
    """F12"""
    sql(things, "CREATE FUNCTION g(x int) RETURNS int STABLE LANGUAGE sql AS 'SELECT x'")
    with things.begin(PREDICTIONS) as connection:
        assert sql_expression.depends_on_time(connection, _source(where)) == TIMELY[where]


def test_a_row_that_becomes_due_by_time_is_found_by_the_next_run(databases: Databases) -> None:
    """F12: without the window, since no cursor tells of it."""
    create_messages(databases, ["due", "too young"])
    sql(databases, "UPDATE message SET updated_at = now() - interval '1 day'")
    sql(databases, "CREATE TABLE clock (ahead interval)")
    sql(databases, "INSERT INTO clock VALUES ('0')")
    sql(
        databases,
        "CREATE FUNCTION present() RETURNS timestamptz STABLE LANGUAGE sql AS 'SELECT now() + ahead FROM clock'",
    )
    sql(databases, "UPDATE message SET channel = CASE id WHEN 1 THEN '1 h' ELSE '3 days' END")
    where = "updated_at < present() - channel::interval"
    pipeline = Pipeline(databases, job(source__cursor="updated_at", source__lookback="1s", source__where=where))
    pipeline.run()
    assert sql(databases, "SELECT id FROM prediction.intent") == [(1,)]

    sql(databases, "UPDATE clock SET ahead = '3 days'")
    later = pipeline.run()

    assert run_row(databases, later.run_id)["window_start"] is None
    assert sql(databases, "SELECT id FROM prediction.intent ORDER BY id") == [(1,), (2,)]
