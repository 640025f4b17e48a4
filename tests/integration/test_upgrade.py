"""The schema of the first version with its data, upgraded and used.

`first_version.sql` is what `pg_dump --inserts` said of a database in which the code of that version, with migration
0001 alone, had published two runs, failed one, and begun a fourth.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from inference import check, metrics, migrate, plan, publish, quarantine, shard, status
from inference.database import PREDICTIONS, Databases
from inference.model import by_run
from inference.plan import Planned
from inference.repair import repair
from services.postgres import Postgres
from tests import roles
from tests.stub import Digest, Pipeline, assert_current, job, predictions, run_row, sql

DUMP = Path(__file__).with_name("first_version.sql")
JOB = job(source__cursor="updated_at", history="append")
OPEN = 4
TABLES = [("prediction_work", "result_4_1"), ("prediction_work", "work_4_1")]


@pytest.fixture
def databases(postgres: Postgres) -> Iterator[Databases]:
    """The database of the first version."""
    postgres.create_database("test_upgrade")
    connection = psycopg2.connect(postgres.libpq_url("test_upgrade"))
    with connection, connection.cursor() as cursor:
        cursor.execute(DUMP.read_text())
    connection.close()
    yield Databases({PREDICTIONS: postgres.url("test_upgrade")})
    postgres.drop_database("test_upgrade")


def pipeline(databases: Databases) -> Pipeline:
    """The job with the model that was planned then."""
    found = object.__new__(Pipeline)
    found.databases, found.job, found.predictor = databases, JOB, Digest(lambda text: text == "worse")
    with databases.begin(PREDICTIONS) as connection:
        found.model = by_run(connection, 1)
    return found


def upgrade(databases: Databases) -> None:
    applied = migrate.upgrade(databases, lambda _: None)

    assert applied == sorted(path.stem for path in migrate.FOLDER.glob("[0-9]*.sql"))[1:]
    migrate.require(databases)


def test_data_of_the_first_version_stay_as_they_were(databases: Databases) -> None:
    before = predictions(databases)
    history = sql(databases, "SELECT * FROM prediction.intent__history")
    entries = sql(databases, "SELECT * FROM prediction.quarantine")
    assert (len(before), len(history), len(entries)) == (13, 1, 2)

    upgrade(databases)

    assert predictions(databases) == before
    assert sql(databases, "SELECT * FROM prediction.intent__history") == history
    assert sql(databases, "SELECT * FROM prediction.quarantine") == entries
    assert [row["state"] for row in status.runs(databases, "intent", 9)] == [
        "predicting",
        "failed",
        "published",
        "published",
    ]
    assert [row["last_run"] for row in status.jobs(databases, None)] == [OPEN]
    assert sql(databases, "SELECT nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
                          "WHERE relname ~ '^(work|result)_[0-9_]+$' ORDER BY relname") == TABLES  # fmt: skip
    assert sql(databases, "SELECT conrelid::regclass::text FROM pg_constraint WHERE contype = 'f' ORDER BY 1") == [
        (f"prediction.{name}",) for name in ("pruned", "quarantine", "quarantine", "run", "run", "shard", "shard")
    ]
    assert metrics.Exporter(databases).answer("")[0] == 200


def test_the_next_run_takes_over_the_open_one_and_misses_nothing(databases: Databases) -> None:
    upgrade(databases)
    after = pipeline(databases)

    planned = after.run(external_id="after-1")

    assert planned.planned == 25  # those that failed then; the one in quarantine stays there
    assert run_row(databases, OPEN)["state"] == "superseded"
    assert [row["key"] for row in quarantine.entries(databases, None, 9)] == [["14"]]
    sql(databases, "DELETE FROM message WHERE text = 'worse'")
    assert_current(databases)
    assert sql(databases, "SELECT bool_and(is_current) FROM prediction.intent__current") == [(True,)]
    assert after.run(external_id="after-2").state == "empty"
    sql(databases, "UPDATE message SET text = 'after', updated_at = now() WHERE id = 2")
    assert after.run(external_id="after-3").planned == 1
    assert_current(databases)
    assert sql(databases, "SELECT count(*) FROM prediction.intent__history") == [(2,)]


def test_a_shard_that_was_interrupted_by_the_upgrade_goes_on(databases: Databases) -> None:
    upgrade(databases)
    ours = pipeline(databases)

    shard.run(databases, OPEN, 1, 1, lambda work: ours.predictor)
    checked = check.check(databases, OPEN)
    published = publish.publish(databases, OPEN)

    assert (checked.state, published.state) == ("checked", "published")
    sql(databases, "DELETE FROM message WHERE text = 'worse'")
    assert_current(databases)


def test_repair_ends_the_run_that_was_open(databases: Databases) -> None:
    upgrade(databases)
    sql(databases, "UPDATE prediction.run SET heartbeat = now() - interval '1 day'")
    sql(databases, "UPDATE prediction.shard SET heartbeat = now() - interval '1 day'")

    removed = list(repair(databases, [JOB]))

    assert removed[0].startswith("ended run 4 of intent (predicting), ")
    assert removed[1:] == ["job intent: removed table result_4_1", "job intent: removed table work_4_1"]
    assert pipeline(databases).run(external_id="after").planned == 25


def test_the_upgrade_and_a_run_under_four_roles(databases: Databases, postgres: Postgres) -> None:
    roles.apply(postgres, "test_upgrade")
    by_role = roles.connections(postgres, "test_upgrade")
    upgrade(by_role["owner"])
    sql(databases, "GRANT SELECT ON message TO prediction_predictor")
    ours = pipeline(by_role["planner"])
    plan.prepare(by_role["owner"], ours.job, ours.model)

    planned: Planned = ours.plan("after")
    for number in planned.shards:
        shard.run(by_role["predictor"], planned.run_id, planned.generation, number, lambda work: ours.predictor)

    assert (planned.planned, ours.finish(planned)) == (25, "published")
    assert len(predictions(by_role["reader"])) == 38
