"""Behind a real PgBouncer: session mode works as installed, the other modes are refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg2
import pytest
from sqlalchemy import text as statement

from inference.base import pooler, queries
from inference.base.database import Databases
from inference.errors import ConfigurationError
from inference.operations import doctor
from inference.planning.plan import Planned
from inference.runners import watchdog
from services.postgres import Postgres
from tests.pgbouncer import pgbouncer
from tests.stub import Pipeline, Printed, assert_current, create_messages, job, printing, sql

Opened = Callable[..., Databases]
POOLED = "a pooler in transaction or statement mode hands each transaction to any session of the server"


@pytest.fixture
def through(postgres: Postgres, databases: Databases) -> Iterator[Opened]:
    """The same connections by way of a pooler with these settings."""
    with ExitStack() as stack:

        def start(**settings: str) -> Databases:
            port = stack.enter_context(pgbouncer(postgres, **settings))
            return Databases({"predictions": f"postgresql://anybody@127.0.0.1:{port}/{name}"})

        name = databases.url("predictions").database
        yield start


@pytest.fixture
def occupied(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A stranger takes the server's session that was given our settings, as soon as it is free."""
    strangers: list[Any] = []
    original = pooler._set

    def settle(settings: dict[str, str], raw: Any) -> None:
        original(settings, raw)
        if raw.info.password:  # of a direct connection
            return
        stranger = psycopg2.connect(raw.dsn)
        strangers.append(stranger)
        with stranger.cursor() as cursor:
            cursor.execute("SELECT 1")

    monkeypatch.setattr(pooler, "_set", settle)
    yield
    for stranger in strangers:
        stranger.close()


def seoul(databases: Databases) -> None:
    sql(
        databases,
        f"ALTER ROLE postgres IN DATABASE {databases.url('predictions').database} SET TimeZone = 'Asia/Seoul'",
    )


def moments(databases: Databases) -> Pipeline:
    """A job whose inputs have a text that depends on the session's time zone and float digits."""
    sql(databases, "CREATE TABLE message (id bigint PRIMARY KEY, at timestamptz, n float8)")
    sql(databases, "INSERT INTO message SELECT g, timestamptz '2024-01-01' + g * interval '1 h', g / 3.0 "
                   "FROM generate_series(1, 300) g")  # fmt: skip
    return Pipeline(databases, job(source__inputs=["at", "n"], cost="1"), signature=printing(at="datetime", n="double"))


def test_session_mode_runs_a_job_whole_with_the_same_hashes(databases: Databases, through: Opened) -> None:
    """F6, B9: also where the role has a time zone of its own; nothing is pending for a direct connection then."""
    seoul(databases)
    pooled = through(pool_mode="session")
    pipeline = moments(databases)
    pipeline.predictor = Printed()
    pipeline.databases = pooled

    planned = pipeline.run()

    assert planned.planned == 300
    assert sql(databases, "SELECT count(*) FROM prediction.intent__current WHERE is_current") == [(300,)]
    pipeline.databases = databases
    assert pipeline.run().message == "nothing is pending"
    assert sql(databases, "SELECT DISTINCT backends FROM prediction.shard") == [([],)]


def test_a_session_that_the_pooler_has_reset_gets_the_settings_again(databases: Databases, through: Opened) -> None:
    """F6: one server session serves one client after the other; `prediction.session` tells them apart."""
    pooled = through(pool_mode="session", default_pool_size="1")
    seoul(databases)

    found = [sql(pooled, "SELECT pg_backend_pid(), current_setting('TimeZone')") for _ in range(3)]

    assert len({rows[0][0] for rows in found}) == 1
    assert {rows[0][1] for rows in found} == {"UTC"}
    with pooled.begin("predictions") as connection:
        pooler.require_session(connection)


@pytest.mark.usefixtures("occupied")
def test_transaction_mode_is_refused_by_name_in_plan(databases: Databases, through: Opened) -> None:
    """F6, B9"""
    create_messages(databases, ["a", "b"])
    pipeline = Pipeline(databases)
    pipeline.databases = through(pool_mode="transaction")

    with pytest.raises(ConfigurationError, match=POOLED):
        pipeline.plan()

    assert sql(databases, "SELECT count(*) FROM prediction.run") == [(0,)]


