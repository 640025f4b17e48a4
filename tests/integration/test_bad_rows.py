"""Rows of every kind: the model is given exactly what is there, or the row is quarantined with the reason."""

# ruff: noqa: S608 - the statements are made of this file's own constants

from __future__ import annotations

import datetime
import itertools
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import psycopg2
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from inference.base.database import Databases
from inference.base.outputs import Output
from inference.base.signature import Input, Signature
from inference.errors import CheckFailed
from services.postgres import Postgres
from tests.integration.test_sources import other as other
from tests.stub import Pipeline, counts, create_messages, job, predictions, printing, register, sql

NUMBERS = itertools.count(1)
UTC = datetime.timezone.utc
DIGITS = "9" * 1000
PLANES = "".join(chr(plane * 0x10000 + offset) for plane in range(17) for offset in (0xA9, 0x4E00, 0xFFFD, 0xFFFF))
TEXTS = [
    "",
    " ",
    "\t\n\r\v\f\b\x01\x1f\x7f\x85\u2028\ufeff",
    PLANES,
    "e\u0301\u0323 Z\u0351\u0343\u035b",
    "\u202eشلومעברית\u202c",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1f0\U0001f1f7",
    "\ufdfa" * 1000,
    "'\"\\%s%(x)s{y}$1:z;--/*",
    "null",
    "\\N",
    "\\.",
]


class Quarantined:
    """What is expected of a row that no model can be given."""

    def __init__(self, message: str) -> None:
        self.message = message


NO_MOMENT = Quarantined("infinity is no moment that a model can be given")
NO_DATE = Quarantined("unable to parse")
NO_YEAR = Quarantined("year")
NO_NANOSECONDS = Quarantined("MLflow gives a model nanoseconds, which reach from 1677-09-21 to 2262-04-11")

