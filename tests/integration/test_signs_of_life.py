"""A run gives signs of life from the first second of an attempt; without them it is dead after a minute."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest

from inference.base.database import PREDICTIONS, Databases
from inference.base.queries import run as run_block
from inference.models.mlflow_rest import Registry
from inference.operations import repair
from inference.planning.plan import Planned
from inference.runners import deaths, runner, watchdog
from inference.schema import lease
from inference.schema.run import lock_run
from inference.shard import attempt, shard
from inference.shard.attempt import SQL as shard_queries
from tests.integration.test_attempts import until
from tests.integration.test_two_runs import COMMAND_LINE, grow_silent
from tests.stub import Digest, Pipeline, assert_current, create_messages, run_row, sql


@pytest.fixture
def pipeline(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    monkeypatch.setattr(lease, "SILENCE", 1.0)
    monkeypatch.setattr(shard, "HEARTBEAT", 0.05)
    monkeypatch.setattr(watchdog, "EVERY", 0.05)
    create_messages(databases, [f"message {number}" for number in range(50)])
    return Pipeline(databases)


def last_sign(databases: Databases) -> datetime:
    query = "SELECT max(greatest(s.heartbeat, r.heartbeat)) FROM prediction.shard s JOIN prediction.run r"
    found: datetime = sql(databases, f"{query} USING (run_id)")[0][0]
    return found


def outlives_the_silence(pipeline: Pipeline, planned: Planned, at_work: Callable[[threading.Event], Any]) -> None:
    """While `at_work` waits for longer than SILENCE, a second run says that the first is at work."""
    go_on = threading.Event()
    with ThreadPoolExecutor(1) as thread:
        working = thread.submit(at_work, go_on)
        try:
            begun = last_sign(pipeline.databases)
            until(lambda: (last_sign(pipeline.databases) - begun).total_seconds() > 1.5)
            late = pipeline.plan(orchestrator=COMMAND_LINE)
        finally:
            go_on.set()
        working.result()
    assert (late.state, f"run {planned.run_id} ({COMMAND_LINE}) is at work" in late.message) == ("empty", True)
    assert pipeline.finish(planned) == "published"
    assert_current(pipeline.databases)


def test_a_model_that_loads_for_long_keeps_its_run_alive(pipeline: Pipeline) -> None:
    """B2: after 66 s a second run superseded it, and with one each minute nothing was ever published."""
    planned = pipeline.plan(orchestrator=COMMAND_LINE)

    def at_work(go_on: threading.Event) -> None:
        def load(task: Any) -> Digest:
            assert go_on.wait(30)
            return Digest()

        shard.run(pipeline.databases, planned.run_id, 1, 1, load)

    outlives_the_silence(pipeline, planned, at_work)
    # Of the shard's pace, loading is no part.
    assert sql(pipeline.databases, "SELECT seconds < 1 FROM prediction.shard") == [(True,)]


def test_an_environment_that_takes_long_keeps_its_run_alive(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B2: so did making an environment or pulling an image, before any process of the shard was there."""
    planned, databases = pipeline.plan(orchestrator=COMMAND_LINE), pipeline.databases

    def at_work(go_on: threading.Event) -> None:
        def start(*arguments: Any) -> None:
            assert go_on.wait(30)
            shard.run(databases, planned.run_id, 1, 1, lambda task: Digest())

        monkeypatch.setitem(runner.RUNNERS, "venv", runner.Runner(start))
        runner.run(databases, Registry("http://127.0.0.1:1"), planned.run_id, 1, 1)

    outlives_the_silence(pipeline, planned, at_work)


