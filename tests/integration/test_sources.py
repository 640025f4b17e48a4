"""Sources of all kinds: hostile settings, another database, strange names and keys, views, deletes, limits."""

# ruff: noqa: S608 - the statements are made of this file's own constants

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

import pandas as pd
import psycopg2
import pytest
from sqlalchemy import text

from inference.base import database
from inference.base.database import Databases
from inference.base.outputs import Output
from inference.base.signature import Input, Signature
from inference.errors import JobError, ModelError, PermanentError, RequestError, SourceError, Unavailable
from inference.schema import migrate
from services.postgres import Postgres
from tests.stub import (
    TEXT,
    Digest,
    Pipeline,
    Printed,
    assert_current,
    counts,
    create_messages,
    digest,
    job,
    predictions,
    printing,
    run_row,
    sql,
)

HOSTILE = {
    "TimeZone": "Asia/Seoul",
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "iso_8601",
    "bytea_output": "escape",
    "extra_float_digits": "-10",
    "client_encoding": "LATIN1",
    "default_transaction_isolation": "serializable",
    "standard_conforming_strings": "off",
    "search_path": "pg_catalog",
}


def make_hostile(databases: Databases, name: str = "predictions") -> None:
    place = databases.url(name).database
    for setting, value in HOSTILE.items():
        sql(databases, f"ALTER DATABASE {place} SET {setting} = '{value}'", name)


@pytest.fixture
def other(postgres: Postgres, databases: Databases) -> Iterator[Databases]:
    """The predictions' database and, by the name `company`, another one without the schema."""
    predictions_url = databases.url("predictions")
    name = f"{predictions_url.database}_company"
    postgres.create_database(name)
    yield Databases(
        {"predictions": predictions_url.render_as_string(hide_password=False), "company": postgres.url(name)}
    )
    postgres.drop_database(name)


VALUES = """
CREATE TABLE public.measure (
    id bigint PRIMARY KEY, at timestamptz, raw bytea, value float8, small real, name text, spans interval[],
    days date[], ratio float8[]);
INSERT INTO public.measure
SELECT n, timestamptz '2024-02-03 04:05:06.789+00' + n * interval '25 hours', decode(md5(n\\:\\:text), 'hex'),
       n / 3.0\\:\\:float8, n / 7.0\\:\\:real, 'é 한국 ' || n, ARRAY[n * interval '1 day 2 hours', NULL],
       ARRAY[date '2024-02-03' + n], ARRAY[n / 3.0\\:\\:float8]
FROM generate_series(1, 50) n;
"""
INPUTS = {
    "at": "datetime", "raw": "binary", "value": "double", "small": "float", "name": "string",
    "spans": "array", "days": "array", "ratio": "array",
}  # fmt: skip


def measuring(databases: Databases, **changes: Any) -> Pipeline:
    return Pipeline(
        databases, job(cost="1", source__relation="measure", source__inputs=list(INPUTS), **changes), Printed(),
        printing(**INPUTS),
    )  # fmt: skip


def test_role_settings_change_neither_hash_nor_value(databases: Databases) -> None:
    sql(databases, VALUES)
    kind = measuring(databases)
    assert kind.run().planned == 50
    before = predictions(databases)

    make_hostile(databases)

    assert sql(databases, "SHOW search_path") == [("pg_catalog",)]  # it did arrive
    assert kind.run().planned == 0
    again = kind.run(mode="key_range", key_from="1")
    assert again.planned == 50
    after = predictions(databases)
    assert {key: (row["printed"], row["input_hash"]) for key, row in after.items()} == {
        key: (row["printed"], row["input_hash"]) for key, row in before.items()
    }
    assert sql(databases, "SELECT count(*) FROM prediction.intent__current WHERE is_current") == [(50,)]
    assert kind.run().planned == 0


def test_a_session_with_other_settings_sees_the_same_rows_as_current(databases: Databases) -> None:
    sql(databases, VALUES)
    measuring(databases).run()
    make_hostile(databases)
    url = databases.url("predictions").set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("SHOW IntervalStyle")
        assert cursor.fetchone() == ("iso_8601",)
        cursor.execute("SELECT count(*) FROM prediction.intent__current WHERE is_current")
        assert cursor.fetchone() == (50,)
    connection.close()


