"""One seed from beginning to end: company, runs under faults, one clean run, the oracle."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from chaos import oracle, orchestrator, proxy, shard
from chaos.company import Company
from chaos.injector import Injector
from chaos.orchestrator import Order
from chaos.proxy import Proxy
from chaos.reader import Reader
from chaos.registry import Registry
from chaos.scenario import Episode, Scenario
from chaos.server import Server
from chaos.settings import SILENCE, Place
from inference.base.database import Databases
from inference.errors import WorkLost
from inference.publishing import publish

CONTEXT = get_context("forkserver")
DEADLINE = 60.0  # seconds of an episode, or of a process that should end
RESTARTS = 3  # of a killed orchestrator
POLL = 0.02  # seconds
LATELY = timedelta(seconds=5)  # a transaction that writes and waits for a lock may last so long
YEAR = "366 days"  # after which a sweep is due
PASSED = """
UPDATE prediction.run
SET source_time = source_time - CAST(%(passed)s AS interval), window_start = window_start - CAST(%(passed)s AS interval)
"""
RUNS = """
SELECT concat_ws(' ', 'run', run_id, external_id, state, 'of version', version, 'sweep', sweep, 'complete', complete,
                 'from', window_start, 'at', source_time, 'planned', planned, 'predicted', predicted, 'reused', reused,
                 'quarantined', quarantined, 'vanished', vanished, 'deferred', deferred, 'deleted', deleted)
FROM prediction.run JOIN prediction.model USING (model_id) ORDER BY run_id
"""
OVER = """
SELECT r.run_id, r.generation, min(s.shard), r.state
FROM prediction.run r JOIN prediction.shard s USING (run_id, generation)
WHERE r.state IN ('published', 'failed', 'superseded')
  AND to_regclass(format('prediction_work.work_%s_%s', r.run_id, r.generation)) IS NULL
