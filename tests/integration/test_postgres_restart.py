"""Work lost is known to be lost: Postgres crashes, and empties the unlogged work tables."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from inference import pipeline
from inference.base.database import Databases
from inference.errors import RetryableError, WorkLost
from inference.schema import migrate
from services.postgres import Postgres
from tests.conftest import memory_folder
from tests.stub import Digest, Pipeline, assert_current, counts, create_messages, job, run_row, sql

ROWS = 1000
LOST = "work tables lost: Postgres restarted and emptied them."
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server of its own, to be crashed."""
    folder = Path(tempfile.mkdtemp(prefix="inference-restart-", dir=memory_folder()))
    folder.chmod(0o755)
    with Postgres(folder, port=25532, settings={"fsync": "off"}) as running:
        yield running
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def databases(server: Postgres) -> Databases:
    name = f"restart_{next(_NUMBERS)}"
    server.create_database(name)
    databases = Databases({"predictions": server.url(name)})
    migrate.upgrade(databases, lambda _: None)
    create_messages(databases, [f"message {number}" for number in range(ROWS)])
    return databases


def crash(server: Postgres) -> None:
    # What was committed long ago is on disk, as it would be without fsync=off.
    server.stop_immediately()
    server.start()


class Crashing(Digest):
    """Takes Postgres down at the given call."""

    def __init__(self, server: Postgres, call: int) -> None:
        super().__init__()
        self._server, self._call = server, call

    def predict(self, data: pd.DataFrame) -> pd.DataFrame:
        if self.calls == self._call:
            crash(self._server)
        return super().predict(data)


def assert_next_run_predicts_everything(databases: Databases, runs: Pipeline) -> None:
    runs.predictor = Digest()
    assert sql(databases, "SELECT count(*) FROM prediction.intent") == [(0,)]
    again = runs.run()
    assert counts(databases, again.run_id) == {"planned": ROWS, "predicted": ROWS}
    assert_current(databases)
    assert runs.run().planned == 0


def test_a_crash_between_the_last_shard_and_check(server: Postgres, databases: Databases) -> None:
    runs = Pipeline(databases)
    planned = runs.plan()
    runs.predict(planned)
    crash(server)

    with pytest.raises(WorkLost, match=LOST):
        pipeline.check(databases, planned.run_id)

    row = run_row(databases, planned.run_id)
    assert (row["state"], LOST in row["message"], row["complete"]) == ("failed", True, False)
    assert_next_run_predicts_everything(databases, runs)


def test_a_crash_between_check_and_publish(server: Postgres, databases: Databases) -> None:
    runs = Pipeline(databases)
    planned = runs.plan()
    runs.predict(planned)
    assert pipeline.check(databases, planned.run_id).state == "checked"
    crash(server)

    with pytest.raises(WorkLost, match=LOST):
        pipeline.publish(databases, planned.run_id)

    assert run_row(databases, planned.run_id)["state"] == "failed"
    assert_next_run_predicts_everything(databases, runs)


def test_a_crash_in_the_middle_of_a_shard(server: Postgres, databases: Databases) -> None:
    runs = Pipeline(databases, job(sizes__chunk_rows=64), Crashing(server, 4))
    planned = runs.plan()

    with pytest.raises(WorkLost, match=LOST):
        runs.predict(planned)

    assert_next_run_predicts_everything(databases, runs)


def test_a_crash_while_the_last_chunk_is_scored(server: Postgres, databases: Databases) -> None:
    """Everything is read already: the shard ends, and check finds the sentinel gone."""
    runs = Pipeline(databases, job(sizes__chunk_rows=100, sizes__batch_rows=100), Crashing(server, 9))
    planned = runs.plan()
    runs.predict(planned)

    with pytest.raises(WorkLost, match=LOST):
        pipeline.check(databases, planned.run_id)

    assert_next_run_predicts_everything(databases, runs)


def test_a_crash_before_the_first_shard(server: Postgres, databases: Databases) -> None:
    runs = Pipeline(databases)
    planned = runs.plan()
    crash(server)

    with pytest.raises(WorkLost, match=LOST):
        runs.predict(planned)

    assert_next_run_predicts_everything(databases, runs)


def test_no_room_for_the_results_costs_an_attempt(databases: Databases) -> None:
    runs = Pipeline(databases)
    planned = runs.plan()
    sql(
        databases,
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION "
        "''could not extend file: No space left on device'' USING ERRCODE = ''disk_full''; END'",
    )
    table = f"prediction_work.result_{planned.run_id}_{planned.generation}"
    sql(databases, f"CREATE TRIGGER full_disk BEFORE INSERT ON {table} EXECUTE FUNCTION full_disk()")

    with pytest.raises(RetryableError, match="Postgres has no room: could not extend file: No space left on device"):
        runs.predict(planned)
    sql(databases, f"DROP TRIGGER full_disk ON {table}")
    runs.predict(planned)

    assert runs.finish(planned) == "published"
    assert counts(databases, planned.run_id) == {"planned": ROWS, "predicted": ROWS}
    assert_current(databases)
