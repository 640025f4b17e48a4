"""Four roles: what each does in a run, and what each must not do, one by one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from inference.base.database import Databases, code
from inference.base.outputs import Output
from inference.base.signature import Signature
from inference.errors import ConfigurationError, TakenOver
from inference.jobs.request import Request
from inference.models.model_version import Model
from inference.operations import metrics, quarantine, status
from inference.planning import plan
from inference.planning.plan import Planned
from inference.publishing import check, publish
from inference.schema import lease, migrate
from inference.schema.lease import Caller
from inference.schema.run import fail
from inference.shard import attempt, shard
from services.postgres import Postgres
from tests import roles
from tests.stub import TEXT, Digest, Pipeline, assert_current, create_messages, job, predictions, register, run_row, sql

ROOT = Path(__file__).parents[2]
JOB = job(history="append", source__on_delete="delete")


@dataclass
class Company:
    model: Model
    admin: Databases
    owner: Databases
    planner: Databases
    predictor: Databases
    reader: Databases

    def plan(self, number: str, model: Model | None = None, **request: Any) -> Planned:
        caller = Caller("airflow", number, True)
        return plan.plan(self.planner, JOB, Request(**request), model or self.model, caller)

    def run(self, number: str, model: Model | None = None, **request: Any) -> Planned:
        """A whole run: the planner's stages by the planner, the shards by the predictor."""
        planned = self.plan(number, model, **request)
        if planned.state == "planned":
            fails = Digest(lambda text: text == "bad")
            for each in planned.shards:
                shard.run(self.predictor, planned.run_id, planned.generation, each, lambda work: fails)
            check.check(self.planner, planned.run_id)
            publish.publish(self.planner, planned.run_id)
        return planned


def made(postgres: Postgres, database: str) -> Company:
    by_role = roles.company(postgres, database)
    admin = by_role["admin"]
    create_messages(admin, [*(f"message {number}" for number in range(250)), "bad"])
    sql(admin, "GRANT SELECT ON message TO prediction_predictor, prediction_reader")
    sql(admin, "CREATE TABLE salary AS SELECT 1 AS amount")
    model = register(by_role["planner"])
    plan.prepare(by_role["owner"], JOB, model)
    return Company(model, **by_role)


@pytest.fixture
def company(postgres: Postgres) -> Iterator[Company]:
    postgres.create_database("test_roles")
    yield made(postgres, "test_roles")
    postgres.drop_database("test_roles")


def test_a_whole_run_under_four_roles(company: Company) -> None:
    first = company.run("1")
    sql(company.admin, "UPDATE message SET text = 'edited' WHERE id <= 3")
    sql(company.admin, "DELETE FROM message WHERE text = 'message 200'")
    sql(company.admin, "UPDATE message SET text = 'good' WHERE text = 'bad'")
    second = company.run("2")

    assert (first.planned, second.planned) == (251, 4)
    assert run_row(company.admin, second.run_id)["deleted"] == 1
    assert_current(company.admin)
    assert sql(company.admin, "SELECT count(*) FROM prediction.intent__history") == [(4,)]
    assert sql(company.admin, "SELECT state FROM prediction.quarantine") == [("resolved",)]
    assert sql(company.admin, "SELECT relname FROM pg_class WHERE relname ~ '^(work|result|gone)_'") == []


def test_what_the_reader_can_do(company: Company) -> None:
    company.run("1")

    migrate.require(company.reader)
    assert [row["last_state"] for row in status.jobs(company.reader, None)] == ["published"]
    assert [row["state"] for row in status.runs(company.reader, "intent", 10)] == ["published"]
    assert [row["key"] for row in quarantine.entries(company.reader, None, 10)] == [["251"]]
    assert len(predictions(company.reader)) == 250
    assert sql(company.reader, "SELECT is_current, count(*) FROM prediction.intent__current GROUP BY 1 ORDER BY 1") == [
        (False, 1),
        (True, 250),
    ]
    assert metrics.Exporter(company.reader).answer("")[0] == 200


def test_a_model_with_another_output_waits_for_the_owner(company: Company) -> None:
    company.run("1")
    signature = Signature(TEXT.inputs, (*TEXT.outputs, Output("language", "text", False)))
    newer = register(company.planner, "2", signature)

    with pytest.raises(ConfigurationError) as raised:
        company.plan("2", newer, mode="rescore")
    assert str(raised.value) == (
        "the tables of job 'intent' are not there, or do not have every output of intent version 2 or the source's "
        "present key, and this role may not change them. As the owner of the schema: python -m inference db prepare "
        "intent"
    )
    plan.prepare(company.owner, JOB, newer)
    planned = company.plan("3", newer, mode="rescore")

    assert (planned.state, planned.planned) == ("planned", 251)
    assert sql(company.reader, "SELECT DISTINCT language FROM prediction.intent") == [(None,)]


