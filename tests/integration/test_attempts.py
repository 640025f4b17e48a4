"""Exactly once, and the latest attempt wins: kill -9, stopped orphans, SIGTERM, lost answers to COMMIT."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from inference.base.database import Databases
from inference.errors import Interrupted, TakenOver
from inference.planning.plan import Planned
from inference.publishing import publish
from inference.shard import shard
from services.postgres import Postgres
from tests.proxy import Lost, Proxy
from tests.stub import Pipeline, assert_current, counts, create_messages, job, sql

ROOT = Path(__file__).parents[2]
ROWS = 400
CHUNK = 20
IN_FLIGHT = (shard.QUEUED + 2) * CHUNK


class Attempts:
    """Starts attempts of a run's only shard, and reads what they left behind."""

    def __init__(self, databases: Databases, log: Path) -> None:
        create_messages(databases, [f"message {number}" for number in range(ROWS)])
        self.databases = databases
        self.pipeline = Pipeline(databases, job(cost="1", sizes__chunk_rows=CHUNK, sizes__batch_rows=CHUNK))
        self.log = log
        self.started: list[psutil.Popen] = []

    def start(self, planned: Planned, delay: float = 0.02, stop: str = "") -> psutil.Popen:
        environment = {
            **os.environ,
            **self.databases.environment("predictions"),
            "PYTHONPATH": str(ROOT),
            "STUB_LOG": str(self.log),
            "STUB_DELAY": str(delay),
            "STUB_STOP": stop,
        }
        command = [sys.executable, "-m", "tests.shard_process", str(planned.run_id), str(planned.generation), "1"]
        with self.said(len(self.started)).open("w") as output:
            process = psutil.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        self.started.append(process)
        return process

    def said(self, number: int) -> Path:
        """What the nth process wrote."""
        return self.log.with_name(f"output-{number}")

    def cursor(self, planned: Planned) -> int:
        query = "SELECT cursor FROM prediction.shard WHERE run_id = :run AND generation = :generation"
        return int(sql(self.databases, query, run=planned.run_id, generation=planned.generation)[0][0])

    def attempt(self, planned: Planned) -> int:
        return int(
            sql(self.databases, "SELECT max(attempt) FROM prediction.shard WHERE run_id = :r", r=planned.run_id)[0][0]
        )

    def scored(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def attempts(databases: Databases, tmp_path: Path) -> Iterator[Attempts]:
    given = Attempts(databases, tmp_path / "scored.log")
    yield given
    for process in given.started:
        if process.is_running():
            process.kill()
        process.wait()


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def stopped(process: psutil.Popen) -> bool:
    assert process.poll() is None
    return bool(process.status() == psutil.STATUS_STOPPED)


def result_rows(databases: Databases, planned: Planned) -> list[int]:
    table = f"prediction_work.result_{planned.run_id}_{planned.generation}"
    return [row[0] for row in sql(databases, f"SELECT ordinal FROM {table} WHERE ordinal > 0 ORDER BY 1")]  # noqa: S608


def test_after_kill_9_the_retry_goes_on_from_the_last_committed_chunk(attempts: Attempts) -> None:
    planned = attempts.pipeline.plan()
    first = attempts.start(planned)
    until(lambda: attempts.cursor(planned) >= 5 * CHUNK)
    first.kill()
    first.wait()
    committed, before = attempts.cursor(planned), len(attempts.scored())

    again = attempts.start(planned, delay=0)

    assert again.wait(30) == 0
    scored = Counter(attempts.scored())
    twice = sum(count - 1 for count in scored.values())
    print("rows scored again:", twice, "of at most", IN_FLIGHT)
    assert before - committed == twice <= IN_FLIGHT
    # With a constant cost the work list is in the order of the key: the committed rows are known.
    assert all(scored[f"message {number}"] == 1 for number in range(committed))
    assert result_rows(attempts.databases, planned) == list(range(1, ROWS + 1))
    assert attempts.pipeline.finish(planned) == "published"
    assert_current(attempts.databases)


@pytest.mark.parametrize("place", ["copy", "advance"])
def test_a_stopped_orphan_neither_disturbs_its_successor_nor_writes_when_it_wakes(
    attempts: Attempts, place: str
) -> None:
    planned = attempts.pipeline.plan()
    orphan = attempts.start(planned, delay=0, stop=place)
    until(lambda: stopped(orphan))
    # It holds the lock of the result table; after `advance` also that of the shard's row.
    assert attempts.cursor(planned) == CHUNK

    started = time.monotonic()
    successor = attempts.start(planned, delay=0)
    assert successor.wait(30) == 0
    assert time.monotonic() - started < 10
    orphan.send_signal(signal.SIGCONT)

    assert orphan.wait(60) == TakenOver.exit_code
    assert "was taken over by a later one" in attempts.said(0).read_text()
    assert result_rows(attempts.databases, planned) == list(range(1, ROWS + 1))
    assert attempts.attempt(planned) == 2
    assert attempts.pipeline.finish(planned) == "published"
    assert_current(attempts.databases)


def test_an_orphan_whose_session_could_not_be_ended_writes_nothing_either(attempts: Attempts) -> None:
    """It wakes inside its COPY with a live session; the guard on attempt and cursor is all that is left."""
    planned = attempts.pipeline.plan()
    orphan = attempts.start(planned, delay=0, stop="copy")
    until(lambda: stopped(orphan))
    sql(attempts.databases, "UPDATE prediction.shard SET backends = '[]'")
    assert attempts.start(planned, delay=0).wait(30) == 0
    orphan.send_signal(signal.SIGCONT)

    assert orphan.wait(60) == TakenOver.exit_code
    assert "was taken over by a later one" in attempts.said(0).read_text()
    assert result_rows(attempts.databases, planned) == list(range(1, ROWS + 1))
    assert attempts.pipeline.finish(planned) == "published"
    assert_current(attempts.databases)


def test_an_orphan_that_wakes_while_its_successor_works_writes_nothing(attempts: Attempts) -> None:
    planned = attempts.pipeline.plan()
    orphan = attempts.start(planned)
    until(lambda: attempts.cursor(planned) >= 3 * CHUNK)
    orphan.send_signal(signal.SIGSTOP)
    until(lambda: stopped(orphan))
    committed = attempts.cursor(planned)
    successor = attempts.start(planned, delay=0.05)
    until(lambda: attempts.cursor(planned) > committed)
    orphan.send_signal(signal.SIGCONT)

    assert orphan.wait(60) == TakenOver.exit_code
    assert successor.wait(30) == 0
    assert result_rows(attempts.databases, planned) == list(range(1, ROWS + 1))
    assert attempts.pipeline.finish(planned) == "published"
    assert_current(attempts.databases)


@pytest.mark.parametrize("place", ["copy", "advance"])
def test_an_orphan_of_an_earlier_plan_neither_holds_up_the_new_plan_nor_writes(attempts: Attempts, place: str) -> None:
    planned = attempts.pipeline.plan(external_id="one")
    orphan = attempts.start(planned, delay=0, stop=place)
    until(lambda: stopped(orphan))

    cleared = attempts.pipeline.plan(external_id="one")
    assert (cleared.run_id, cleared.generation, cleared.planned) == (planned.run_id, 2, ROWS)
    orphan.send_signal(signal.SIGCONT)
    assert orphan.wait(60) == TakenOver.exit_code

    attempts.pipeline.predict(cleared)
    assert result_rows(attempts.databases, cleared) == list(range(1, ROWS + 1))
    assert attempts.pipeline.finish(cleared) == "published"
    assert_current(attempts.databases)


def test_a_late_attempt_of_an_earlier_plan_is_refused(attempts: Attempts) -> None:
    planned = attempts.pipeline.plan(external_id="one")
    attempts.pipeline.plan(external_id="one")

    late = attempts.start(planned, delay=0)

    assert late.wait(30) == TakenOver.exit_code
    assert "generation 1 of it has nothing to do any more" in attempts.said(0).read_text()
    assert attempts.scored() == []


def test_sigterm_finishes_the_chunk_at_hand_and_the_retry_goes_on_from_there(attempts: Attempts) -> None:
    planned = attempts.pipeline.plan()
    first = attempts.start(planned, delay=0.1)
    until(lambda: len(attempts.scored()) >= 3 * CHUNK)

    first.terminate()
    assert first.wait(30) == Interrupted.exit_code == 75
    assert "stopped by a signal" in attempts.said(0).read_text()
    committed = attempts.cursor(planned)
    assert len(attempts.scored()) == committed  # everything that was scored was committed

    assert attempts.start(planned, delay=0).wait(30) == 0
    assert Counter(attempts.scored()) == {f"message {number}": 1 for number in range(ROWS)}
    assert attempts.pipeline.finish(planned) == "published"
    assert_current(attempts.databases)


@pytest.mark.parametrize(
    "losses", [["answer"], ["request"], [None, "answer", "request", "answer"]], ids=lambda losses: str(losses)
)
def test_a_commit_whose_answer_was_lost_neither_doubles_nor_loses_a_chunk(
    databases: Databases, postgres: Postgres, database_url: str, losses: list[Lost | None]
) -> None:
    create_messages(databases, [f"message {number}" for number in range(ROWS)])
    pipeline = Pipeline(databases, job(cost="1", sizes__chunk_rows=CHUNK))
    planned = pipeline.plan()
    expected = len(losses) - losses.count(None)

    with Proxy(postgres.port, losses) as proxy:
        through = Databases({"predictions": database_url.replace(f":{postgres.port}/", f":{proxy.port}/")})
        shard.run(through, planned.run_id, planned.generation, 1, lambda work: pipeline.predictor)
        assert proxy.lost == expected

    assert result_rows(databases, planned) == list(range(1, ROWS + 1))
    assert pipeline.predictor.rows == ROWS  # type: ignore[attr-defined]
    assert pipeline.finish(planned) == "published"
    assert counts(databases, planned.run_id) == {"planned": ROWS, "predicted": ROWS}
    assert_current(databases)


def test_sessions_that_are_terminated_again_and_again_cost_nothing(databases: Databases) -> None:
    create_messages(databases, [f"message {number}" for number in range(ROWS)])
    pipeline = Pipeline(databases, job(cost="1", sizes__chunk_rows=CHUNK))
    planned = pipeline.plan()
    predict = pipeline.predictor.predict
    calls = []

    def terminating(data):  # type: ignore[no-untyped-def]
        calls.append(len(data))
        if len(calls) % 5 == 0:
            sql(
                databases,
                "SELECT pg_terminate_backend(CAST(b->>'pid' AS integer)) FROM prediction.shard, "
                "jsonb_array_elements(backends) b",
            )
        return predict(data)

    pipeline.predictor.predict = terminating  # type: ignore[method-assign]
    pipeline.predict(planned)

    assert result_rows(databases, planned) == list(range(1, ROWS + 1))
    assert pipeline.finish(planned) == "published"
    assert_current(databases)


def test_an_orphan_cannot_write_after_publish(attempts: Attempts) -> None:
    """Its run is over: the tables are gone, and its session with them."""
    planned = attempts.pipeline.plan()
    orphan = attempts.start(planned, delay=0, stop="copy")
    until(lambda: stopped(orphan))
    attempts.pipeline.predict(planned)
    assert publish_state(attempts, planned) == "published"

    orphan.send_signal(signal.SIGCONT)

    assert orphan.wait(60) == TakenOver.exit_code
    left = sql(attempts.databases, "SELECT relname FROM pg_class WHERE relname ~ '^(work|result)_'")
    assert left == []
    assert_current(attempts.databases)


def publish_state(attempts: Attempts, planned: Planned) -> str:
    attempts.pipeline.finish(planned)
    return publish.publish(attempts.databases, planned.run_id).state
