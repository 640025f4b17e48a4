"""Situations of public bug reports about other tools, rebuilt here. Each is the report's, in the words of this project.

| report | situation | outcome here |
|---|---|---|
| airbytehq/airbyte#80152 | two rows of one time commit just after a run began | the next window has both |
| airbytehq/airbyte#21500 | a row's cursor moves on while a run reads | the present text, a later edit is pending |
| airbytehq/airbyte#12821 | a run fails, and the next one succeeds | the failed run has moved no window |
| airbytehq/airbyte#15427 | a limit cuts between rows of one cursor value | the next runs find the rest |
| airbytehq/airbyte#72936 | runs that find nothing | they keep the window: none is a sweep |
| airbytehq/airbyte#85351 | several slices of a composite key | every row once |
| dlt-hub/dlt#1935 | rows whose cursor is NULL | they are in every window |
| dlt-hub/dlt#4284 | whole pages of NULL, then values | the shard reads on |
| dbt-labs/dbt-core#11269 | a deleted row comes back as it was | it is predicted again |
| timescale/pgai#878 | a column that is no input changes | nothing is pending |
| duckdb/duckdb#23971 | NaN and infinity in numeric columns | refused by name; as float8 they arrive |
| airbytehq/airbyte#7871 | the same | the same |
| airbytehq/airbyte#19952 | infinity in a timestamp | its row is quarantined, others are predicted |
| psycopg/psycopg#1251 | the same | the same |
| coleifer/peewee#1671 | % in the name of a column | it is a name |
| sqlalchemy/sqlalchemy#5941 | parentheses in the name of a column | they are a name |
| psycopg/psycopg2#1158 | $ and parentheses in the name of a column | they are a name |
| psycopg/psycopg2#397 | backslashes in COPY | they come back as they were |
| psycopg/psycopg2#1711 | texts such as NULL in COPY | they come back as they were |
| MeltanoLabs/target-postgres#60 | NUL in a text that is to be written | its row is quarantined alone |
| mlflow/mlflow#25649 | a model returns rows in another order | no row has another row's prediction |
| jobrunr/jobrunr#431 | one stored run cannot be read | was wrong: `repair` stopped for all jobs |
| kestra-io/kestra#19734 | the same, planned by newer code | was wrong: `doctor` named no other dead run |
| dagster-io/dagster#22636 | the same, after a downgrade | as above; the job plans again |
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pandas as pd
import psycopg2
import pytest

from inference.base.database import Databases
from inference.errors import ModelError
from inference.operations import doctor, metrics, status
from inference.operations.prune import prune
from inference.operations.repair import repair
from inference.schema.run import fail
from tests.integration.test_sources import other  # noqa: F401
from tests.stub import (
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
)  # fmt: skip

HERE_AND_ELSEWHERE = pytest.mark.parametrize("where", ["predictions", "company"])
CURSOR: dict[str, Any] = {"source__cursor": "updated_at", "source__sweep": "0 0 1 1 *"}


class Texts:
    """Predicts what this function makes of the frame."""

    def __init__(self, predict: Callable[[pd.DataFrame], pd.Series[Any]]) -> None:
        self._predict = predict

    def predict(self, data: pd.DataFrame) -> pd.DataFrame:
        return self._predict(data).to_frame("printed")


def assert_predicted(databases: Databases, where: str) -> None:
    """Each row of `message` has a prediction from its present text, and there are no others."""
    expected = {key: digest(text) for key, text in sql(databases, "SELECT id, text FROM message", where)}
    assert {key: row["digest"] for key, row in predictions(databases).items()} == expected


def printed(databases: Databases) -> dict[Any, str]:
    return {key: row["printed"] for key, row in predictions(databases).items()}


@HERE_AND_ELSEWHERE
def test_rows_of_one_time_that_commit_just_after_a_run_has_begun(other: Databases, where: str) -> None:  # noqa: F811
    """airbytehq/airbyte#80152: they are older than the run, and no snapshot of it shows them."""
    create_messages(other, ["a", "b"], where)
    pipeline = Pipeline(other, job(source__connection=where, **CURSOR))
    pipeline.run()
    url = other.url(where).set(drivername="postgresql").render_as_string(hide_password=False)
    writer = psycopg2.connect(url)
    writer.cursor().execute("INSERT INTO message (text) VALUES ('c'), ('d')")
    assert pipeline.run().planned == 0
    writer.commit()
    writer.close()

    found = pipeline.run()

    assert run_row(other, found.run_id)["window_start"] is not None
    assert counts(other, found.run_id) == {"planned": 2, "predicted": 2}
    assert_predicted(other, where)


