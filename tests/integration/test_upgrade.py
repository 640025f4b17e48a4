"""Databases that older code has left, upgraded and used.

`first_version.sql` is what `pg_dump --inserts` said of a database in which the code of the first version, with
migration 0001 alone, had published two runs, failed one, and begun a fourth. `nine_migrations.sql` is what the code
before migration 0010 left: a job with a cursor that is done (runs 1 and 2), a held run (3), and one in the middle of a
shard (4).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from inference.base.database import PREDICTIONS, Databases
from inference.errors import ModelError, PermanentError
from inference.jobs.job import Job
from inference.models.model_version import Image, Model, by_run
from inference.operations import metrics, quarantine, status
from inference.operations.prune import prune
from inference.operations.repair import repair
from inference.planning import plan
from inference.planning.plan import Planned
from inference.publishing import check, publish
from inference.runners import runner
from inference.runners.runner import RUNNERS, Runner
from inference.schema import migrate
from inference.shard import shard
from services.postgres import Postgres
from tests import roles
from tests.stub import Digest, Pipeline, assert_current, digest, job, predictions, run_row, sql

FOLDER = Path(__file__).parent
JOB = job(source__cursor="updated_at", history="append")
OPEN = 4
TABLES = [("prediction_work", "result_4_1"), ("prediction_work", "work_4_1")]


@contextmanager
def restored(postgres: Postgres, dump: str) -> Iterator[Databases]:
    postgres.create_database("test_upgrade")
    connection = psycopg2.connect(postgres.libpq_url("test_upgrade"))
    with connection, connection.cursor() as cursor:
        cursor.execute((FOLDER / dump).read_text())
    connection.close()
    yield Databases({PREDICTIONS: postgres.url("test_upgrade")})
    postgres.drop_database("test_upgrade")


@pytest.fixture
def databases(postgres: Postgres) -> Iterator[Databases]:
    """The database of the first version."""
    with restored(postgres, "first_version.sql") as found:
        yield found


@pytest.fixture
def open_runs(postgres: Postgres) -> Iterator[Databases]:
    """The database of nine migrations, as if it had been left a minute ago, and upgraded."""
    with restored(postgres, "nine_migrations.sql") as found:
        ((age,),) = sql(found, "SELECT now() - max(heartbeat) - interval '1 min' FROM prediction.shard")
        sql(found, "UPDATE message SET updated_at = updated_at + :age", age=age)
        sql(found, "UPDATE prediction.run SET source_time = source_time + :age, created_at = created_at + :age, "
                   "heartbeat = heartbeat + :age, finished_at = finished_at + :age", age=age)  # fmt: skip
        upgrade(found, 9)
        yield found


def pipeline(databases: Databases, a_job: Job = JOB) -> Pipeline:
    """The job with the model that was planned then."""
    found = object.__new__(Pipeline)
    found.databases, found.job, found.predictor = databases, a_job, Digest(lambda text: text == "worse")
    with databases.begin(PREDICTIONS) as connection:
        found.model = by_run(connection, 1)
    return found


def upgrade(databases: Databases, known: int = 1) -> None:
    applied = migrate.upgrade(databases, lambda _: None)

    assert applied == sorted(path.stem for path in migrate.FOLDER.glob("[0-9]*.sql"))[known:]
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


def test_predicting_goes_on_where_older_code_was_in_the_middle_of_a_shard(open_runs: Databases) -> None:
    ours = pipeline(open_runs)
    shard.run(open_runs, 4, 1, 1, lambda work: ours.predictor)

    assert check.check(open_runs, 4).state == "checked"
    assert publish.publish(open_runs, 4).state == "published"
    assert sql(open_runs, "SELECT cursor, last_ordinal, attempt FROM prediction.shard WHERE run_id = 4") == [(6, 6, 2)]
    assert ours.predictor.rows == 3  # type: ignore[attr-defined]  # the others were committed before the upgrade
    assert predicted(open_runs, "begun") == texts(open_runs)


def test_a_run_that_older_code_held_is_released(open_runs: Databases) -> None:
    assert predicted(open_runs, "waiting") == {}

    assert publish.release(open_runs, 3).startswith("run 3 is published: 6 rows in 1 shards")

    assert predicted(open_runs, "waiting") == texts(open_runs)


def test_a_run_that_older_code_held_is_discarded_and_one_that_is_silent_is_repaired(open_runs: Databases) -> None:
    publish.discard(open_runs, 3)
    sql(open_runs, "UPDATE prediction.run SET heartbeat = now() - interval '1 day'")

    assert next(repair(open_runs, [])).startswith("ended run 4 of begun (predicting), ")
    assert [row["state"] for row in status.runs(open_runs, None, 9)] == ["failed", "failed", "published", "published"]
    for name in ("waiting", "begun"):
        assert pipeline(open_runs, job(name=name)).run().planned == 6


def test_a_job_with_a_cursor_does_not_sweep_after_the_upgrade(open_runs: Databases) -> None:
    """Nor do the runs after it, with the columns that the first one fills in."""
    a_job = job(name="steady", source__cursor="updated_at", source__sweep="0 0 1 1 *")
    sql(open_runs, "UPDATE message SET text = 'after', updated_at = now() WHERE id = 2")

    runs = [run_row(open_runs, pipeline(open_runs, a_job).run().run_id) for _ in range(2)]

    assert [(row["sweep"], row["window_start"] is None, row["planned"]) for row in runs] == [
        (False, False, 1),
        (False, False, 0),
    ]
    assert predicted(open_runs, "steady") == texts(open_runs)
    assert len(sql(open_runs, "SELECT DISTINCT search_hash FROM prediction.run WHERE job = 'steady'")) == 1


def test_runs_of_older_code_are_pruned(open_runs: Databases) -> None:
    sql(open_runs, "UPDATE prediction.run SET finished_at = finished_at - interval '1 year'")
    sql(open_runs, "UPDATE prediction.run SET sweep = true WHERE run_id = 2")  # two of one kind

    assert list(prune(open_runs, timedelta(days=90), lambda: pytest.fail("there is no report"))) == [
        "job steady: 1 runs, 0 reports, 0 resolved entries of quarantine"
    ]
    assert sql(open_runs, "SELECT run_id FROM prediction.run ORDER BY run_id") == [(2,), (3,), (4,)]


def predicted(databases: Databases, name: str) -> dict[int, str]:
    """What people see, by key."""
    return dict(sql(databases, f"SELECT id, digest FROM prediction.{name}"))  # noqa: S608


def texts(databases: Databases) -> dict[int, str]:
    return {key: digest(text) for key, text in sql(databases, "SELECT id, text FROM message")}


@pytest.mark.parametrize(
    ("field", "value"),
    [("sizes", {"chunk_rows": 3}), ("timeouts", None), ("checks", {}), ("max_parallel_shards", None)],
)
def test_a_run_whose_definition_lacks_fields_is_predicted_checked_and_published(
    databases: Databases, field: str, value: Any
) -> None:
    upgrade(databases)
    change = "jsonb_set(definition - :field, ARRAY[:field], CAST(:value AS jsonb)) || '{\"priority\": 3}'"
    if value is None:
        change = "definition - CAST(:field AS text) || '{\"priority\": 3}' WHERE CAST(:value AS text) IS NOT NULL"
    sql(databases, f"UPDATE prediction.run SET definition = {change}",  # noqa: S608
        field=field, value=json.dumps(value))  # fmt: skip
    ours = pipeline(databases)

    shard.run(databases, OPEN, 1, 1, lambda work: ours.predictor)
    assert ours.finish(Planned(OPEN, 1, "planned", "")) == "published"


def test_a_definition_of_newer_code_stops_check_and_shard_in_words(databases: Databases) -> None:
    upgrade(databases)
    sql(databases, "UPDATE prediction.run SET definition = definition || '{\"format\": 99}'")

    with pytest.raises(PermanentError, match="run 4: its definition has format 99"):
        shard.run(databases, OPEN, 1, 1, lambda work: pytest.fail("is not loaded"))
    with pytest.raises(PermanentError, match="run 4: its definition has format 99"):
        check.check(databases, OPEN)


def test_a_check_that_this_code_refuses_stops_the_run_and_not_its_discarding(open_runs: Databases) -> None:
    sql(open_runs, "UPDATE prediction.run SET heartbeat = now() - interval '1 day', "
                   "definition = jsonb_set(definition, '{checks,max_quarantine_rate}', '7')")  # fmt: skip

    predictor = pipeline(open_runs).predictor
    shard.run(open_runs, 4, 1, 1, lambda work: predictor)
    sql(open_runs, "UPDATE prediction.shard SET heartbeat = now() - interval '1 day'")
    with pytest.raises(PermanentError, match=r"^run 4 was planned by other code, .*checks\.max_quarantine_rate: 7: "):
        check.check(open_runs, 4)
    with pytest.raises(PermanentError, match="python -m inference discard 3"):
        publish.release(open_runs, 3)
    assert publish.discard(open_runs, 3) == "run 3 is discarded: its rows are pending again"
    assert next(repair(open_runs, [])).startswith("ended run 4 of begun (predicting), ")


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_a_shard_of_older_code_does_not_start_in_its_image(
    open_runs: Databases, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = pipeline(open_runs, job(name="begun", runner=kind))
    ours.model = replace(ours.model, image=Image("r/intent@sha256:0b", "sha256:2"))

    def score(databases: Databases, registry: Any, a_job: Job, model: Model, *which: int) -> None:
        shard.run(databases, *which, lambda work: ours.predictor)

    monkeypatch.setitem(RUNNERS, kind, Runner(score))
    sql(open_runs, "UPDATE prediction.run SET image = 'r/intent@sha256:0a', image_id = 'sha256:1', definition = "
                   "definition || jsonb_build_object('runner', CAST(:kind AS text))", kind=kind)  # fmt: skip

    with pytest.raises(ModelError, match=r"^intent version 1: its image r/intent@sha256:0a has protocol none, "):
        runner.run(open_runs, None, 4, 1, 1)  # type: ignore[arg-type]
    planned = ours.plan()
    runner.run(open_runs, None, planned.run_id, 1, 1)  # type: ignore[arg-type]
    assert ours.finish(planned) == "published"
