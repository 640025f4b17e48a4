"""One active run per job: two at once, dead ones, clearing, and stages that are called again."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd
import pytest

from inference.base.database import Databases
from inference.errors import CheckFailed, RunHeld, TakenOver
from inference.publishing import check, publish
from inference.schema.run import fail
from inference.shard import shard
from tests.stub import Digest, Pipeline, assert_current, counts, create_messages, job, predictions, run_row, sql

COMMAND_LINE = "command line on host"


@pytest.fixture
def pipeline(databases: Databases) -> Pipeline:
    create_messages(databases, [f"message {number}" for number in range(250)])
    return Pipeline(databases)


def states(databases: Databases) -> list[tuple[Any, ...]]:
    return sql(databases, "SELECT orchestrator, external_id, generation, state FROM prediction.run ORDER BY run_id")


def grow_silent(databases: Databases, run_id: int, seconds: int) -> None:
    """As if the run's last sign of life had been that long ago."""
    for table in ("run", "shard"):
        query = f"UPDATE prediction.{table} SET heartbeat = now() - :s * interval '1 s' WHERE run_id = :r"  # noqa: S608
        sql(databases, query, s=seconds, r=run_id)


@pytest.mark.parametrize("first", ["airflow", COMMAND_LINE])
def test_the_second_of_two_runs_ends_as_empty_and_says_which_is_at_work(pipeline: Pipeline, first: str) -> None:
    second = COMMAND_LINE if first == "airflow" else "airflow"
    working = pipeline.plan("a", first)

    late = pipeline.plan("b", second)

    assert (late.state, late.planned, late.shards) == ("empty", 0, [])
    assert f"run {working.run_id} ({first}) is at work, last sign of life" in late.message
    row = run_row(pipeline.databases, late.run_id)
    assert (row["state"], row["message"], row["complete"]) == ("empty", late.message, False)
    pipeline.predict(working)
    assert pipeline.finish(working) == "published"
    assert_current(pipeline.databases)


@pytest.mark.parametrize("isolation", ["read committed", "serializable"])
def test_two_plans_at_the_same_moment(pipeline: Pipeline, isolation: str) -> None:
    """Whatever isolation the database's own setting asks for: the second must see what the first wrote."""
    place = pipeline.databases.url("predictions").database
    sql(pipeline.databases, f"ALTER DATABASE {place} SET default_transaction_isolation = '{isolation}'")
    pipeline.run(external_id="first")
    sql(pipeline.databases, "UPDATE message SET text = text || ' edited'")
    barrier = threading.Barrier(2)

    def plan(name: str) -> Any:
        barrier.wait()
        return pipeline.plan(name, name)

    with ThreadPoolExecutor(2) as threads:
        plans = list(threads.map(plan, ["airflow", COMMAND_LINE]))

    assert sorted(item.state for item in plans) == ["empty", "planned"]
    working = next(item for item in plans if item.state == "planned")
    pipeline.predict(working)
    assert pipeline.finish(working) == "published"
    assert_current(pipeline.databases)


def test_a_run_that_ended_as_empty_may_be_cleared_while_the_other_is_still_at_work(pipeline: Pipeline) -> None:
    working = pipeline.plan("a", COMMAND_LINE)
    assert pipeline.plan("b").state == "empty"

    again = pipeline.plan("b")

    assert (again.state, again.generation) == ("empty", 2)
    assert f"run {working.run_id} ({COMMAND_LINE}) is at work" in again.message
    pipeline.predict(working)
    assert pipeline.finish(working) == "published"
    assert pipeline.plan("b").message == "nothing is pending"
    assert states(pipeline.databases) == [(COMMAND_LINE, "a", 1, "published"), ("airflow", "b", 3, "empty")]


def test_a_failed_run_that_is_cleared_while_another_is_at_work_ends_as_empty(pipeline: Pipeline) -> None:
    failed = pipeline.plan("a")
    fail(pipeline.databases, failed.run_id, "somebody says so")
    pipeline.plan("b", COMMAND_LINE)

    again = pipeline.plan("a")

    assert (again.run_id, again.state) == (failed.run_id, "empty")
    assert "is at work" in again.message