# Name: type of the column, MLflow's type, and by SQL literal what the model must be given.
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "boolean": ("boolean", "boolean", {"true": True, "false": False}),
    "smallint": ("smallint", "integer", {"-32768": -(2**15), "32767": 2**15 - 1}),
    "integer": ("integer", "integer", {"-2147483648": -(2**31), "2147483647": 2**31 - 1}),
    "bigint": ("bigint", "long", {"-9223372036854775808": -(2**63), "9223372036854775807": 2**63 - 1}),
    "bigint, NULL": ("bigint", "long", {"NULL": Quarantined("input 'value' is NULL, and the model's signature says")}),
    "real": (
        "real",
        "float",
        {"0.1": np.float32(0.1), "NaN": np.nan, "-Infinity": -np.inf, "1e-45": np.float32(1e-45), "NULL": np.nan},
    ),
    "double": (
        "double precision",
        "double",
        {
            "0.1": 0.1,
            "NaN": np.nan,
            "Infinity": np.inf,
            "5e-324": 5e-324,
            "1.7976931348623157e308": 1.7976931348623157e308,
            "-0": -0.0,
        },
    ),
    "text": ("text", "string", {**{text: text for text in TEXTS}, "NULL": None}),
    "char": ("char(5)", "string", {"ab": "ab   ", "": "     "}),
    "varchar": ("varchar(5)", "string", {"ab ": "ab ", "한국어": "한국어"}),
    "name": ("name", "string", {"select": "select"}),
    "enum": ("mood", "string", {'it\'s "so so"': 'it\'s "so so"', "%s": "%s"}),
    "uuid": ("uuid", "string", {"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}),
    "domain": ("short", "string", {"abc": "abc", "NULL": None}),
    "bytea": ("bytea", "binary", {"\\x": b"", "\\x00ff5c": b"\x00\xff\\", "NULL": None}),
    "date": (
        "date",
        "datetime",
        {
            "1677-09-22": pd.Timestamp("1677-09-22"),
            "2262-04-11": pd.Timestamp("2262-04-11"),
            "0001-01-01": NO_NANOSECONDS,
            "9999-12-31": NO_NANOSECONDS,
            "infinity": NO_MOMENT,
            "10000-01-01": NO_YEAR,
            "0044-03-15 BC": NO_YEAR,
            "NULL": pd.NaT,
        },
    ),
    "timestamp": (
        "timestamp",
        "datetime",
        {
            "0001-01-01 00:00:00": NO_NANOSECONDS,
            "294276-12-31 23:59:59.999999": NO_YEAR,
            "9999-12-31 23:59:59.999999": NO_NANOSECONDS,
            "-infinity": Quarantined("infinity"),
        },
    ),
    "timestamptz": (
        "timestamptz",
        "datetime",
        {
            "2024-01-01 00:00:00.123456+09": pd.Timestamp("2023-12-31 15:00:00.123456"),
            "2024-01-01 00:00:00+05:45": pd.Timestamp("2023-12-31 18:15:00"),
            "0001-01-01 00:00:00+00": NO_NANOSECONDS,
            "294276-01-01 00:00:00+00": NO_YEAR,
            "infinity": NO_MOMENT,
        },
    ),
    "json": (
        "json",
        "object",
        {
            '{"a": [1, null, "\\ud83d\\ude00"], "a": 2}': {"a": 2},
            DIGITS: int(DIGITS),
            "null": None,
            '"x"': "x",
            f"0.{DIGITS}": 1.0,
            "0.1234567890123456789": 0.12345678901234568,
            '{"n": 123456789.123456789123456789}': {"n": 123456789.12345679},
            '{"n": 1e400}': Quarantined("1e400"),
            '"\\u0000"': "\0",
            "9" * 5000: Quarantined("5000 digits"),
        },
    ),
    "jsonb": (
        "jsonb",
        "object",
        {
            '{"b": 0.1, "a": {}}': {"a": {}, "b": 0.1},
            "[]": [],
            DIGITS: int(DIGITS),
            "NULL": None,
            "0.1234567890123456789": 0.12345678901234568,
            "[123456789.123456789123456789, 1e-400]": [123456789.12345679, 0.0],
        },
    ),
    "text[]": (
        "text[]",
        "array",
        {"{}": [], '{NULL,"a,b","\\"{}\\\\"}': [None, "a,b", '"{}\\'], "{{a,b},{c,d}}": [["a", "b"], ["c", "d"]]},
    ),
    "integer[]": ("integer[]", "array", {"{1,NULL,-5}": [1, None, -5]}),
    "numeric[]": (
        "numeric[]",
        "array",
        {f"{{{DIGITS},0.{DIGITS},NaN}}": [Decimal(DIGITS), Decimal("0." + DIGITS), Decimal("NaN")]},
    ),
    "float[]": ("float8[]", "array", {"{NaN,-Infinity,0.1}": [np.nan, -np.inf, 0.1]}),
    "boolean[]": ("boolean[]", "array", {"{t,f,NULL}": [True, False, None]}),
    "bytea[]": ("bytea[]", "array", {'{"\\\\x00ff",NULL}': [b"\x00\xff", None]}),
    "uuid[]": (
        "uuid[]",
        "array",
        {"{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", None]},
    ),
    "date[]": ("date[]", "array", {"{2024-01-01}": [datetime.date(2024, 1, 1)], "{infinity}": NO_DATE}),
    "timestamp[]": (
        "timestamp[]",
        "array",
        {"{2024-01-01 00:00:00}": [datetime.datetime(2024, 1, 1)], "{-infinity}": NO_DATE},
    ),
    "timestamptz[]": (
        "timestamptz[]",
        "array",
        {
            "{2024-01-01 00:00:00+09}": [datetime.datetime(2023, 12, 31, 15, tzinfo=UTC)],
            "{infinity}": NO_DATE,
        },
    ),
    "json[]": ("json[]", "array", {'{"[1]",NULL}': [[1], None]}),
    "jsonb[]": ("jsonb[]", "array", {'{"{\\"a\\": 1}"}': [{"a": 1}]}),
    "interval[]": ("interval[]", "array", {'{"1 day 02:00:00"}': [datetime.timedelta(days=1, hours=2)]}),
}


class Seen:
    """Keeps what it was given, by the number in `id`."""

    def __init__(self) -> None:
        self.values: dict[int, Any] = {}

    def predict(self, data: pd.DataFrame) -> pd.DataFrame:
        self.values.update(zip(data["number"].tolist(), data["value"].tolist()))
        return pd.DataFrame({"printed": [str(number) for number in data["number"]]})