@pytest.mark.parametrize("hostile", ["company", "predictions"])
def test_hostile_settings_on_one_side_of_two_databases(other: Databases, hostile: str) -> None:
    sql(other, VALUES, "company")
    make_hostile(other, hostile)
    kind = measuring(other, source__connection="company", sizes__chunk_rows=7)

    assert counts(other, kind.run().run_id) == {"planned": 50, "predicted": 50}
    assert kind.run().planned == 0
    sql(other, "UPDATE public.measure SET spans = ARRAY[interval '5 days'] WHERE id = 9", "company")
    assert kind.run().planned == 1


def test_source_and_predictions_in_two_databases(other: Databases) -> None:
    create_messages(other, [f"text {number % 100}" for number in range(300)], "company")
    pipeline = Pipeline(other, job(source__connection="company"))

    assert counts(other, pipeline.run().run_id) == {"planned": 300, "predicted": 100, "reused": 200}
    assert_current(other, "company")
    assert pipeline.run().planned == 0

    sql(other, "UPDATE message SET text = text || '!' WHERE id <= 10", "company")
    sql(other, "INSERT INTO message (text) VALUES ('new'), (NULL), ('')", "company")
    planned = pipeline.plan()
    assert planned.planned == 13
    sql(other, "DELETE FROM message WHERE id = 1", "company")
    sql(other, "UPDATE message SET text = 'edited again' WHERE id = 2", "company")
    pipeline.predict(planned)
    pipeline.finish(planned)
    assert counts(other, planned.run_id) == {"planned": 13, "predicted": 12, "vanished": 1, "changed_at_read": 1}
    sql(other, "DELETE FROM prediction.intent__blue WHERE id = 1")
    assert_current(other, "company")
    assert pipeline.run().planned == 0


def test_deletes_and_windows_across_two_databases(other: Databases) -> None:
    create_messages(other, [f"message {number}" for number in range(100)], "company")
    changes: dict[str, Any] = {"source__cursor": "updated_at", "source__sweep": "0 0 1 1 *"}
    pipeline = Pipeline(other, job(source__connection="company", source__on_delete="delete", **changes))
    pipeline.run()
    sql(other, "DELETE FROM message WHERE id IN (5, 6)", "company")
    sql(other, "UPDATE message SET text = 'x', updated_at = now() WHERE id = 7", "company")

    assert counts(other, pipeline.run().run_id) == {"planned": 1, "predicted": 1}
    sql(other, "UPDATE prediction.run SET source_time = source_time - interval '2 years' WHERE sweep")
    assert counts(other, pipeline.run().run_id) == {"deleted": 2}
    assert_current(other, "company")


@pytest.mark.parametrize("where", ["predictions", "company"])
def test_a_key_with_a_collation_of_its_own(other: Databases, where: str) -> None:
    sql(other, 'CREATE TABLE message (id text COLLATE "C" PRIMARY KEY, text text)', where)
    sql(other, "INSERT INTO message SELECT chr(64 + n % 60) || n, 'text ' || n FROM generate_series(1, 200) n", where)
    pipeline = Pipeline(other, job(source__connection=where, sizes__chunk_rows=30))

    assert counts(other, pipeline.run().run_id) == {"planned": 200, "predicted": 200}
    assert pipeline.run().planned == 0
    assert_current(other, where)


STRANGE = 'o"dd; DROP TABLE x; -- %s %(x)s {braces} :colon é'
KEY_VALUES = [
    "it's",
    'say "hi"',
    "50%",
    "%(x)s",
    "%s",
    "a:b",
    ":x",
    "{y}",
    "Ä한",
    "",
    "a\\b",
    "tab\t",
    "new\nline",
    "\\N",
]