def test_a_dead_command_line_run_is_superseded_and_can_write_nothing_any_more(pipeline: Pipeline) -> None:
    databases = pipeline.databases
    dead = pipeline.plan("a", COMMAND_LINE)
    waiting, go_on = threading.Event(), threading.Event()

    class Waits(Digest):
        def predict(self, data: pd.DataFrame) -> pd.DataFrame:
            waiting.set()
            assert go_on.wait(30)
            return super().predict(data)

    with ThreadPoolExecutor(1) as thread:
        orphan = thread.submit(shard.run, databases, dead.run_id, 1, 1, lambda work: Waits())
        assert waiting.wait(10)
        grow_silent(databases, dead.run_id, 61)
        live = pipeline.plan("b")
        go_on.set()
        with pytest.raises(TakenOver):
            orphan.result()

    assert (live.state, live.planned) == ("planned", 250)
    assert run_row(databases, dead.run_id)["state"] == "superseded"
    for stage in (check.check, publish.publish):
        with pytest.raises(TakenOver, match=f"run {dead.run_id} is superseded.*by a later run .airflow"):
            stage(databases, dead.run_id)
    with pytest.raises(TakenOver):
        shard.run(databases, dead.run_id, 1, 1, lambda work: Digest())
    pipeline.predict(live)
    assert pipeline.finish(live) == "published"
    assert counts(databases, live.run_id) == {"planned": 250, "predicted": 250}
    assert_current(databases)


def test_an_airflow_run_that_waits_for_a_retry_is_not_dead(pipeline: Pipeline) -> None:
    """Between attempts there is no sign of life: max_delay of the retries is added."""
    working = pipeline.plan("a")
    grow_silent(pipeline.databases, working.run_id, 60 + 600 - 10)
    assert pipeline.plan("b", COMMAND_LINE).state == "empty"
    grow_silent(pipeline.databases, working.run_id, 60 + 600 + 10)
    assert pipeline.plan("c", COMMAND_LINE).state == "planned"


def test_a_shard_that_works_keeps_its_run_alive(pipeline: Pipeline) -> None:
    working = pipeline.plan("a", COMMAND_LINE)
    grow_silent(pipeline.databases, working.run_id, 3600)
    pipeline.predict(working)

    assert pipeline.plan("b").state == "empty"


def test_airflow_supersedes_its_own_earlier_run_at_once(pipeline: Pipeline) -> None:
    """It never runs two at once, so an open one has died."""
    pipeline.plan("a")

    assert pipeline.plan("b").state == "planned"
    assert [row[3] for row in states(pipeline.databases)] == ["superseded", "planned"]


def test_clearing_starts_the_run_over_and_doubles_nothing(pipeline: Pipeline) -> None:
    databases = pipeline.databases
    first = pipeline.plan("a")
    pipeline.predict(first)
    sql(databases, "INSERT INTO message (text) VALUES ('in between')")

    again = pipeline.plan("a")

    assert (again.run_id, again.generation, again.planned) == (first.run_id, 2, 251)
    pipeline.predict(again)
    assert pipeline.finish(again) == "published"
    assert counts(databases, again.run_id) == {"planned": 251, "predicted": 251}
    assert states(databases) == [("airflow", "a", 2, "published")]
    assert_current(databases)


@pytest.mark.parametrize("until", ["checked", "failed"])
def test_clearing_after_check_starts_over_too(pipeline: Pipeline, until: str) -> None:
    databases = pipeline.databases
    if until == "failed":
        pipeline.predictor = Digest(lambda text: True)
    first = pipeline.plan("a")
    pipeline.predict(first)
    if until == "failed":
        with pytest.raises(CheckFailed):
            check.check(databases, first.run_id)
    else:
        check.check(databases, first.run_id)
    assert run_row(databases, first.run_id)["state"] == until
    pipeline.predictor = Digest()

    again = pipeline.plan("a")

    assert (again.generation, again.planned) == (2, 250)
    pipeline.predict(again)
    assert pipeline.finish(again) == "published"
    assert_current(databases)


def test_stages_of_a_published_run_are_no_ops_that_say_so(pipeline: Pipeline) -> None:
    databases = pipeline.databases
    done = pipeline.plan("a")
    pipeline.predict(done)
    pipeline.finish(done)
    before, row = predictions(databases), run_row(databases, done.run_id)
    sql(databases, "UPDATE message SET text = 'edited' WHERE id = 1")

    again = pipeline.plan("a")
    assert (again.state, again.generation, again.shards) == ("published", 1, [])
    assert again.message == f"run {done.run_id} is published already: nothing to do"
    checked, published = check.check(databases, done.run_id), publish.publish(databases, done.run_id)
    assert checked.message.startswith(f"run {done.run_id} is published already: nothing to check")
    assert published.message.startswith(f"run {done.run_id} is published already: nothing to publish")
    assert (predictions(databases), run_row(databases, done.run_id)) == (before, row)
    assert pipeline.plan("b").planned == 1


def test_check_is_a_no_op_on_a_checked_run_and_on_an_empty_one(pipeline: Pipeline) -> None:
    databases = pipeline.databases
    planned = pipeline.plan("a")
    pipeline.predict(planned)
    assert check.check(databases, planned.run_id).state == "checked"
    assert "nothing to check" in check.check(databases, planned.run_id).message
    publish.publish(databases, planned.run_id)
    empty = pipeline.plan("b")
    assert check.check(databases, empty.run_id).state == "empty"
    assert publish.publish(databases, empty.run_id).state == "empty"