def test_a_new_attempt_ends_the_sessions_of_the_last_one(company: Company) -> None:
    planned = company.plan("1")
    values = (planned.run_id, planned.generation, 1)
    with company.predictor.begin("predictions") as connection:
        task = attempt.begin(connection, *values)
    with company.predictor.connect("predictions") as stopped:
        with stopped.begin():
            attempt.register(stopped, task.shard)
        with company.predictor.begin("predictions") as connection:
            again = attempt.begin(connection, *values)
        assert again.shard.attempt == 2
        with pytest.raises(OperationalError):
            sql_on(stopped)
        stopped.invalidate()


def test_the_planner_ends_the_sessions_of_shards_that_are_over(company: Company) -> None:
    planned = company.plan("1")
    with company.predictor.begin("predictions") as connection:
        task = attempt.begin(connection, planned.run_id, planned.generation, 1)
    with company.predictor.connect("predictions") as stopped:
        with stopped.begin():
            attempt.register(stopped, task.shard)
        fail(company.planner, planned.run_id, "a test")
        with company.planner.begin("predictions") as connection:
            lease.clear(connection, "intent")
        with pytest.raises(OperationalError):
            sql_on(stopped)
        stopped.invalidate()
    company.plan("2")
    with pytest.raises(TakenOver):
        shard.run(company.predictor, planned.run_id, planned.generation, 1, lambda work: Digest())


def sql_on(connection: Any) -> None:
    connection.exec_driver_sql("SELECT 1")


@pytest.fixture(scope="module")
def midway(postgres: Postgres) -> Iterator[Company]:
    """Run 1 is published, run 2 is being predicted."""
    postgres.create_database("test_roles_midway")
    company = made(postgres, "test_roles_midway")
    company.run("1")
    sql(company.admin, "UPDATE message SET text = 'edited' WHERE id <= 3")
    planned = company.plan("2")
    with company.predictor.begin("predictions") as connection:
        attempt.begin(connection, planned.run_id, planned.generation, 1)
    yield company
    postgres.drop_database("test_roles_midway")