@pytest.mark.parametrize("connection", ["predictions", "company"])
def test_names_and_values_full_of_sql_are_data(other: Databases, connection: str) -> None:
    quoted = '"' + STRANGE.replace('"', '""') + '"'
    schema = '"Select %(y)s"'
    names = {name: name.replace(":", "\\:") for name in (quoted, schema)}
    sql(other, f"CREATE SCHEMA {names[schema]}", connection)
    table = f"{names[schema]}.{names[quoted]}"
    sql(other, f'CREATE TABLE {table} ({names[quoted]} text PRIMARY KEY, "order" text, "Key%1" text)', connection)
    for value in KEY_VALUES:
        sql(other, f"INSERT INTO {table} VALUES (:v, :v, :w)", connection, v=value, w=value + "!")
    signature = printing(**{"order": "string", "Key%1": "string"})
    output = Output('res:ult %(x)s "{z}" %', "text", True)

    class Named(Printed):
        def predict(self, data: Any) -> Any:
            return super().predict(data).rename(columns={"printed": output.name})

    section = {
        "connection": connection, "schema": schema.strip('"'), "relation": STRANGE, "key": [STRANGE],
        "inputs": ["order", "Key%1"], "where": "\"Key%1\" LIKE '%!' AND \"order\" <> '100%'", "on_delete": "delete",
        "max_delete_rate": 1.0,
    }  # fmt: skip
    checks = {"outputs": {output.name: {"nulls": False}}}
    pipeline = Pipeline(
        other,
        job(source=section, cost="coalesce(length(\"order\"), 0) + length('%s {a}')", history="append", checks=checks),
        Named(),
        Signature(signature.inputs, (output,)),
    )

    assert counts(other, pipeline.run().run_id) == {"planned": len(KEY_VALUES), "predicted": len(KEY_VALUES)}
    assert pipeline.run().planned == 0
    found = sql(other, "SELECT * FROM prediction.intent")
    assert sorted((row[0], row[1]) for row in found) == sorted((v, repr((v, v + "!"))) for v in KEY_VALUES)
    sql(other, f"UPDATE {table} SET \"order\" = 'now: %' WHERE \"order\" = '%s'", connection)
    sql(other, f"DELETE FROM {table} WHERE \"order\" = 'it''s'", connection)
    assert counts(other, pipeline.run().run_id) == {"planned": 1, "predicted": 1, "deleted": 1}
    assert len(sql(other, "SELECT FROM prediction.intent__history")) == 2
    ranged = pipeline.run(mode="key_range", key_from="50%", key_to="50%")
    assert ranged.planned == 1
    if connection == "predictions":
        assert sql(other, "SELECT count(*), count(*) FILTER (WHERE is_current) FROM prediction.intent__current") == [
            (len(KEY_VALUES) - 1, len(KEY_VALUES) - 1)
        ]
    sql(other, "SELECT FROM prediction.run")  # nothing was dropped


@pytest.mark.parametrize("connection", ["predictions", "company"])
def test_a_where_with_percent_signs_and_braces(other: Databases, connection: str) -> None:
    """R8."""
    create_messages(other, ["100% {a} :b", "nothing", "50%"], connection)
    pipeline = Pipeline(
        other,
        job(
            source__where="text LIKE '%\\%%' OR text = '{a}' OR text LIKE '%!%%' ESCAPE '!'".replace("\\", "!"),
            source__connection=connection,
        ),
    )

    assert pipeline.run().planned == 2
    assert pipeline.run().planned == 0
    if connection == "predictions":
        assert len(sql(other, "SELECT FROM prediction.intent__current WHERE is_current")) == 2


@pytest.mark.parametrize("connection", ["predictions", "company"])
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("text LIKE '%2'", {2, 12}),
        ("id % 2 = 1 AND id %5 > 3", {9}),
        ("text = ':x' OR text = '%(id)s' OR text LIKE '%%'", set(range(1, 13))),
        ("text = ':x' OR text = '%s'", {3, 4}),
        ("text::varchar(1) = ':'", {3}),
    ],
)
def test_placeholders_of_drivers_mean_nothing_in_a_where(
    other: Databases, connection: str, where: str, expected: set[int]
) -> None:
    """R8."""
    texts = [f"text {number}" for number in range(1, 13)]
    create_messages(other, [*texts[:2], ":x", "%s", *texts[4:]], connection)
    cost = "length(text) % 3 + 1 + length(':x %s %(id)s')"
    pipeline = Pipeline(other, job(source__where=where, source__connection=connection, cost=cost))

    assert pipeline.run().planned == len(expected)
    assert set(predictions(other)) == expected
    assert pipeline.run().planned == 0


KEYS = {
    "composite": ("tenant integer, id text", "(1, 'a'), (1, 'b'), (2, 'a'), (-5, '')", ["tenant", "id"]),
    "uuid": ("id uuid", "(gen_random_uuid()), (gen_random_uuid())", ["id"]),
    "text": ("id text", "('x''y'), ('A'), ('a'), ('%s')", ["id"]),
    "timestamptz": ("id timestamptz", "('2024-01-01 00:00:00.123456+09'), ('infinity'), ('0044-03-15 BC')", ["id"]),
    "bytea": ("id bytea", "('\\x00ff'), ('\\x')", ["id"]),
    "numeric": ("id numeric", "(1.0), (1.01), ('NaN')", ["id"]),
    "digits": ("id numeric", f"({'9' * 1000}), ({'9' * 1000}.5), (1e-1000), (1e-1001)", ["id"]),
    "collated": ("id text COLLATE pg_c_utf8", "('a'), ('A'), ('\u00e9'), ('e\u0301'), ('\U0001f600')", ["id"]),
    "inet": ("id inet", "('10.0.0.1'), ('10.0.0.0/8'), ('::1')", ["id"]),
    "interval": ("id interval", "('1 day 02:00'), ('26:00:01'), ('-1 mon')", ["id"]),
    "float": ("id float8", "(0.1), (1e300), ('NaN'), ('-Infinity')", ["id"]),
    "varchar": ("id varchar(5)", "('abcde'), ('')", ["id"]),
    "char": ("id char(5)", "('ab'), ('')", ["id"]),
    "date": ("id date, \"end\" date", "('2024-01-01', '2024-02-01'), ('2024-01-01', '2024-03-01')", ["id", "end"]),
}  # fmt: skip


@pytest.mark.parametrize("connection", ["predictions", "company"])
@pytest.mark.parametrize("name", KEYS)
def test_keys_of_many_types(other: Databases, name: str, connection: str) -> None:
    columns, values, key = KEYS[name]
    names = ", ".join(f'"{column}"' for column in key)
    sql(other, f"CREATE TABLE message ({columns}, text text, PRIMARY KEY ({names}))", connection)
    sql(other, f"INSERT INTO message ({names}) VALUES {values}".replace(":", "\\:"), connection)
    sql(other, f"UPDATE message SET text = CAST(ROW({names}) AS text)", connection)
    rows = len(sql(other, "SELECT FROM message", connection))
    pipeline = Pipeline(other, job(source__key=key, source__connection=connection))

    assert counts(other, pipeline.run().run_id) == {"planned": rows, "predicted": rows}
    found = sql(other, f"SELECT CAST(ROW({names}) AS text), digest FROM prediction.intent")
    assert dict(found) == {value: digest(value) for (value,) in sql(other, "SELECT text FROM message", connection)}
    assert pipeline.run().planned == 0


@pytest.mark.parametrize(
    ("relation", "wanted"),
    [
        ("nulls", r"source\.key: 2 rows have NULL in id"),
        ("twice", r"source\.key: 3 values of \(id\) belong to more than one row: \(1\) 2 times; \(2\) 2 times"),
    ],
)
def test_bad_keys_of_a_view_are_refused_before_anything_is_scored(
    databases: Databases, relation: str, wanted: str
) -> None:
    create_messages(databases, ["a", "b", "c"])
    sql(databases, "CREATE VIEW nulls AS SELECT nullif(id % 2, 1) AS id, text FROM message")
    sql(databases, "CREATE VIEW twice AS SELECT * FROM message UNION ALL SELECT * FROM message")
    pipeline = Pipeline(databases, job(source__relation=relation))

    with pytest.raises(SourceError, match=wanted):
        pipeline.plan()
    assert sql(databases, "SELECT relname FROM pg_class WHERE relname ~ '^(work|result)_'") == []
    assert sql(databases, "SELECT state FROM prediction.run") == []


def test_a_table_whose_children_repeat_its_keys_is_refused(databases: Databases) -> None:
    """R5. A unique index covers the parent alone."""
    create_messages(databases, ["a", "b"])
    sql(databases, "CREATE TABLE child () INHERITS (message)")
    sql(databases, "INSERT INTO child (id, text) VALUES (1, 'again')")

    with pytest.raises(SourceError, match=r"1 values of \(id\) belong to more than one row: \(1\) 2 times"):
        Pipeline(databases).plan()