def test_whoever_starts_a_shard_gives_no_sign_for_a_process_that_hangs(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its first statement on, the process speaks for itself: one that is stopped counts as dead."""
    acts: list[Callable[[Any], None]] = []

    @contextlib.contextmanager
    def noted(databases: Databases, act: Callable[[Any], None], failed: str) -> Iterator[None]:
        acts.append(act)
        yield

    monkeypatch.setattr(watchdog, "_repeated", noted)
    planned, databases = pipeline.plan(), pipeline.databases
    with watchdog.starting(databases, planned.run_id, 1, 1):
        for begun, silent in ((False, False), (True, True)):
            if begun:
                with databases.begin(PREDICTIONS) as connection:
                    attempt.begin(connection, planned.run_id, 1, 1)
            grow_silent(databases, planned.run_id, 61)
            with databases.begin(PREDICTIONS) as connection:
                acts[0](connection)
            ago = sql(databases, "SELECT now() - max(heartbeat) > interval '60 s' FROM prediction.shard")
            assert ago == [(silent,)]


def test_whoever_starts_a_shard_does_not_wait_for_an_attempt_that_was_stopped_in_its_commit(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the next attempt ends the session that holds the shard's row."""
    databases, planned = pipeline.databases, pipeline.plan()
    with databases.begin(PREDICTIONS) as stopped:
        run_block(stopped, shard_queries["alive"], run_id=planned.run_id, generation=1, shard=1, attempt=0)

        def start(*arguments: Any) -> None:
            assert stopped.in_transaction()

        monkeypatch.setitem(runner.RUNNERS, "venv", runner.Runner(start))
        monkeypatch.setattr(deaths, "judged", lambda databases, run_id, generation, number, attempt: attempt())
        begun = time.monotonic()
        runner.run(databases, Registry("http://127.0.0.1:1"), planned.run_id, 1, 1)
        assert time.monotonic() - begun < 10  # lock_timeout is 30 s


def test_a_stopped_predecessor_that_holds_the_shards_row_does_not_keep_the_next_attempt_from_starting(
    pipeline: Pipeline,
) -> None:
    """B2, a neighbour: only the next attempt's first statement ends the session that holds the row."""
    planned, databases = pipeline.plan(), pipeline.databases
    with databases.begin(PREDICTIONS) as connection:
        begun = attempt.begin(connection, planned.run_id, 1, 1)
    with databases.connect(PREDICTIONS) as stopped:
        with stopped.begin():
            attempt.register(stopped, begun.shard)
        attempt.register(stopped, begun.shard)  # its transaction stays open
        with watchdog.starting(databases, planned.run_id, 1, 1), databases.begin(PREDICTIONS) as connection:
            again = attempt.begin(connection, planned.run_id, 1, 1)
        stopped.invalidate()

    assert again.shard.attempt == 2


def test_a_run_that_is_being_checked_is_at_work(pipeline: Pipeline) -> None:
    """B2, a neighbour: check gives no sign of life, and may take longer than a minute."""
    databases, planned = pipeline.databases, pipeline.plan(orchestrator=COMMAND_LINE)
    pipeline.predict(planned)
    grow_silent(databases, planned.run_id, 61)
    with databases.begin(PREDICTIONS) as connection:
        lock_run(connection, planned.run_id)
        late = pipeline.plan(orchestrator=COMMAND_LINE)

    assert late.state == "empty"
    assert late.message == f"run {planned.run_id} ({COMMAND_LINE}) is at work: its check or publish holds its row"
    assert pipeline.finish(planned) == "published"


@pytest.mark.parametrize("table", ["run", "shard"])
def test_a_sign_of_life_in_the_future_blocks_no_longer_than_one_of_now(pipeline: Pipeline, table: str) -> None:
    """C: after the server's clock was set back by two hours, nobody took over for two hours."""
    databases, planned = pipeline.databases, pipeline.plan(orchestrator=COMMAND_LINE)
    grow_silent(databases, planned.run_id, 61)
    sql(databases, f"UPDATE prediction.{table} SET heartbeat = now() + interval '2 h'")  # noqa: S608

    assert pipeline.plan("b", dry_run=True).message.endswith("is at work, last sign of life 0 s ago")
    assert pipeline.plan("c").message.endswith("is at work, last sign of life 0 s ago")

    assert sql(databases, f"SELECT heartbeat <= now() FROM prediction.{table} LIMIT 1") == [(True,)]  # noqa: S608
    grow_silent(databases, planned.run_id, 61)
    assert pipeline.plan("d").state == "planned"


def test_repair_takes_a_sign_of_life_in_the_future_for_one_of_now(pipeline: Pipeline) -> None:
    """C: `repair` found nothing to remove for two hours."""
    databases, planned = pipeline.databases, pipeline.plan(orchestrator=COMMAND_LINE)
    grow_silent(databases, planned.run_id, -7200)

    assert list(repair.repair(databases, [])) == []
    until(lambda: (datetime.now(last_sign(databases).tzinfo) - last_sign(databases)).total_seconds() > 1)
    assert f"ended run {planned.run_id} of intent (planned)" in next(iter(list(repair.repair(databases, []))))
    assert run_row(databases, planned.run_id)["state"] == "failed"
