"""A dry run leaves everything as it was, except for its own row."""

from __future__ import annotations

from typing import Any

import pytest

from inference.base.database import Databases
from inference.base.outputs import Output
from inference.base.signature import Signature
from inference.errors import CheckFailed
from inference.operations import quarantine
from inference.publishing import check
from inference.schema import lease
from services.postgres import Postgres
from tests import roles
from tests.stub import TEXT, Digest, Pipeline, counts, create_messages, job, predictions, register, run_row, sql

LONGER = Signature(TEXT.inputs, (*TEXT.outputs, Output("reason", "text", False)))
MODES: dict[str, dict[str, Any]] = {
    "pending": {},
    "rescore": {"mode": "rescore"},
    "key_range": {"mode": "key_range", "key_from": "1", "key_to": "20"},
    "replay": {"mode": "replay"},
}

CATALOGUE = """
    SELECT 'relation', n.nspname, c.relname, c.relkind::text, c.relacl::text FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
    UNION ALL
    SELECT 'column', a.attrelid::regclass::text, a.attname, format_type(a.atttypid, a.atttypmod), a.attacl::text
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
    UNION ALL
    SELECT 'function', p.oid::regprocedure::text, p.prosrc, '', p.proacl::text FROM pg_proc p
    WHERE p.pronamespace = 'prediction'::regnamespace
    ORDER BY 1, 2, 3, 4"""


def everything(databases: Databases) -> dict[str, list[Any]]:
    """The catalogue, and all rows except a dry run's own and what they must name (the job's and the model's)."""
    found: dict[str, list[Any]] = {"catalogue": sql(databases, CATALOGUE)}
    tables = sql(
        databases,
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind = 'r' AND n.nspname IN ('public', 'prediction', 'prediction_work')",
    )
    for (name,) in tables:
        if name not in ("prediction.job", "prediction.model"):
            own = "t.run_id IN (SELECT run_id FROM prediction.run WHERE (request->>'dry_run')::boolean)"
            others = f"WHERE NOT {own}" if name in ("prediction.run", "prediction.shard") else ""
            found[name] = sql(databases, f"SELECT to_jsonb(t)::text FROM {name} t {others} ORDER BY 1")  # noqa: S608
    return found


def dry_run(pipeline: Pipeline, **request: Any) -> str:
    planned = pipeline.plan(dry_run=True, **request)
    if planned.state != "planned":
        return planned.message
    pipeline.predict(planned)
    assert pipeline.finish(planned) == "empty"
    return str(run_row(pipeline.databases, planned.run_id)["message"])


def another_version(databases: Databases) -> Pipeline:
    """Version 2 has an output more, and looks at a job file that tries everything that plan could change."""
    second = Pipeline(databases, job(history="append", source__on_delete="delete", source__max_delete_rate=1.0))
    second.model = register(databases, "2", LONGER)
    return second


@pytest.fixture
def company(databases: Databases) -> Databases:
    """Predictions, an entry to replay whose row is gone, rows that are new, and the tables of a failed run."""
    create_messages(databases, ["bad", *(f"message {number}" for number in range(100))])
    first = Pipeline(databases, predictor=Digest(lambda text: text == "bad"))
    first.run()
    sql(databases, "DELETE FROM message WHERE id IN (1, 2)")
    assert quarantine.replay(databases, "intent", None) == 1
    sql(databases, "INSERT INTO message (text) SELECT 'new ' || n FROM generate_series(1, 20) n")
    failing = Pipeline(databases, predictor=Digest(lambda text: text == "new 1"))
    failing.job = job(checks={"max_quarantine_rate": 0.0, "min_quarantine_rows": 1})
    planned = failing.plan()
    failing.predict(planned)
    with pytest.raises(CheckFailed):
        failing.finish(planned)
    return databases