@HERE_AND_ELSEWHERE
def test_a_cursor_that_moves_on_while_a_run_reads(other: Databases, where: str) -> None:  # noqa: F811
    """airbytehq/airbyte#21500: a row is edited after it was planned, and another one after it was read."""
    create_messages(other, ["a", "b", "c"], where)
    pipeline = Pipeline(other, job(source__connection=where, **CURSOR))
    planned = pipeline.plan()
    sql(other, "UPDATE message SET text = 'edited', updated_at = now() WHERE id = 2", where)
    pipeline.predict(planned)
    sql(other, "UPDATE message SET text = 'again', updated_at = now() WHERE id = 3", where)

    assert pipeline.finish(planned) == "published"

    assert counts(other, planned.run_id) == {"planned": 3, "predicted": 3, "changed_at_read": 1}
    assert counts(other, pipeline.run().run_id) == {"planned": 1, "predicted": 1}
    assert_predicted(other, where)


def test_a_run_that_failed_has_moved_no_window(databases: Databases) -> None:
    """airbytehq/airbyte#12821: the next run begins where the last complete one began, not where the failed one did."""
    create_messages(databases, ["a", "b"])
    pipeline = Pipeline(databases, job(**CURSOR, source__lookback="1s"))
    pipeline.run()
    complete = run_row(databases, pipeline.run().run_id)
    sql(databases, "UPDATE message SET text = 'edited', updated_at = now() WHERE id = 1")
    failed = pipeline.plan()
    pipeline.predict(failed)
    fail(databases, failed.run_id, "the worker is gone")
    sql(databases, "UPDATE message SET text = 'more', updated_at = now() WHERE id = 2")

    after = pipeline.run()

    assert counts(databases, after.run_id) == {"planned": 2, "predicted": 2}
    # To a moment, by which two readings of one clock differ.
    late = complete["source_time"] - timedelta(seconds=1) - run_row(databases, after.run_id)["window_start"]
    assert timedelta(0) <= late < timedelta(seconds=5)
    assert_current(databases)


def test_a_limit_that_cuts_between_rows_of_one_cursor_value(databases: Databases) -> None:
    """airbytehq/airbyte#15427: what is left over is not newer than what was done."""
    create_messages(databases, [f"text {number}" for number in range(25)])
    assert sql(databases, "SELECT count(DISTINCT updated_at) FROM message") == [(1,)]
    pipeline = Pipeline(databases, job(**CURSOR))

    assert [pipeline.run(row_limit=10).planned for _ in range(4)] == [10, 10, 5, 0]

    assert_current(databases)


def test_runs_that_find_nothing_keep_the_window(databases: Databases) -> None:
    """airbytehq/airbyte#72936: a run without rows must not make the next one read the whole table."""
    create_messages(databases, ["a"])
    pipeline = Pipeline(databases, job(**CURSOR))
    pipeline.run()

    rows = [run_row(databases, pipeline.run().run_id) for _ in range(3)]

    assert [(row["state"], row["sweep"]) for row in rows] == [("empty", False)] * 3
    starts = [row["window_start"] for row in rows]
    assert starts == sorted(set(starts))