def test_missing_and_renamed_columns_and_tables_are_named(databases: Databases) -> None:
    create_messages(databases, ["a"])
    Pipeline(databases).run()
    sql(databases, "ALTER TABLE message RENAME COLUMN text TO body")
    with pytest.raises(
        SourceError, match=r"source\.inputs: 'text' is no column of public\.message, which has: id, body"
    ):
        Pipeline(databases).plan()
    for changes, wanted in (
        ({"source__relation": "Message"}, r"public\.Message is no table or view .*case-sensitive"),
        ({"source__key": ["nr"]}, r"source\.key: 'nr' is no column"),
        ({"source__cursor": "changed"}, r"source\.cursor: 'changed' is no column"),
        ({"source__cursor": "channel"}, r"source\.cursor: 'channel' is text; it must be timestamptz"),
    ):
        with pytest.raises(SourceError, match=wanted):
            Pipeline(databases, job(source__inputs=["body"], **changes)).plan()


def test_a_column_that_is_renamed_between_plan_and_read(databases: Databases) -> None:
    create_messages(databases, ["a"])
    pipeline = Pipeline(databases)
    planned = pipeline.plan()
    sql(databases, "ALTER TABLE message RENAME COLUMN text TO body")

    with pytest.raises(SourceError, match="'text' is no column"):
        pipeline.predict(planned)


def test_nothing_is_cast_silently(databases: Databases) -> None:
    sql(databases, "CREATE TABLE message (id bigint PRIMARY KEY, text numeric)")
    signature = Signature((Input("text", "double", "float64", True),), TEXT.outputs)
    with pytest.raises(ModelError, match=r"'text' is double; the source's column is numeric, and nothing is cast"):
        Pipeline(databases, job(cost="1"), signature=signature).plan()


@pytest.mark.parametrize(
    ("cost", "wanted"),
    [
        ("count(*)", "aggregate functions are not allowed"),
        ("generate_series(1, 3)", "set-returning functions are not allowed"),
        ("nothing + 1", 'column "nothing" does not exist'),
        ("random()", r"random\(\) is volatile: it may give another value each time"),
        ("length(pg_catalog.\"pg_read_file\" ('/etc/passwd'))", r"pg_read_file\(\) is volatile"),
    ],
)
def test_a_cost_that_postgres_refuses_is_named(databases: Databases, cost: str, wanted: str) -> None:
    create_messages(databases, ["a"])
    with pytest.raises((SourceError,), match=wanted) as caught:
        Pipeline(databases, job(cost=cost)).plan()
    assert str(caught.value).startswith("cost: ")


@pytest.mark.parametrize("connection", ["predictions", "company"])
def test_a_row_that_the_search_cannot_compute_is_named_as_what_it_is(other: Databases, connection: str) -> None:
    create_messages(other, ["1", "x"], connection)
    with pytest.raises(SourceError, match=r'Postgres says: invalid input syntax for type integer: "\.\.\."'):
        Pipeline(other, job(source__where="text::integer > 0", source__connection=connection)).plan()


def test_a_cost_that_is_no_number_for_a_row_counts_as_one(databases: Databases) -> None:
    create_messages(databases, ["a", "bb", "ccc", "dddd"])
    cost = "CASE id WHEN 1 THEN NULL WHEN 2 THEN 'NaN'::float8 WHEN 3 THEN 'Infinity'::float8 ELSE -5 END"
    pipeline = Pipeline(databases, job(cost=cost, sizes__shard_rows=1))

    assert counts(databases, pipeline.run().run_id) == {"planned": 4, "predicted": 4}
    assert_current(databases)


def test_append_only_sources_are_pending_by_key_alone(databases: Databases) -> None:
    create_messages(databases, ["a", "b"])
    pipeline = Pipeline(databases, job(source__changes="none"))
    pipeline.run()
    sql(databases, "UPDATE message SET text = 'edited'")
    sql(databases, "INSERT INTO message (text) VALUES ('c')")

    assert pipeline.run().planned == 1
    found = predictions(databases)
    assert {key: (row["digest"], row["input_hash"]) for key, row in found.items()} == {
        1: (digest("a"), None), 2: (digest("b"), None), 3: (digest("c"), None),
    }  # fmt: skip
    assert sql(databases, "SELECT id FROM prediction.intent__current WHERE NOT is_current") == []