@pytest.mark.parametrize("numbers", [False, True])
def test_transaction_mode_is_refused_by_name_in_a_shard(
    databases: Databases, through: Opened, request: pytest.FixtureRequest, numbers: bool
) -> None:
    """F6: of pages of texts and of pages of numbers."""
    if numbers:
        pipeline = moments(databases)
        pipeline = Pipeline(databases, job(source__inputs=["n"], cost="1"), signature=printing(n="double"))
    else:
        create_messages(databases, ["a", "b"])
        pipeline = Pipeline(databases)
    planned = pipeline.plan()
    request.getfixturevalue("occupied")
    pipeline.databases = through(pool_mode="transaction")

    with pytest.raises(ConfigurationError, match=POOLED):
        pipeline.predict(planned)

    assert sql(databases, "SELECT cursor FROM prediction.shard") == [(0,)]


def test_statement_mode_is_refused_by_name(databases: Databases, through: Opened) -> None:
    """F6"""
    create_messages(databases, ["a", "b"])
    pipeline = Pipeline(databases)
    pipeline.databases = through(pool_mode="statement")

    with pytest.raises(ConfigurationError, match=POOLED):
        pipeline.plan()


def test_doctor_finds_transaction_mode_and_has_nothing_to_say_of_session_mode(
    databases: Databases, through: Opened
) -> None:
    """B9: without luck, since it holds one transaction while it looks from another."""
    wrong = [finding.text for finding in doctor.examine(through(pool_mode="transaction"), []) if POOLED in finding.text]
    right = [finding.text for finding in doctor.examine(through(pool_mode="session"), []) if POOLED in finding.text]

    assert len(wrong) == 1
    assert right == []


def test_options_that_a_pooler_refuses_are_named(databases: Databases, through: Opened) -> None:
    """F5, F6"""
    pooled = through(pool_mode="session").url("predictions").update_query_dict({"options": "-c app.tenant=a"})

    with pytest.raises(ConfigurationError, match=r"unsupported startup parameter: options. A pooler does not pass"):
        sql(Databases({"predictions": pooled.render_as_string(False)}), "SELECT 1")


def test_options_that_a_pooler_drops_are_named(databases: Databases, through: Opened) -> None:
    """F5, F6: with RLS by app.tenant there would be nothing to see, for ever."""
    url = through(pool_mode="session", ignore_startup_parameters="options").url("predictions")
    for option in ("app.tenant=a", "search_path=crm"):
        dropped = url.update_query_dict({"options": f"-c {option}"}).render_as_string(False)

        with pytest.raises(
            ConfigurationError, match=rf"the option {option.split('=')[0]} of its address did not arrive"
        ):
            sql(Databases({"predictions": dropped}), "SELECT 1")


def test_a_server_process_that_serves_a_stranger_by_now_is_not_ended(databases: Databases, through: Opened) -> None:
    """F6: a shard was killed, its process went back to the pool, and an application works in it."""
    pooled = through(pool_mode="session", default_pool_size="1", server_reset_query="")
    create_messages(databases, ["a", "b"])
    pipeline = Pipeline(databases)
    planned = pipeline.plan()
    with pooled.begin("predictions") as connection:
        backend = process_of(connection)
    name = f"prediction run {planned.run_id}.1 shard 1 attempt 1"
    entry = {"pid": backend.pid, "started": backend.backend_start.isoformat()}
    noted = json.dumps([{**entry, "name": name}, entry])  # the second as it was noted before sessions had names

    with pooled.begin("predictions") as stranger:
        assert process_of(stranger) == backend
        for act in (lambda: watched(databases, planned), lambda: pipeline.predict(planned), pipeline.run):
            sql(databases, "UPDATE prediction.shard SET backends = CAST(:noted AS jsonb)", noted=noted)
            act()
            assert process_of(stranger) == backend
        assert not any("sessions of shards" in finding.text for finding in doctor.examine(databases, []))

    assert_current(databases)


def watched(databases: Databases, planned: Planned) -> None:
    """What ends transactions of a shard that are too old."""
    values = {"run_id": planned.run_id, "generation": planned.generation, "shard": 1, "page_timeout": "0s"}
    with databases.begin("predictions") as connection:
        assert queries.run(connection, watchdog.SQL["end_old"], **values).scalar() == 0


def process_of(connection: Any) -> Any:
    query = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
    return connection.execute(statement(query)).one()