NOBODY = """
    SELECT * FROM salary
    UPDATE message SET text = 'x'
    INSERT INTO message (text) VALUES ('x')
    DELETE FROM message
    TRUNCATE message
    ALTER TABLE message ADD COLUMN x int
    DROP TABLE message
    CREATE TABLE public.mine (x int)
    CREATE SCHEMA mine
    CREATE ROLE mine
    ALTER ROLE prediction_reader SUPERUSER
    COPY (SELECT 1) TO PROGRAM 'true'
    SELECT pg_read_file('postgresql.conf')
"""
NOBODY_BUT_THE_OWNER = """
    CREATE TABLE prediction.mine (x int)
    CREATE VIEW prediction.mine AS SELECT 1 AS x
    CREATE FUNCTION prediction.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'
    CREATE INDEX ON prediction.intent__blue (length)
    ALTER TABLE prediction.intent__blue ADD COLUMN x int
    ALTER TABLE prediction.run ADD COLUMN x int
    ALTER TABLE prediction.run DISABLE ROW LEVEL SECURITY
    DROP POLICY begin ON prediction.run
    DROP VIEW prediction.intent
    DROP TABLE prediction.intent__blue CASCADE
    DROP TABLE prediction.shard
    DROP SCHEMA prediction CASCADE
    DROP SCHEMA prediction_work CASCADE
    TRUNCATE prediction.intent__blue
    TRUNCATE prediction.run CASCADE
    INSERT INTO prediction.migration (number, name, content) VALUES (99, 'x', 'x')
    SET ROLE prediction_owner
"""
NOBODY_BUT_OWNER_AND_PLANNER = """
    CREATE TABLE prediction_work.mine (x int)
    DROP TABLE prediction_work.work_2_1
    DROP TABLE prediction_work.result_2_1
    ALTER TABLE prediction_work.result_2_1 ADD COLUMN x int
    CREATE INDEX ON prediction_work.work_2_1 (cost)
    SELECT * FROM prediction_work.result_2_1
    UPDATE prediction_work.result_2_1 SET outcome = 'predicted'
    DELETE FROM prediction_work.result_2_1
    TRUNCATE prediction_work.result_2_1
    INSERT INTO prediction_work.work_2_1 (ordinal) VALUES (99)
    DELETE FROM prediction_work.work_2_1
    SELECT * FROM prediction.quarantine
    SELECT * FROM prediction.intent__blue
    SELECT * FROM prediction.intent__history
    SELECT * FROM prediction.job
    SELECT message FROM prediction.run
    SELECT request FROM prediction.run
    SELECT requirements FROM prediction.model
    INSERT INTO prediction.intent__blue (id, model_id, run_id, predicted_at) VALUES (0, 1, 1, now())
    UPDATE prediction.intent__blue SET digest = 'x'
    DELETE FROM prediction.intent__blue
    INSERT INTO prediction.job (name) VALUES ('mine')
    INSERT INTO prediction.model (name) VALUES ('mine')
    INSERT INTO prediction.quarantine (job) VALUES ('intent')
    INSERT INTO prediction.run (job) VALUES ('intent')
    INSERT INTO prediction.shard (run_id) VALUES (2)
    DELETE FROM prediction.job
    DELETE FROM prediction.run
    DELETE FROM prediction.shard
    UPDATE prediction.run SET state = 'published' WHERE run_id = 2
    UPDATE prediction.run SET state = 'failed' WHERE run_id = 2
    UPDATE prediction.run SET planned = 0
    UPDATE prediction.run SET definition = '{}'
    UPDATE prediction.run SET approved = true
    UPDATE prediction.model SET digest = 'x'
    UPDATE prediction.shard SET first_ordinal = 1
    UPDATE prediction.shard SET last_ordinal = 1
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'prediction_owner'
    SET ROLE prediction_planner
"""
ONLY_PREDICTOR_AND_PLANNER = """
    SELECT * FROM prediction.shard
    SELECT digest FROM prediction.model
    SELECT state FROM prediction.run
    UPDATE prediction.shard SET heartbeat = now()
    UPDATE prediction.run SET state = 'predicting' WHERE run_id = 2
    SELECT * FROM prediction_work.work_2_1
    INSERT INTO prediction_work.result_2_1 (ordinal, outcome) VALUES (99, 'predicted')
"""
NOT_PREDICTOR = """
    SELECT * FROM prediction.intent
    SELECT * FROM prediction.intent__current
    SELECT * FROM prediction.run_summary
    SELECT * FROM prediction.job_status
    SELECT * FROM prediction.quarantine_open
    SELECT * FROM prediction.migration
"""
NOT_OWNER = """
    SELECT * FROM message
    SELECT * FROM prediction_work.work_2_1
    INSERT INTO prediction_work.result_2_1 (ordinal, outcome) VALUES (99, 'predicted')
    SET ROLE prediction_planner
"""
FORBIDDEN = {
    "predictor": NOBODY + NOBODY_BUT_THE_OWNER + NOBODY_BUT_OWNER_AND_PLANNER + NOT_PREDICTOR,
    "reader": NOBODY + NOBODY_BUT_THE_OWNER + NOBODY_BUT_OWNER_AND_PLANNER + ONLY_PREDICTOR_AND_PLANNER,
    "planner": NOBODY + NOBODY_BUT_THE_OWNER,
    "owner": NOBODY + NOT_OWNER,
}


@pytest.mark.parametrize(
    ("role", "statement"),
    [(role, line.strip()) for role, lines in FORBIDDEN.items() for line in lines.splitlines() if line],
)
def test_what_a_role_must_not_do(midway: Company, role: str, statement: str) -> None:
    with midway.owner.connect("predictions"), pytest.raises(ConfigurationError, match="GRANT") as raised:
        sql(getattr(midway, role), statement)

    assert code(raised.value.__cause__ or raised.value) == "42501", raised.value


def test_a_shard_cannot_open_a_run_that_is_over(midway: Company) -> None:
    sql(midway.predictor, "UPDATE prediction.run SET state = 'predicting' WHERE run_id = 1")

    assert run_row(midway.admin, 1)["state"] == "published"


@pytest.mark.parametrize("relation", ["message", "shown"])
def test_the_right_to_read_the_named_columns_is_enough(company: Company, relation: str) -> None:
    """F17. The key, the inputs, the cursor, and what `where` and `cost` use: nothing else is asked for."""
    sql(company.admin, "ALTER TABLE message ADD ssn text; CREATE VIEW shown AS SELECT * FROM message")
    sql(company.admin, "REVOKE SELECT ON message FROM prediction_predictor, prediction_reader")
    columns = "id, text, updated_at, channel"
    sql(company.admin, f"GRANT SELECT ({columns}) ON {relation} TO prediction_predictor, prediction_reader")
    a_job = job(
        name="narrow", source__relation=relation, source__cursor="updated_at", source__where="channel IS NULL",
        source__on_delete="delete",
    )  # fmt: skip
    plan.prepare(company.owner, a_job, company.model)

    for number, expected in enumerate((251, 0)):
        planned = plan.plan(company.planner, a_job, Request(), company.model, Caller("airflow", str(number), True))
        for each in planned.shards:
            shard.run(company.predictor, planned.run_id, planned.generation, each, lambda work: Digest())
            check.check(company.planner, planned.run_id)
            publish.publish(company.planner, planned.run_id)
        assert planned.planned == expected
    current = "SELECT is_current, count(*) FROM prediction.narrow__current GROUP BY 1"
    assert sql(company.reader, current) == [(True, 251)]