@HERE_AND_ELSEWHERE
def test_a_composite_key_whose_first_column_repeats(other: Databases, where: str) -> None:  # noqa: F811
    """airbytehq/airbyte#85351: slices begin and end within the rows of one first value."""
    sql(other, "CREATE TABLE message (tenant int, part text, text text, PRIMARY KEY (tenant, part))", where)
    sql(other, "INSERT INTO message SELECT n / 100, 'p' || n, 't' || n FROM generate_series(0, 399) n", where)
    slices = {"sizes__shard_rows": 90, "sizes__chunk_rows": 40}
    key = ["tenant", "part"]
    pipeline = Pipeline(other, job(source__key=key, source__connection=where, cost="1", **slices))

    planned = pipeline.run()

    assert len(planned.shards) > 2
    assert counts(other, planned.run_id) == {"planned": 400, "predicted": 400}
    found = sql(other, "SELECT tenant, part, digest FROM prediction.intent")
    assert sorted(found) == sorted((n // 100, f"p{n}", digest(f"t{n}")) for n in range(400))


@HERE_AND_ELSEWHERE
def test_rows_whose_cursor_is_null_are_in_every_window(other: Databases, where: str) -> None:  # noqa: F811
    """dlt-hub/dlt#1935: a time that is set when something ends is NULL until then."""
    create_messages(other, ["a", "b"], where)
    sql(other, "ALTER TABLE message ALTER updated_at DROP NOT NULL", where)
    pipeline = Pipeline(other, job(source__connection=where, **CURSOR))
    pipeline.run()
    sql(other, "INSERT INTO message (text, updated_at) VALUES ('open', NULL)", where)
    sql(other, "UPDATE message SET text = 'edited', updated_at = NULL WHERE id = 1", where)

    found = pipeline.run()

    assert run_row(other, found.run_id)["window_start"] is not None
    assert counts(other, found.run_id) == {"planned": 2, "predicted": 2}
    assert_predicted(other, where)


@HERE_AND_ELSEWHERE
def test_whole_pages_of_null_end_no_shard(other: Databases, where: str) -> None:  # noqa: F811
    """dlt-hub/dlt#4284: the first two pages hold nothing but NULL, the third holds numbers."""
    sql(other, "CREATE TABLE message (id bigint PRIMARY KEY, value float8)", where)
    sql(other, "INSERT INTO message SELECT n, CASE WHEN n > 200 THEN n END FROM generate_series(1, 300) n", where)
    a_job = job(source__inputs=["value"], source__connection=where, cost="1")
    pipeline = Pipeline(other, a_job, Printed(), printing(value="double"))

    assert counts(other, pipeline.run().run_id) == {"planned": 300, "predicted": 300}

    assert printed(other) == {n: f"({float(n)},)" if n > 200 else "(nan,)" for n in range(1, 301)}


def test_a_deleted_row_that_comes_back_as_it_was(databases: Databases) -> None:
    """dbt-labs/dbt-core#11269: nothing about the row says that it was away."""
    create_messages(databases, ["a", "b", "c", "d"])
    keeps = {"source__on_delete": "delete", "source__max_delete_rate": 0.5, "history": "append"}
    pipeline = Pipeline(databases, job(**keeps))
    pipeline.run()
    sql(databases, "CREATE TABLE kept AS SELECT * FROM message WHERE id = 2")
    sql(databases, "DELETE FROM message WHERE id = 2")
    assert counts(databases, pipeline.run().run_id) == {"deleted": 1}
    assert set(predictions(databases)) == {1, 3, 4}
    sql(databases, "INSERT INTO message SELECT * FROM kept")

    assert counts(databases, pipeline.run().run_id) == {"planned": 1, "predicted": 1}

    assert_current(databases)
    assert sql(databases, "SELECT id FROM prediction.intent__history") == [(2,)]


def test_a_column_that_is_no_input_makes_nothing_pending(databases: Databases) -> None:
    """timescale/pgai#878: rows are written, their cursor moves on, a column is added; no input is another one."""
    create_messages(databases, ["a", "b"])
    pipeline = Pipeline(databases, job(**CURSOR))
    pipeline.run()
    sql(databases, "UPDATE message SET channel = 'mail', updated_at = now()")
    assert pipeline.run().planned == 0
    sql(databases, "ALTER TABLE message ADD note text DEFAULT 'x'")
    assert pipeline.run().planned == 0


@HERE_AND_ELSEWHERE
def test_numbers_that_are_none(other: Databases, where: str) -> None:  # noqa: F811
    """duckdb/duckdb#23971, airbytehq/airbyte#7871: NaN and infinity become neither 0 nor NULL on their way."""
    sql(other, "CREATE TABLE message (id bigint PRIMARY KEY, value float8, amount numeric)", where)
    values = "(1, 'NaN', 'NaN'), (2, 'Infinity', 'Infinity'), (3, '-Infinity', '-Infinity'), (4, 1, 1)"
    sql(other, f"INSERT INTO message VALUES {values}", where)  # noqa: S608
    sql(other, "CREATE VIEW cast_one AS SELECT id, value, amount\\:\\:float8 AS amount FROM message", where)
    kinds = {"value": "double", "amount": "double"}
    changes = {"source__inputs": list(kinds), "source__connection": where, "cost": "1"}
    with pytest.raises(ModelError, match="input 'amount' is double; the source's column is numeric"):
        Pipeline(other, job(**changes), Printed(), printing(**kinds)).plan()
    pipeline = Pipeline(other, job(source__relation="cast_one", **changes), Printed(), printing(**kinds))

    assert counts(other, pipeline.run().run_id) == {"planned": 4, "predicted": 4}

    assert printed(other) == {1: "(nan, nan)", 2: "(inf, inf)", 3: "(-inf, -inf)", 4: "(1.0, 1.0)"}
    assert pipeline.run().planned == 0


@HERE_AND_ELSEWHERE
def test_a_moment_that_is_infinite_costs_its_row(other: Databases, where: str) -> None:  # noqa: F811
    """airbytehq/airbyte#19952, psycopg/psycopg#1251: it becomes no other moment, and does not stop the others."""
    sql(other, "CREATE TABLE message (id bigint PRIMARY KEY, at timestamptz)", where)
    sql(other, "INSERT INTO message VALUES (1, 'infinity'), (2, '-infinity'), (3, '2024-01-02 03\\:04Z')", where)
    a_job = job(source__inputs=["at"], source__connection=where, cost="1")
    pipeline = Pipeline(other, a_job, Printed(), printing(at="datetime"))

    assert counts(other, pipeline.run().run_id) == {"planned": 3, "predicted": 1, "quarantined": 2}

    assert printed(other) == {3: "(Timestamp('2024-01-02 03:04:00'),)"}
    assert sql(other, "SELECT key, message FROM prediction.quarantine_open ORDER BY key") == [
        (["1"], "infinity is no moment that a model can be given"),
        (["2"], "-infinity is no moment that a model can be given"),
    ]
    assert pipeline.run().planned == 0


@HERE_AND_ELSEWHERE
def test_names_that_mean_something_to_a_driver(other: Databases, where: str) -> None:  # noqa: F811
    """coleifer/peewee#1671, sqlalchemy/sqlalchemy#5941, psycopg/psycopg2#1158: %, parentheses and $ in columns."""
    columns = '"win%" text PRIMARY KEY, "size(kb)" float8, "Dividend (HK$)" text, "at %s" timestamptz'
    sql(other, f"CREATE TABLE message ({columns})", where)
    sql(other, "INSERT INTO message VALUES ('100%', 1.5, '5%', now()), ('%(x)s', 2.5, '%s', now())", where)
    kinds = {"size(kb)": "double", "Dividend (HK$)": "string"}
    source = {
        "source__key": ["win%"], "source__inputs": list(kinds), "source__connection": where,
        "source__where": "\"Dividend (HK$)\" LIKE '%%' AND \"win%\" <> 'x%'", "source__cursor": "at %s",
        "source__on_delete": "delete",
    }  # fmt: skip
    a_job = job(cost='"size(kb)"', history="append", **source)
    pipeline = Pipeline(other, a_job, Printed(), printing(**kinds))
    assert counts(other, pipeline.run().run_id) == {"planned": 2, "predicted": 2}
    sql(other, "UPDATE message SET \"Dividend (HK$)\" = '6%' WHERE \"win%\" = '100%'", where)

    changed = pipeline.run(mode="key_range", key_from="1", key_to="2")

    assert counts(other, changed.run_id) == {"planned": 1, "predicted": 1}
    found = sql(other, 'SELECT "win%", printed FROM prediction.intent')
    assert sorted(found) == [("%(x)s", "(2.5, '%s')"), ("100%", "(1.5, '6%')")]
    assert sql(other, 'SELECT "win%", printed FROM prediction.intent__history') == [("100%", "(1.5, '5%')")]


@HERE_AND_ELSEWHERE
def test_texts_that_mean_something_to_copy(other: Databases, where: str) -> None:  # noqa: F811
    """psycopg/psycopg2#397, psycopg/psycopg2#1711: as key, as input and as output."""
    given = ["\\200", "\\N", "a\tb", "a\nb\r", "\\.", "NULL", "", "\\", "\x7f\u2028", "{a,b}", '"']
    sql(other, "CREATE TABLE message (id text PRIMARY KEY, text text)", where)
    for one in given:
        sql(other, "INSERT INTO message VALUES (:one, :one)", where, one=one)
    echo = Texts(lambda data: data["text"])
    pipeline = Pipeline(other, job(source__connection=where), echo, printing(text="string"))

    assert counts(other, pipeline.run().run_id) == {"planned": len(given), "predicted": len(given)}

    assert printed(other) == {one: one for one in given}
    assert pipeline.run().planned == 0


def test_a_character_that_no_text_of_postgres_holds_costs_its_row(databases: Databases) -> None:
    """MeltanoLabs/target-postgres#60: NUL in an output is neither removed in silence nor the end of its batch."""
    create_messages(databases, ["a", "b", "c"])
    nul = Texts(lambda data: data["text"].map(lambda text: text.replace("b", "b\x00")))
    pipeline = Pipeline(databases, None, nul, printing(text="string"))

    assert counts(databases, pipeline.run().run_id) == {"planned": 3, "predicted": 2, "quarantined": 1}

    assert printed(databases) == {1: "a", 3: "c"}
    assert sql(databases, "SELECT key FROM prediction.quarantine_open") == [(["2"],)]
    assert pipeline.run().planned == 0


def test_a_model_that_returns_its_rows_in_another_order(databases: Databases) -> None:
    """mlflow/mlflow#25649: by position or by label, no row gets what was predicted from another one."""
    create_messages(databases, ["c", "a", "b"])
    pipeline = Pipeline(databases, None, Texts(lambda data: data["text"].sort_values()), printing(text="string"))

    assert counts(databases, pipeline.run().run_id) == {"planned": 3, "predicted": 3}

    assert printed(databases) == {1: "c", 2: "a", 3: "b"}


def test_one_run_that_cannot_be_read_stops_nothing_of_other_jobs(databases: Databases) -> None:
    """jobrunr/jobrunr#431, kestra-io/kestra#19734, dagster-io/dagster#22636: newer code has planned it."""
    create_messages(databases, ["a", "b"])
    jobs = {name: Pipeline(databases, job(name=name)) for name in ("alpha", "beta", "gamma")}
    runs = {name: pipeline.plan().run_id for name, pipeline in jobs.items()}
    for table in ("run", "shard"):
        sql(databases, f"UPDATE prediction.{table} SET heartbeat = now() - interval '3 hours'")  # noqa: S608
    newer = "UPDATE prediction.run SET definition = definition || '{\"format\"\\: 99}' WHERE run_id = :run"
    sql(databases, newer, run=runs["alpha"])

    warnings = [finding.text for finding in doctor.examine(databases, []) if finding.level == "warning"]
    said = list(repair(databases, []))

    unreadable = f"run {runs['alpha']}: its definition has format 99"
    assert [text for text in warnings if text.startswith(f"job alpha: {unreadable}")]
    assert [text for text in said if text.startswith(f"job alpha: its open run is left as it is: {unreadable}")]
    for name in ("beta", "gamma"):
        dead = f"run {runs[name]} of {name} (planned)"
        assert [text for text in warnings if text.startswith(dead)]
        assert [text for text in said if text.startswith(f"ended {dead}")]
    states = {row["job"]: row["state"] for row in status.runs(databases, None, 10)}
    assert states == {"alpha": "planned", "beta": "failed", "gamma": "failed"}
    assert list(prune(databases, timedelta(), lambda: pytest.fail("no run has a report"))) == []
    assert metrics.Exporter(databases).answer("")[0] == 200
    assert {name: pipeline.run().state for name, pipeline in jobs.items()} == dict.fromkeys(jobs, "planned")
    assert {row["state"] for row in status.runs(databases, "alpha", 1)} == {"published"}