def test_check_of_a_run_whose_shards_are_not_done_says_which(pipeline: Pipeline) -> None:
    planned = pipeline.plan("a")
    with pytest.raises(Exception, match=r"shards 1 are not done; see their logs, then clear those tasks"):
        check.check(pipeline.databases, planned.run_id)


def test_a_shard_that_is_complete_does_nothing_when_called_again(pipeline: Pipeline) -> None:
    planned = pipeline.plan("a")
    pipeline.predict(planned)
    pipeline.predictor = Digest(lambda text: True)
    pipeline.predict(planned)

    assert pipeline.finish(planned) == "published"
    assert_current(pipeline.databases)


def test_an_older_run_cannot_publish_over_a_newer_one(pipeline: Pipeline) -> None:
    databases = pipeline.databases
    old = pipeline.plan("a")
    pipeline.predict(old)
    check.check(databases, old.run_id)
    sql(databases, "UPDATE message SET text = text || ' edited'")
    new = pipeline.plan("b")
    pipeline.predict(new)
    pipeline.finish(new)

    with pytest.raises(TakenOver):
        publish.publish(databases, old.run_id)

    assert_current(databases)


def test_an_old_run_that_is_cleared_after_newer_ones_writes_what_it_scored(pipeline: Pipeline) -> None:
    databases = pipeline.databases
    old = pipeline.plan("a")
    fail(databases, old.run_id, "somebody says so")
    pipeline.run(external_id="b")
    sql(databases, "UPDATE message SET text = text || ' edited' WHERE id <= 10")

    again = pipeline.plan("a")
    pipeline.predict(again)
    pipeline.finish(again)

    assert counts(databases, again.run_id) == {"planned": 10, "predicted": 10}
    assert_current(databases)


class TestHeld:
    @pytest.fixture
    def held(self, pipeline: Pipeline) -> int:
        planned = pipeline.run(external_id="a", publish="hold")
        assert run_row(pipeline.databases, planned.run_id)["state"] == "held"
        assert predictions(pipeline.databases) == {}
        return planned.run_id

    def test_a_held_run_blocks_the_next_ones_and_says_how_to_go_on(self, pipeline: Pipeline, held: int) -> None:
        late = pipeline.plan("b")
        assert (late.state, f"run {held} is held" in late.message) == ("empty", True)
        assert f"(python -m inference release|discard {held}), or 1d have passed" in late.message

    def test_publish_of_a_held_run_waits_for_the_release(self, pipeline: Pipeline, held: int) -> None:
        assert publish.publish(pipeline.databases, held).state == "held"
        assert predictions(pipeline.databases) == {}

        publish.release(pipeline.databases, held)

        assert run_row(pipeline.databases, held)["state"] == "published"
        assert_current(pipeline.databases)
        assert pipeline.plan("b").message == "nothing is pending"

    def test_a_discarded_run_shows_nothing_and_its_rows_are_pending_again(self, pipeline: Pipeline, held: int) -> None:
        publish.discard(pipeline.databases, held)

        assert run_row(pipeline.databases, held)["state"] == "failed"
        assert predictions(pipeline.databases) == {}
        assert pipeline.run(external_id="b").planned == 250
        assert_current(pipeline.databases)

    def test_after_the_hold_timeout_the_next_run_supersedes_it(self, pipeline: Pipeline, held: int) -> None:
        grow_silent(pipeline.databases, held, 86_400 + 10)
        assert pipeline.run(external_id="b").planned == 250
        assert run_row(pipeline.databases, held)["state"] == "superseded"
        assert_current(pipeline.databases)


@pytest.mark.parametrize("name", ["a", "c"], ids=["cleared", "triggered again"])
def test_too_many_rows_hold_the_run_and_release_lets_the_next_one_do_it(pipeline: Pipeline, name: str) -> None:
    databases = pipeline.databases
    pipeline.job = job(max_planned_rows=100)
    with pytest.raises(RunHeld, match="250 rows are pending, above max_planned_rows 100") as caught:
        pipeline.plan("a")
    held = sql(databases, "SELECT run_id FROM prediction.run")[0][0]
    assert pipeline.plan("a").state == "held"  # a retry of the task changes nothing
    assert f"python -m inference release {held}" in str(caught.value)
    assert sql(databases, "SELECT relname FROM pg_class WHERE relname ~ '^(work|result)_'") == []
    assert pipeline.plan("b").state == "empty"

    assert "may plan 250 rows" in publish.release(databases, held)
    sql(databases, "INSERT INTO message (text) VALUES ('came since')")  # must not hold the run anew

    done = pipeline.run(external_id=name)
    assert counts(databases, done.run_id) == {"planned": 251, "predicted": 251}
    assert_current(databases)