class TestDeletes:
    @pytest.fixture
    def pipeline(self, databases: Databases) -> Pipeline:
        create_messages(databases, [f"message {number}" for number in range(100)])
        pipeline = Pipeline(databases, job(source__on_delete="delete", history="append"))
        pipeline.run()
        return pipeline

    def test_deleted_rows_lose_their_prediction_also_when_nothing_is_pending(self, pipeline: Pipeline) -> None:
        sql(pipeline.databases, "DELETE FROM message WHERE id <= 5")

        planned = pipeline.run()

        assert planned.shards == []
        assert counts(pipeline.databases, planned.run_id) == {"deleted": 5}
        assert_current(pipeline.databases)
        assert [row[0] for row in sql(pipeline.databases, "SELECT id FROM prediction.intent__history ORDER BY 1")] == [
            1, 2, 3, 4, 5,
        ]  # fmt: skip

    def test_a_changed_key_is_a_delete_and_an_insert(self, pipeline: Pipeline) -> None:
        sql(pipeline.databases, "UPDATE message SET id = 1000 WHERE id = 1")

        assert counts(pipeline.databases, pipeline.run().run_id) == {"planned": 1, "predicted": 1, "deleted": 1}
        assert_current(pipeline.databases)

    def test_too_many_deletes_are_refused_and_the_rest_goes_on(self, pipeline: Pipeline) -> None:
        sql(pipeline.databases, "DELETE FROM message WHERE id <= 6")
        sql(pipeline.databases, "UPDATE message SET text = 'edited' WHERE id = 50")

        planned = pipeline.run()

        assert "nothing deleted: 6 of 100 predictions (6.0%)" in planned.message
        assert counts(pipeline.databases, planned.run_id) == {"planned": 1, "predicted": 1}
        assert len(predictions(pipeline.databases)) == 100

    def test_a_truncated_source_deletes_nothing(self, pipeline: Pipeline) -> None:
        sql(pipeline.databases, "TRUNCATE message")

        planned = pipeline.run()

        assert (planned.state, "nothing deleted: 100 of 100" in planned.message) == ("empty", True)
        assert len(predictions(pipeline.databases)) == 100

    def test_rows_that_leave_where_are_deleted(self, pipeline: Pipeline) -> None:
        sql(pipeline.databases, "UPDATE message SET channel = 'spam' WHERE id IN (3, 4)")
        pipeline.job = job(source__on_delete="delete", source__where="channel IS DISTINCT FROM 'spam'")

        assert counts(pipeline.databases, pipeline.run().run_id) == {"deleted": 2}

    def test_by_default_predictions_stay(self, databases: Databases) -> None:
        create_messages(databases, ["a", "b"])
        pipeline = Pipeline(databases)
        pipeline.run()
        sql(databases, "DELETE FROM message WHERE id = 1")
        assert pipeline.run().state == "empty"
        assert set(predictions(databases)) == {1, 2}


def test_history_keeps_what_was_superseded(databases: Databases) -> None:
    create_messages(databases, ["a", "b", "c"])
    pipeline = Pipeline(databases, job(history="append"))
    first = pipeline.run()
    sql(databases, "UPDATE message SET text = 'b2' WHERE id = 2")
    pipeline.run()

    found = sql(databases, "SELECT id, digest, run_id FROM prediction.intent__history")
    assert found == [(2, digest("b"), first.run_id)]
    assert_current(databases)


def test_row_limit_leaves_the_rest_pending_and_the_window_open(databases: Databases) -> None:
    create_messages(databases, [f"message {number}" for number in range(100)])
    sql(databases, "UPDATE message SET updated_at = now() - interval '1 year'")
    pipeline = Pipeline(databases, job(source__cursor="updated_at", source__sweep="0 0 1 1 *"))

    for rest in (100, 70, 40, 10):
        planned = pipeline.run(row_limit=30)
        assert planned.planned == min(rest, 30)
        # The last is complete: fewer rows were there than allowed.
        assert run_row(databases, planned.run_id)["complete"] == (rest == 10)
    assert_current(databases)
    assert pipeline.run().planned == 0
    assert [row[0] is not None for row in sql(databases, "SELECT window_start FROM prediction.run ORDER BY 1")] == [
        True, False, False, False, False,
    ]  # fmt: skip