GROUP BY 1, 2 ORDER BY 1 DESC LIMIT 2
"""


@dataclass(frozen=True)
class Verdict:
    scenario: Scenario
    violations: list[str]
    seconds: float
    points: dict[str, int]  # how often each point was reached

    def __str__(self) -> str:
        said = f"FAILED: {self.violations[0]}" if self.violations else "passed"
        more = f" (and {len(self.violations) - 1} more)" if len(self.violations) > 1 else ""
        return (
            f"seed {self.scenario.seed}: {self.scenario} | {self.scenario.faults} | {said}{more} | {self.seconds:.1f} s"
        )


class Stuck(Exception):
    """Something did not end in time."""


class Trial:
    def __init__(self, server: Server, scenario: Scenario, folder: Path, mutant: str) -> None:
        self._server, self._scenario, self._folder = server, scenario, folder
        self._mutant = mutant
        self._database, self._source = f"chaos_{scenario.seed}", f"chaos_{scenario.seed}"
        if scenario.apart:
            self._source += "_company"
        self._started = time.monotonic()
        self._crashes = server.crashes
        self._violations: list[str] = []

    def run(self) -> Verdict:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._create_databases()
        self._injector = Injector(self._server, self._say)
        self._proxy = Proxy(self._injector)
        try:
            with self._world():
                violations = self._play()
        finally:
            self._proxy.close()
            self._injector.close()
            self._server.settle()
            for name in {self._database, self._source}:
                self._server.drop(name)
        return Verdict(self._scenario, violations, time.monotonic() - self._started, dict(self._injector.seen))

    def _create_databases(self) -> None:
        for name in {self._database, self._source}:
            self._server.drop(name)
        self._server.create(self._database, self._scenario.small_disk)
        if self._scenario.apart:
            self._server.create(self._source, template=None)

    @contextmanager
    def _world(self) -> Iterator[None]:
        scenario = self._scenario
        registry = Registry(
            self._folder / "registry", scenario.numbers, scenario.amount, lambda: self._injector.reach("registry", 0)
        )
        company = Company(self._server, self._source, scenario)
        self._injector.registry, self._injector.company = registry, company
        addresses = {"predictions": self._server.address(self._database, self._proxy.port)}
        addresses["company"] = self._server.address(self._source, self._proxy.port)
        self._injector.run_shard = self._run_shard
        self._place = Place(addresses, self._injector.address, registry.address, self._folder, self._mutant, "0")
        self._reader = Reader(self._server, self._database, scenario.job["source"]["inputs"])
        try:
            yield
        finally:
            self._injector.calm()
            self._reader.stop()
            company.kill()
            registry.close()
            for pid in self._alive():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _play(self) -> list[str]:
        try:
            for number, episode in enumerate(self._scenario.episodes):
                self._episode(number, episode)
            self._say("the faults are over")
            self._injector.company.stop()
            self._say("the writers have ended")
            self._turn("0", 0.0 if self._scenario.append_only else 0.3, "2 hours")
            clean = self._finish("clean")
            self._judge(oracle.judge_rows)
            if "cursor" in self._scenario.job["source"]:
                self._turn("0", 0.0, YEAR)
                self._finish("sweep")
                self._expect_sweep()
        except Stuck as stuck:
            return [str(stuck), *self._told()]
        self._reader.stop()
        self._say_runs()
        self._say(f"clean run: {clean}; {self._reader.polls} polls of the reader")
        self._judge(oracle.judge)
        return list(dict.fromkeys(self._told()))

    def _episode(self, number: int, episode: Episode) -> None:
        self._say(f"episode {number}: {episode}")
        edited = 0.0 if self._scenario.append_only else episode.edited
        turned, job = self._turn(episode.ahead, edited, episode.passed), episode.job(self._scenario.job)
        if episode.champion:
            self._injector.registry.champion = episode.champion
        self._injector.arm(episode.faults)
        request = {**episode.request, **({"publish": "hold"} if episode.ending else {})}
        order = Order(
            job, episode.caller, f"run-{number}", request, episode.twice, episode.orphans,
            self._folder / f"journal-{number}.json",
        )  # fmt: skip
        first, running = order, {order: self._start(order)}
        if episode.rival:
            other = {"airflow": "command line", "command line": "airflow"}[episode.caller]
            rival = replace(order, caller=other, external_id=f"rival-{number}", twice="",
                            journal=self._folder / f"journal-{number}-rival.json")  # fmt: skip
            running[rival] = self._start(rival)
        restarts, end = 0, time.monotonic() + DEADLINE
        while running:
            for order, process in list(running.items()):
                if process.is_alive():
                    continue
                del running[order]
                again = self._survive(order, episode) if process.exitcode else None
                if again and restarts < RESTARTS:
                    restarts += 1
                    running[again] = self._start(again)
            if time.monotonic() > end:
                raise Stuck(f"episode {number} did not end within {DEADLINE:.0f} s: {episode}")
            time.sleep(POLL)
        self._calm(number)
        self._end_held(episode.ending)
        self._judge_episode(number, job, turned)
        if episode.again:
            self._start_shard_again()
        ended = _ended(first)
        if episode.passing and ended not in ("published", "empty", "held"):
            self._violations.append(f"run {first.external_id} ended as {ended!r}, and retries should have been enough")

    def _turn(self, ahead: str, edited: float, passed: str) -> datetime:
        """What happens between two runs. Time goes by in that everything that was noted is that much older."""
        self._place = replace(self._place, ahead=ahead)
        self._injector.company.turn(ahead, edited, passed)
        with self._server.session(self._database) as cursor:
            cursor.execute(PASSED, {"passed": passed})
            cursor.execute("SELECT clock_timestamp()")
            turned: datetime = cursor.fetchone()[0]
        return turned

    def _end_held(self, how: str) -> None:
        """A person decides about a run that is held; it cannot be released if its work tables were lost."""
        with self._server.session(self._database) as cursor:
            cursor.execute("SELECT run_id FROM prediction.run WHERE state = 'held'")
            held = [row[0] for row in cursor.fetchall()]
        databases = Databases({"predictions": self._server.address(self._database)})
        for run in held:
            try:
                said = publish.release(databases, run) if how == "release" else publish.discard(databases, run)
            except WorkLost as error:  # which has ended the run
                said = str(error)
            self._say(said)

    def _start_shard_again(self) -> None:
        """Somebody clears the task of a run that is over, whose work tables are dropped: it must stay over."""
        with self._server.session(self._database) as cursor:
            cursor.execute(OVER)
            for *shard_of_run, state in cursor.fetchall():
                code = self._run_shard(*shard_of_run, 0)
                cursor.execute("SELECT state FROM prediction.run WHERE run_id = %s", shard_of_run[:1])
                now = cursor.fetchone()[0]
                self._say(f"shard {shard_of_run}, whose run is {state}, was started again: code {code}, now {now}")
                if now != state:
                    self._violations.append(f"run {shard_of_run[0]} was {state}, and its shard made it {now}")

    def _survive(self, order: Order, episode: Episode) -> Order | None:
        """What follows when the orchestrator was killed; None if the run is given up."""
        self._say(f"orchestrator of {order.external_id} was killed: {episode.survivor}")
        if order.caller != "airflow" or episode.survivor == "abandon":
            return None
        if episode.survivor == "clear":
            order.journal.unlink(missing_ok=True)
        return replace(order, twice="")

    def _calm(self, number: int) -> None:
        """The faults are over: what was stopped wakes, and every process ends by itself."""
        self._injector.calm()
        self._server.settle()
        self._server.free()
        end = time.monotonic() + DEADLINE
        while alive := self._alive():
            if time.monotonic() > end:
                raise Stuck(f"after episode {number}: processes {alive} do not end")
            time.sleep(POLL)

    def _finish(self, name: str) -> str:
        """One run without faults; it waits for a dead one of the command line to count as dead."""
        self._injector.arm(())
        order = Order(self._scenario.job, "airflow", name, {}, "", False, self._folder / f"journal-{name}.json")
        end = time.monotonic() + DEADLINE
        for number in range(20):
            order = replace(
                order, external_id=f"{name}-{number}", journal=self._folder / f"journal-{name}-{number}.json"
            )
            process = self._start(order)
            process.join(DEADLINE)
            ended = _ended(order)
            if ended == "published" or (ended == "empty" and self._nothing_pending()):
                self._calm(number)
                return ended
            if ended != "empty" or time.monotonic() > end:
                break
            time.sleep(SILENCE / 4)
        raise Stuck(f"the {name} run ended as {ended!r}: {self._last_message()}")

    def _start(self, order: Order) -> Any:
        process = CONTEXT.Process(target=orchestrator.main, args=(self._place, order))
        process.start()
        return process

    def _run_shard(self, *arguments: Any) -> int | None:
        """Its exit code, or None when it has been stopped. Only this process has the quick way to start another."""
        process = CONTEXT.Process(target=shard.main, args=(self._place, *arguments))
        process.start()
        self._injector.processes.add(process.pid or 0)
        while process.exitcode is None:
            if proxy.stopped(process.pid or 0):
                return None
            process.join(POLL)
        return process.exitcode

    def _alive(self) -> list[int]:
        return [pid for pid in list(self._injector.processes) if psutil.pid_exists(pid)]

    def _nothing_pending(self) -> bool:
        return self._last_message().startswith("nothing is pending")

    def _last_message(self) -> str:
        with self._server.session(self._database) as cursor:
            cursor.execute("SELECT message FROM prediction.run ORDER BY run_id DESC LIMIT 1")
            return str((cursor.fetchone() or ["there is no run"])[0])

    def _expect_sweep(self) -> None:
        with self._server.session(self._database) as cursor:
            cursor.execute("SELECT sweep FROM prediction.run ORDER BY run_id DESC LIMIT 1")
            if not cursor.fetchone()[0]:
                self._violations.append("a year after the last sweep a run is none")

    def _told(self) -> list[str]:
        """What the reader and the shards' processes have seen."""
        file = self._folder / "violations"
        said = file.read_text().splitlines() if file.exists() else []
        if self._server.crashes == self._crashes and (self._folder / "work-lost").exists():
            said.append("work tables were said to be lost, and Postgres never crashed")
        return self._violations + self._reader.violations + said

    def _judge(self, judge: Callable[..., list[str]]) -> None:
        with self._server.session(self._database) as cursor, self._server.session(self._source) as source:
            self._violations += judge(cursor, source, self._scenario.job, self._injector.registry.champion)

    def _judge_episode(self, number: int, job: dict[str, Any], turned: datetime) -> None:
        """A complete run has found each row that was there when it began."""
        with self._server.session(self._database) as cursor, self._server.session(self._source) as source:
            found = oracle.complete(cursor, turned)
            if found:
                job = {**job, "source": {**job["source"], "where": found[0]}}
                missed = oracle.judge_rows(cursor, source, job, found[1], turned - LATELY)
                self._violations += [f"after episode {number}, though its run is complete: {text}" for text in missed]

    def _say_runs(self) -> None:
        with self._server.session(self._database) as cursor:
            cursor.execute(RUNS)
            for row in cursor.fetchall():
                self._say(row[0])

    def _say(self, text: str) -> None:
        with (self._folder / "events.log").open("a") as file:
            file.write(f"{time.monotonic() - self._started:7.3f} {text}\n")


def _ended(order: Order) -> str:
    """The last state of a run, by its orchestrator's journal."""
    content = json.loads(order.journal.read_text()) if order.journal.exists() else {}
    return str(content.get("ended", "nothing"))