def test_another_definition_of_current_waits_for_the_owner_and_stops_no_run(
    company: Company, caplog: pytest.LogCaptureFixture
) -> None:
    """After an upgrade, or with another `where`: the planner may not replace the owner's function."""
    company.run("1")
    a_job = job(history="append", source__on_delete="delete", source__where="id > 0")

    for expected in (True, False):
        caplog.clear()
        plan.plan(company.planner, a_job, Request(), company.model, Caller("airflow", f"with {expected}", True))
        assert ("python -m inference db prepare intent" in caplog.text) == expected
        plan.prepare(company.owner, a_job, company.model)


def test_shards_need_no_right_to_a_view(company: Company) -> None:
    """Plan reads it once, and the work list has what they need."""
    sql(company.admin, "CREATE VIEW shown AS SELECT id, text FROM message")
    sql(company.admin, "GRANT SELECT ON shown TO prediction_planner")
    a_job = job(name="seen", source__relation="shown")
    plan.prepare(company.owner, a_job, company.model)
    planned = plan.plan(company.planner, a_job, Request(), company.model, Caller("airflow", "1", True))

    shard.run(company.predictor, planned.run_id, planned.generation, 1, lambda work: Digest())

    assert check.check(company.planner, planned.run_id).state == "checked"
    assert publish.publish(company.planner, planned.run_id).state == "published"


# Row-level security on the source


def test_planner_and_predictor_see_the_rows_that_one_policy_allows(company: Company) -> None:
    sql(company.admin, "UPDATE message SET channel = 'secret' WHERE id > 10")
    sql(company.admin, "ALTER TABLE message ENABLE ROW LEVEL SECURITY")
    sql(
        company.admin,
        "CREATE POLICY shown ON message TO prediction_predictor USING (channel IS DISTINCT FROM 'secret')",
    )

    planned = company.run("1")

    assert planned.planned == 10
    assert sorted(predictions(company.reader)) == list(range(1, 11))
    assert sql(company.reader, "SELECT count(*) FROM prediction.intent__current") == [(0,)]  # nor does the view help
    row = run_row(company.admin, planned.run_id)
    assert (row["predicted"], row["vanished"]) == (10, 0)
    assert company.plan("2").state == "empty"


# As docker-compose.yaml has it


def test_the_files_of_the_compose_stack_make_the_roles_with_their_passwords(
    postgres: Postgres, tmp_path: Path, databases: Databases
) -> None:
    psql = shutil.which("psql")
    if psql is None:
        if os.environ.get("CI"):
            raise RuntimeError("psql is not on PATH")
        pytest.skip("psql is not on PATH")
    database = str(databases.url("predictions").database)
    text = (ROOT / "images" / "postgres" / "prediction.sql").read_text()
    text = text.replace("\\i /sql/", f"\\i {ROOT}/sql/").replace("\\connect company", f"\\connect {database}")
    (tmp_path / "prediction.sql").write_text(text)
    passwords = {f"PREDICTION_{role.upper()}_DB_PASSWORD": roles.PASSWORD for role in roles.ROLES}
    command = [psql, "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--file={tmp_path}/prediction.sql"]

    for _ in range(2):
        subprocess.run([*command, postgres.libpq_url("postgres")], env={**os.environ, **passwords}, check=True)

    for role, own in roles.connections(postgres, database).items():
        assert sql(own, "SELECT current_user") == [(f"prediction_{role}",)]
    migrate.upgrade(roles.connections(postgres, database)["owner"], lambda _: None)
    assert sql(databases, "SELECT nspname FROM pg_namespace WHERE nspowner = 'prediction_owner'::regrole") == [
        ("prediction",),
        ("prediction_work",),
    ]


# A schema that one role owned until now


def test_a_database_with_predictions_is_handed_over_to_the_roles(databases: Databases, postgres: Postgres) -> None:
    create_messages(databases, ["one", "two", "bad"])
    before = Pipeline(databases, JOB, Digest(lambda text: text == "bad"))
    before.run()
    left = before.plan()
    database = str(databases.url("predictions").database)

    roles.apply(postgres, database)
    by_role = {"admin": databases, **roles.connections(postgres, database)}
    migrate.upgrade(by_role["owner"], lambda _: None)
    sql(databases, "GRANT SELECT ON message TO prediction_predictor")
    sql(databases, "INSERT INTO message (text) VALUES ('three')")
    company = Company(before.model, **by_role)
    planned = company.run("handed-over")

    assert left.state == "empty"
    assert planned.planned == 1
    assert sorted(predictions(by_role["reader"])) == [1, 2, 4]