def test_key_range_scores_again_from_and_to_included(databases: Databases) -> None:
    create_messages(databases, [f"message {number}" for number in range(100)])
    pipeline = Pipeline(databases)
    pipeline.run()

    planned = pipeline.run(mode="key_range", key_from="10", key_to="19")

    assert planned.planned == 10
    again = {key for key, row in predictions(databases).items() if row["run_id"] == planned.run_id}
    assert again == set(range(10, 20))
    assert not run_row(databases, planned.run_id)["complete"]
    assert pipeline.run(mode="key_range", key_to="5").planned == 5
    assert pipeline.run(mode="key_range", key_from="99").planned == 2


@pytest.mark.parametrize(
    "value", ["x", "1; DROP TABLE message", "1) OR (1=1", "'", "%(key_to)s", "{x}", ":y", "99999999999999999999"]
)
def test_a_key_range_that_is_no_key_is_refused_and_never_sql(databases: Databases, value: str) -> None:
    create_messages(databases, ["a"])
    with pytest.raises(RequestError, match="key_from") as caught:
        Pipeline(databases).plan(mode="key_range", key_from=value)
    assert repr(value) in str(caught.value)
    assert len(sql(databases, "SELECT FROM message")) == 1


def test_a_dry_run_counts_scores_ten_and_publishes_nothing(databases: Databases) -> None:
    create_messages(databases, [f"message {number}" for number in range(100)])
    pipeline = Pipeline(databases)
    planned = pipeline.plan(dry_run=True)
    assert (planned.planned, planned.pending) == (10, 100)
    pipeline.predict(planned)

    assert pipeline.finish(planned) == "empty"

    row = run_row(databases, planned.run_id)
    assert "dry run: 100 rows are pending" in row["message"]
    assert not row["complete"]
    assert sql(databases, "SELECT relname FROM pg_class WHERE relname ~ '^(work|result)_|^intent'") == []
    assert pipeline.run().planned == 100


def test_declared_checks_of_outputs(databases: Databases) -> None:
    create_messages(databases, ["a", "bb", "ccc"])
    outputs = {"length": {"min": 1, "max": 2}, "digest": {"values": ["x"]}}
    pipeline = Pipeline(databases, job(checks={"outputs": outputs}))
    with pytest.raises(Exception) as caught:  # noqa: PT011
        pipeline.run()
    assert str(caught.value).startswith("outputs: ")
    assert "length: 1 values are too large; allowed: <= 2" in str(caught.value)
    assert "digest: 3 values are none of the declared values; allowed: x" in str(caught.value)
    pipeline.job = job(checks={"outputs": {"length": {"min": 1, "max": 3}}})
    pipeline.run()
    assert_current(databases)


def test_an_empty_source(databases: Databases) -> None:
    create_messages(databases, [])
    planned = Pipeline(databases).run()
    assert (planned.state, planned.message) == ("empty", "nothing is pending")
    assert run_row(databases, planned.run_id)["complete"]


def test_equal_inputs_are_scored_once(databases: Databases) -> None:
    create_messages(databases, ["same"] * 1000)
    pipeline = Pipeline(databases)
    pipeline.run()
    assert isinstance(pipeline.predictor, Digest)
    assert pipeline.predictor.rows == 1
    assert_current(databases)