def same(one: Any, other: Any) -> bool:
    """Equal, of the same type, and NaN is NaN."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if other is pd.NaT or one is pd.NaT:
        return one is other
    if isinstance(other, (float, np.floating, Decimal)) and other != other:
        return one != one
    if isinstance(other, (float, np.floating)):
        return isinstance(one, float) and one == float(other) and str(one)[0] == str(float(other))[0]
    return type(one) is type(other) and bool(one == other)


@pytest.mark.parametrize("connection", ["predictions", "company"])
@pytest.mark.parametrize("name", CASES)
def test_the_model_is_given_what_is_there(other: Databases, name: str, connection: str) -> None:
    """R7, R9. A missing text is None; of numbers in JSON, whole ones are exact and others in double precision."""
    kind, declared, values = CASES[name]
    sql(other, "CREATE TYPE mood AS ENUM ('it''s \"so so\"', '%s')", connection)
    sql(other, "CREATE DOMAIN short AS text CHECK (length(value) < 10)", connection)
    sql(other, f"CREATE TABLE message (id integer PRIMARY KEY, number bigint, value {kind})", connection)
    for number, value in enumerate(values):
        given = None if value == "NULL" else value
        sql(other, f"INSERT INTO message VALUES (:n, :n, CAST(:v AS {kind}))", connection, n=number, v=given)
    model = Seen()
    pipeline = Pipeline(
        other,
        job(cost="1", source__inputs=["number", "value"], source__connection=connection),
        model,
        printing(number="long", value=declared),
    )

    planned = pipeline.run()

    lost = {number: value for number, value in enumerate(values.values()) if isinstance(value, Quarantined)}
    expected = {number: value for number, value in enumerate(values.values()) if number not in lost}
    found = dict(sql(other, "SELECT CAST(key[1] AS integer), message FROM prediction.quarantine"))
    assert set(found) == set(lost), found
    for number, value in lost.items():
        assert value.message in found[number]
    wrong = {n: (model.values[n], value) for n, value in expected.items() if not same(model.values[n], value)}
    assert not wrong
    assert {key: row["printed"] for key, row in predictions(other).items()} == {n: str(n) for n in expected}
    wanted = {"planned": len(values), "predicted": len(expected), "quarantined": len(lost)}
    assert counts(other, planned.run_id) == {key: count for key, count in wanted.items() if count}
    assert pipeline.run().planned == 0


def test_texts_of_ten_megabytes_go_alone_and_come_back_whole(databases: Databases) -> None:
    texts = {number: chr(0x4E00 + number) * (10_000_000 // 3) for number in range(3)} | {9: "small", 10: None}
    sql(databases, "CREATE TABLE message (id bigint PRIMARY KEY, text text)")
    for key, text in texts.items():
        sql(databases, "INSERT INTO message VALUES (:key, :text)", key=key, text=text)
    batches: list[int] = []

    class Echo:
        def predict(self, data: pd.DataFrame) -> pd.DataFrame:
            batches.append(len(data))
            return pd.DataFrame({"printed": data["text"]})

    checks = {"outputs": {"printed": {"nulls": True}}}
    pipeline = Pipeline(databases, job(cost="1", checks=checks), Echo(), printing(text="string"))
    pipeline.run()

    assert {key: row["printed"] for key, row in predictions(databases).items()} == texts
    assert batches == [1, 1, 1, 2]
    assert pipeline.run().planned == 0


def test_bytes_that_are_no_text_in_a_database_that_does_not_check(postgres: Postgres, databases: Databases) -> None:
    """SQL_ASCII takes any bytes; a row that is no UTF-8 costs itself, wherever it stands."""
    name = f"{databases.url('predictions').database}_ascii"
    connection = psycopg2.connect(postgres.libpq_url("postgres"))
    connection.autocommit = True
    connection.cursor().execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
    connection.close()
    try:
        with psycopg2.connect(postgres.libpq_url(name)) as company:
            company.cursor().execute("CREATE TABLE message (id bigint PRIMARY KEY, text text)")
            company.cursor().execute("INSERT INTO message SELECT n, 'fine ' || n FROM generate_series(1, 100) n")
            company.set_client_encoding("SQL_ASCII")
            company.cursor().execute(b"UPDATE message SET text = 'caf\xe9' WHERE id = 7")
        url = databases.url("predictions").render_as_string(hide_password=False)
        both = Databases({"predictions": url, "company": postgres.url(name)})

        planned = Pipeline(both, job(cost="1", source__connection="company")).run()

        assert counts(both, planned.run_id) == {"planned": 100, "predicted": 99, "quarantined": 1}
        ((key, error),) = sql(both, "SELECT key, error FROM prediction.quarantine")
        assert (key, error) == (["7"], "CharacterNotInRepertoire")
        assert {key: row["length"] for key, row in predictions(both).items()} == {
            number: len(f"fine {number}") for number in range(1, 101) if number != 7
        }
    finally:
        postgres.drop_database(name)


def test_scores_that_are_no_number_fail_the_run_unless_allowed(databases: Databases) -> None:
    create_messages(databases, ["a", "b", "c"])
    scores = {"a": 0.5, "b": math.nan, "c": -math.inf}

    class Model:
        def predict(self, data: pd.DataFrame) -> list[float]:
            return [scores[text] for text in data["text"]]

    signature = Signature((Input("text", "string", "object", True),), (Output("score", "double precision", True),))
    pipeline = Pipeline(databases, predictor=Model(), signature=signature)
    with pytest.raises(CheckFailed, match="outputs: score: 1 values are NULL or NaN; allowed: none"):
        pipeline.run()
    assert predictions(databases) == {}

    pipeline.job = job(checks={"outputs": {"score": {"nulls": True}}})
    pipeline.run()
    assert [repr(row["score"]) for _, row in sorted(predictions(databases).items())] == ["0.5", "nan", "-inf"]


# What a column can be called: anything of at most 63 bytes, quoted.
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=15)
RESERVED = [
    "select",
    "Order",
    "user",
    "%(x)s",
    "%",
    "%%",
    "{}",
    "{0}",
    'quo"te',
    "it's",
    "a b",
    ":name",
    "$1",
    "\\",
    ";--",
]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(RESERVED) | NAMES, min_size=6, max_size=6, unique=True))
@example(RESERVED[:6])
@example(RESERVED[6:12])
@example(RESERVED[9:])
def test_names_may_be_anything(databases: Databases, names: list[str]) -> None:
    schema, relation, key, second, input_name, returned = names
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    place = f"{quoted[0]}.{quoted[1]}"
    create = (
        f"CREATE SCHEMA {quoted[0]}",
        f"CREATE TABLE {place} ({quoted[2]} text, {quoted[3]} uuid, {quoted[4]} text, "
        f"PRIMARY KEY ({quoted[2]}, {quoted[3]}))",
        f"INSERT INTO {place} SELECT 'k%' || n, gen_random_uuid(), 'text ' || n FROM generate_series(1, 5) n",
    )
    for statement in create:
        run(databases, statement)
    number = next(NUMBERS)
    name = f"names_{number}"
    signature = Signature((Input(input_name, "string", "object", True),), (Output(returned, "text", True),))

    class Echo:
        def predict(self, data: pd.DataFrame) -> pd.DataFrame:
            return pd.DataFrame({returned: data[input_name]})

    source = {"schema": schema, "relation": relation, "key": [key, second], "inputs": [input_name]}
    pipeline = Pipeline(databases, job(name=name, cost="1", source=source, history="append"), Echo(), signature)
    pipeline.model = register(databases, str(number + 1), signature)
    planned = pipeline.run()

    assert counts(databases, planned.run_id) == {"planned": 5, "predicted": 5}
    found = run(
        databases,
        f"SELECT p.{quoted[5]} = s.{quoted[4]} AND c.is_current FROM prediction.{name} p "
        f"JOIN {place} s USING ({quoted[2]}, {quoted[3]}) "
        f"JOIN prediction.{name}__current c USING ({quoted[2]}, {quoted[3]})",
    )
    assert found == [(True,)] * 5
    assert pipeline.run().planned == 0
    run(databases, f"DROP SCHEMA {quoted[0]} CASCADE")


def run(databases: Databases, statement: str) -> list[tuple[Any, ...]]:
    """A statement in which neither % nor : means anything."""
    with databases.begin("predictions") as connection:
        cursor = connection.connection.cursor()
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []
