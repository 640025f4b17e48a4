"""The source's key may become wider, or get another collation: the job's tables follow, with all that they hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from inference.base.database import Databases
from inference.base.outputs import Output
from inference.base.signature import Signature
from inference.errors import ConfigurationError, SourceError, Unavailable
from inference.planning import plan
from inference.publishing import publish
from services.postgres import Postgres
from tests import roles
from tests.stub import TEXT, Digest, Pipeline, counts, job, register, sql


@pytest.fixture(params=["here", "elsewhere"])
def databases_of(databases: Databases, postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[Databases]:
    urls = {"predictions": databases.url("predictions").render_as_string(hide_password=False)}
    if request.param == "here":
        yield Databases({**urls, "crm": urls["predictions"]})
        return
    postgres.create_database("changed_keys")
    yield Databases({**urls, "crm": postgres.url("changed_keys")})
    postgres.drop_database("changed_keys")


def at_work(databases: Databases, kind: str, value: str, **changes: Any) -> Pipeline:
    sql(databases, f"CREATE TABLE message (id {kind} PRIMARY KEY, text text)", "crm")
    sql(databases, f"INSERT INTO message VALUES ({value}, 'one')", "crm")  # noqa: S608
    pipeline = Pipeline(databases, job(cost="1", source__connection="crm", **changes))
    pipeline.run()
    return pipeline


def key(databases: Databases, relation: str) -> str:
    query = (
        "SELECT format_type(atttypid, -1) FROM pg_attribute WHERE attrelid = CAST(:r AS regclass) AND attname = 'id'"
    )
    return str(sql(databases, query, r=f"prediction.{relation}")[0][0])


WIDER = [
    ("smallint", "integer", "1", "70000"),
    ("smallint", "bigint", "1", "5000000000"),
    ("integer", "bigint", "1", "5000000000"),
    ("varchar(5)", "text", "'a'", "'longer than five'"),
    ("varchar(5)", "varchar(50)", "'a'", "'longer than five'"),
    ("char(5)", "text", "'a'", "'longer than five'"),
    ("char(5)", "varchar", "'a'", "'longer than five'"),
]


@pytest.mark.parametrize(("before", "after", "one", "other"), WIDER)
def test_a_wider_key_is_followed_and_nothing_is_scored_again(
    databases_of: Databases, before: str, after: str, one: str, other: str
) -> None:
    """F29: "give the job a new name, or drop the old": all predictions lost or scored again."""
    databases = databases_of
    pipeline = at_work(databases, before, one, history="append")
    sql(databases, f"ALTER TABLE message ALTER id TYPE {after}", "crm")
    assert "nothing is pending" in pipeline.plan(dry_run=True).message
    sql(databases, f"INSERT INTO message VALUES ({other}, 'two')", "crm")  # noqa: S608

    assert counts(databases, pipeline.run().run_id) == {"planned": 1, "predicted": 1}

    sql(databases, "UPDATE message SET text = text || ' edited'", "crm")
    assert counts(databases, pipeline.run().run_id) == {"planned": 2, "predicted": 2}
    assert sql(databases, "SELECT count(*) FROM prediction.intent") == [(2,)]
    assert sql(databases, "SELECT count(*) FROM prediction.intent__history") == [(2,)]
    wanted = {"intent", "intent__blue", "intent__history"}
    assert len({key(databases, relation) for relation in wanted}) == 1
    if databases.same("crm", "predictions"):
        assert sql(databases, "SELECT count(*) FROM prediction.intent__current WHERE is_current") == [(2,)]
    assert pipeline.run().planned == 0


def test_views_keep_their_rights_and_the_columns_of_every_version(databases: Databases) -> None:
    """F29: the views have to be made anew."""
    sql(databases, "CREATE TABLE message (id integer PRIMARY KEY, text text)")
    sql(databases, "INSERT INTO message VALUES (1, 'one')")
    pipeline = Pipeline(databases)
    pipeline.run()
    first = pipeline.model
    pipeline.model = register(databases, "2", Signature(TEXT.inputs, (*TEXT.outputs, Output("older", "text", False))))
    pipeline.plan()
    pipeline.model = first
    sql(databases, "DROP ROLE IF EXISTS analyst")
    sql(databases, 'DROP ROLE IF EXISTS "an %odd {one}"')
    sql(databases, 'CREATE ROLE analyst; CREATE ROLE "an %odd {one}"')
    sql(databases, "GRANT SELECT ON prediction.intent TO PUBLIC; GRANT SELECT (id) ON prediction.intent TO analyst")
    sql(databases, "GRANT SELECT ON prediction.intent__current TO analyst WITH GRANT OPTION")
    sql(databases, 'GRANT SELECT, UPDATE ON prediction.intent TO "an %odd {one}"')
    rights = (
        "SELECT c.relname, c.relacl::text, a.attname, a.attacl::text FROM pg_class c "
        "JOIN pg_attribute a ON a.attrelid = c.oid WHERE relname IN ('intent', 'intent__current') ORDER BY 1, a.attnum"
    )
    before = sql(databases, rights)
    sql(databases, "ALTER TABLE message ALTER id TYPE bigint")

    pipeline.run()

    assert sql(databases, rights) == before
    assert key(databases, "intent") == key(databases, "intent__current") == "bigint"
    assert sql(databases, "SHOW lock_timeout") == [("30s",)]


@pytest.mark.parametrize(("before", "after"), [("bigint", "integer"), ("bigint", "text"), ("bigint", "numeric")])
def test_any_other_change_of_the_key_is_refused(databases: Databases, before: str, after: str) -> None:
    pipeline = at_work(Databases({**dict.fromkeys(("predictions", "crm"), str_url(databases))}), before, "1")
    sql(databases, f"ALTER TABLE message ALTER id TYPE {after}")

    with pytest.raises(SourceError, match=rf"has the key \{{'id': '{before}'\}}, the source now gives"):
        pipeline.plan()
    assert key(databases, "intent") == before


def str_url(databases: Databases) -> str:
    return databases.url("predictions").render_as_string(hide_password=False)


def test_a_view_of_ones_own_is_named_and_stays(databases: Databases) -> None:
    pipeline = at_work(Databases({**dict.fromkeys(("predictions", "crm"), str_url(databases))}), "integer", "1")
    sql(databases, "CREATE VIEW report AS SELECT id, digest FROM prediction.intent")
    sql(databases, "ALTER TABLE message ALTER id TYPE bigint")

    with pytest.raises(ConfigurationError, match=r"is now id bigint.*views of your own use prediction\.intent"):
        pipeline.plan()

    assert sql(databases, "SELECT id FROM report") == [(1,)]
    sql(databases, "DROP VIEW report")
    assert pipeline.plan().message == "nothing is pending"


def test_a_reader_in_the_way_is_waited_for_no_longer_than_three_seconds(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.schema.keys.PATIENCE", "100ms")
    pipeline = at_work(Databases({**dict.fromkeys(("predictions", "crm"), str_url(databases))}), "integer", "1")
    sql(databases, "ALTER TABLE message ALTER id TYPE bigint")
    with databases.begin("predictions") as reader:
        reader.exec_driver_sql("SELECT * FROM prediction.intent")
        with pytest.raises(Unavailable, match="lock timeout"):
            pipeline.plan()

    assert pipeline.plan().message == "nothing is pending"


COLLATIONS = [('"C"', '"POSIX"'), ('"C"', '"default"'), ('"default"', '"C"')]


@pytest.mark.parametrize(("before", "after"), COLLATIONS)
def test_another_collation_of_the_key_is_followed(databases_of: Databases, before: str, after: str) -> None:
    """C: 42P22 with a stack trace at each run."""
    databases = databases_of
    pipeline = at_work(databases, f"text COLLATE {before}", "'a'", source__on_delete="delete", history="append")
    sql(databases, f"ALTER TABLE message ALTER id TYPE text COLLATE {after}", "crm")
    sql(databases, "INSERT INTO message VALUES ('b', 'two')", "crm")

    assert counts(databases, pipeline.run().run_id) == {"planned": 1, "predicted": 1}

    sql(databases, "UPDATE message SET text = 'edited'", "crm")
    assert counts(databases, pipeline.run().run_id) == {"planned": 2, "predicted": 2}
    assert pipeline.run().planned == 0
    if databases.same("crm", "predictions"):
        assert sql(databases, "SELECT count(*) FROM prediction.intent__current WHERE is_current") == [(2,)]


@pytest.mark.parametrize(("before", "after"), COLLATIONS)
def test_a_collation_that_changes_while_a_run_is_read(databases_of: Databases, before: str, after: str) -> None:
    """C, a neighbour: the work list has the keys as they were planned."""
    databases = databases_of
    pipeline = at_work(databases, f"text COLLATE {before}", "'a'", sizes__chunk_rows=30)
    sql(databases, "INSERT INTO message SELECT 'k' || n, 't' || n FROM generate_series(1, 100) n", "crm")
    planned = pipeline.plan()
    sql(databases, f"ALTER TABLE message ALTER id TYPE text COLLATE {after}", "crm")

    pipeline.predict(planned)

    assert pipeline.finish(planned) == "published"
    assert counts(databases, planned.run_id) == {"planned": 100, "predicted": 100}
    assert pipeline.run().planned == 0


@pytest.mark.parametrize("history", ["none", "append"])
@pytest.mark.parametrize(("before", "after"), COLLATIONS)
def test_a_collation_that_the_tables_follow_while_a_run_is_held(
    databases_of: Databases, before: str, after: str, history: str
) -> None:
    """C, a neighbour: `db prepare` between a run and its release."""
    databases = databases_of
    gone = {"source__on_delete": "delete", "source__max_delete_rate": 1.0}
    pipeline = at_work(databases, f"text COLLATE {before}", "'a'", history=history, **gone)
    sql(databases, "INSERT INTO message VALUES ('b', 'two'), ('c', 'three')", "crm")
    pipeline.run()
    sql(databases, "UPDATE message SET text = 'edited' WHERE id = 'b'; DELETE FROM message WHERE id = 'a'", "crm")
    planned = pipeline.plan(publish="hold")
    pipeline.predict(planned)
    assert pipeline.finish(planned) == "held"
    sql(databases, f"ALTER TABLE message ALTER id TYPE text COLLATE {after}", "crm")
    plan.prepare(databases, pipeline.job, pipeline.model)

    publish.release(databases, planned.run_id)

    assert counts(databases, planned.run_id) == {"planned": 1, "predicted": 1, "deleted": 1}
    assert {key for (key,) in sql(databases, "SELECT id FROM prediction.intent")} == {"b", "c"}
    assert pipeline.run().planned == 0


def test_a_dry_run_says_that_another_collation_is_still_to_be_followed(databases: Databases) -> None:
    known = Databases({**dict.fromkeys(("predictions", "crm"), str_url(databases))})
    pipeline = at_work(known, 'text COLLATE "C"', "'a'")
    sql(databases, 'ALTER TABLE message ALTER id TYPE text COLLATE "POSIX"')

    with pytest.raises(
        SourceError, match=r"'id' now has the collation pg_catalog\.\"POSIX\".*a dry run changes nothing"
    ):
        pipeline.plan(dry_run=True)


def test_with_four_roles_the_message_names_db_prepare(postgres: Postgres) -> None:
    """F29: only the owner may change the tables."""
    postgres.create_database("wider_with_roles")
    try:
        company = roles.company(postgres, "wider_with_roles")
        sql(company["admin"], "CREATE TABLE message (id integer PRIMARY KEY, text text)")
        sql(company["admin"], "INSERT INTO message VALUES (1, 'one')")
        sql(company["admin"], "GRANT SELECT ON message TO prediction_predictor, prediction_owner, prediction_reader")
        pipeline = Pipeline(company["planner"], predictor=Digest())
        plan.prepare(company["owner"], pipeline.job, pipeline.model)
        pipeline.run()
        sql(company["admin"], "ALTER TABLE message ALTER id TYPE bigint")

        with pytest.raises(ConfigurationError, match=r"present key.*db prepare intent"):
            pipeline.plan()

        plan.prepare(company["owner"], pipeline.job, pipeline.model)
        assert pipeline.plan().message == "nothing is pending"
        assert sql(company["reader"], "SELECT id FROM prediction.intent") == [(1,)]
        assert sql(company["reader"], "SELECT id FROM prediction.intent__current WHERE is_current") == [(1,)]
    finally:
        postgres.drop_database("wider_with_roles")