def test_a_lock_that_is_held_for_long_is_named(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another plan or publish of this job is at work for longer than lock_timeout."""
    create_messages(databases, ["a"])
    pipeline = Pipeline(databases)
    pipeline.run()
    monkeypatch.setitem(database.SESSION, "lock_timeout", "100ms")
    url = databases.url("predictions").render_as_string(hide_password=False)
    other = Pipeline(Databases({"predictions": url}))

    with databases.begin("predictions") as connection:
        connection.execute(text("SELECT FROM prediction.job FOR UPDATE"))
        with pytest.raises(Unavailable, match="intent"):
            other.plan()


def test_a_key_of_a_type_that_is_not_here_is_named_with_the_way_out(other: Databases) -> None:
    sql(other, "CREATE TYPE kind AS ENUM ('a'); CREATE TABLE message (id kind PRIMARY KEY, text text)", "company")
    with pytest.raises(
        SourceError, match=r"source\.key: .*type .*kind.* does not exist.*Cast the key to a built-in type"
    ):
        Pipeline(other, job(source__connection="company")).plan()


@pytest.mark.parametrize(
    ("column", "wanted", "said"),
    [
        (unicodedata.normalize("NFD", "제목"), "제목", r"written with other code points \(NFD\)$"),
        ("제목", unicodedata.normalize("NFD", "제목"), r"written with other code points \(NFC\)$"),
        ("é", "e\u0301", r"written with other code points \(NFC\)$"),
        ("Title", "title", "; there is 'Title': capitals and blanks count$"),
        (" title ", "title", "; there is ' title ': capitals and blanks count$"),
        ("other", "title", "which has: id, text, channel, updated_at, other$"),
    ],
)
def test_a_column_that_only_looks_like_the_one_that_is_meant(
    databases: Databases, column: str, wanted: str, said: str
) -> None:
    """F25"""
    create_messages(databases, ["one"])
    sql(databases, f'ALTER TABLE message ADD COLUMN "{column}" text')

    with pytest.raises(SourceError, match=said):
        Pipeline(databases, job(source__inputs=["text", wanted])).plan()


@pytest.mark.parametrize(
    ("kind", "number", "fits"),
    [
        ("boolean", 1593, True),
        ("boolean", 1594, False),
        ("boolean", 1700, False),
        ("double precision", 1000, True),
        ("double precision", 1500, False),
        ("text[]", 700, False),
        ("double precision[]", 600, True),
    ],
)
def test_more_outputs_than_a_row_of_postgres_holds(databases: Databases, kind: str, number: int, fits: bool) -> None:
    """F34"""
    create_messages(databases, ["one"])
    outputs = tuple(Output(f"value {index}", kind, False) for index in range(number))
    pipeline = Pipeline(databases, signature=Signature(TEXT.inputs, outputs))

    if fits:
        assert pipeline.plan().planned == 1
    else:
        with pytest.raises(ModelError, match=f": {number} outputs: .* an array output is one column$") as raised:
            pipeline.plan()
        assert len(str(raised.value)) < 300


def test_values_that_are_too_long_for_a_row_by_their_number(databases: Databases) -> None:
    """F34: texts may be short, so plan cannot know."""
    create_messages(databases, ["one"])
    outputs = tuple(Output(f"value {index}", "text", False) for index in range(500))

    class Wide:
        def predict(self, data: pd.DataFrame) -> pd.DataFrame:
            return pd.DataFrame({item.name: ["x" * 20] * len(data) for item in outputs})

    with pytest.raises(PermanentError, match=r"row is too big.* an array output is one column"):
        Pipeline(databases, predictor=Wide(), signature=Signature(TEXT.inputs, outputs)).run()


@pytest.fixture
def korean(postgres: Postgres) -> Iterator[Databases]:
    """A database in EUC_KR."""
    admin = psycopg2.connect(postgres.libpq_url("postgres"))
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute("CREATE DATABASE test_korean ENCODING 'EUC_KR' LOCALE 'C' TEMPLATE template0")
    admin.close()
    databases = Databases({"predictions": postgres.url("test_korean")})
    migrate.upgrade(databases, lambda _: None)
    yield databases
    postgres.drop_database("test_korean")


def test_a_character_of_the_job_file_that_the_database_lacks(korean: Databases) -> None:
    """F31"""
    create_messages(korean, ["안녕"])
    pipeline = Pipeline(korean, job(description="의도 🚀", owner="팀"))

    with pytest.raises(JobError, match=r"^description: '🚀' has no place in the encoding .* database, EUC_KR"):
        pipeline.plan()

    pipeline.job = job(description="의도", source__where="text <> '🚀'")
    with pytest.raises((JobError, SourceError), match=r"^source(\.where)?: .*🚀.*EUC_KR"):
        pipeline.plan()
    pipeline.job = job(description="의도")
    pipeline.run()
    assert_current(korean)