@pytest.mark.parametrize("mode", MODES)
def test_a_dry_run_of_a_job_at_work_changes_nothing(company: Databases, mode: str) -> None:
    """B1, and C: it does not resolve entries that wait for their replay, nor drop what other runs left."""
    second = another_version(company)
    before = everything(company)
    assert any("work_2_1" in str(row) for row in before["catalogue"])

    message = dry_run(second, **MODES[mode])

    assert "nothing" in message
    assert everything(company) == before


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("elsewhere", [False, True], ids=["source here", "source elsewhere"])
def test_a_dry_run_of_a_job_that_never_planned_makes_no_tables(
    databases: Databases, postgres: Postgres, mode: str, elsewhere: bool
) -> None:
    """B1."""
    known = databases
    if elsewhere:
        postgres.create_database("company_of_dry_runs")
        known = Databases({"predictions": databases.url("predictions").render_as_string(hide_password=False),
                           "crm": postgres.url("company_of_dry_runs")})  # fmt: skip
    try:
        name = "crm" if elsewhere else "predictions"
        create_messages(known, [f"message {number}" for number in range(100)], name)
        pipeline = Pipeline(known, job(source__connection=name))
        before = everything(known)

        message = dry_run(pipeline, **MODES[mode])

        assert everything(known) == before
        found = {"pending": 100, "rescore": 100, "key_range": 20}
        assert (f"dry run: {found[mode]} rows" if mode in found else "nothing is pending") in message
        assert counts(known, pipeline.run().run_id) == {"planned": 100, "predicted": 100}
    finally:
        if elsewhere:
            postgres.drop_database("company_of_dry_runs")


def test_a_dry_run_of_another_version_does_not_stop_the_live_one(databases: Databases) -> None:
    """B1, as it was reported."""
    create_messages(databases, [f"message {number}" for number in range(50)])
    pipeline = Pipeline(databases)
    pipeline.run()
    second = another_version(databases)
    assert "dry run: 50 rows are pending" in dry_run(second, mode="rescore")

    sql(databases, "INSERT INTO message (text) VALUES ('new')")
    assert counts(databases, pipeline.run().run_id) == {"planned": 1, "predicted": 1}
    assert "reason" not in predictions(databases)[1]


def test_a_dry_run_ends_no_run_of_another(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    create_messages(databases, ["one"])
    pipeline = Pipeline(databases)
    planned = pipeline.plan(orchestrator="command line")
    monkeypatch.setattr(lease, "SILENCE", -1)
    before = everything(databases)

    assert f"run {planned.run_id} (command line) is planned" in dry_run(pipeline)

    assert everything(databases) == before
    pipeline.predict(planned)
    assert pipeline.finish(planned) == "published"


def test_a_dry_run_is_not_held_for_its_samples(databases: Databases) -> None:
    create_messages(databases, [f"message {number}" for number in range(50)])

    assert "dry run: 50 rows are pending" in dry_run(Pipeline(databases, job(max_planned_rows=5)))


def test_a_dry_run_that_fails_its_checks_leaves_no_tables(databases: Databases) -> None:
    create_messages(databases, [f"message {number}" for number in range(50)])
    pipeline = Pipeline(databases, job(checks={"outputs": {"length": {"max": 1}}}))
    planned = pipeline.plan(dry_run=True)
    pipeline.predict(planned)

    with pytest.raises(CheckFailed, match="too large"):
        check.check(databases, planned.run_id)

    assert sql(databases, "SELECT relname FROM pg_class WHERE relname ~ '^(work|result)_'") == []


def test_the_planner_may_try_a_job_before_its_tables_are_made(postgres: Postgres) -> None:
    """With four roles only the owner makes tables; a dry run needs none."""
    postgres.create_database("dry_with_roles")
    try:
        company = roles.company(postgres, "dry_with_roles")
        create_messages(company["admin"], [f"message {number}" for number in range(50)])
        sql(company["admin"], "GRANT SELECT ON message TO prediction_predictor")
        pipeline = Pipeline(company["planner"])

        assert "dry run: 50 rows are pending" in dry_run(pipeline)
    finally:
        postgres.drop_database("dry_with_roles")
