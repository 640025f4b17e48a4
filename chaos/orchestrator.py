"""Entry of the orchestrator's process: the pipeline's own stages, as Airflow or the command line runs them.

It can be killed anywhere. What Airflow's database would know of the finished tasks is in a journal, a file.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from chaos import settings
from chaos.settings import Place
from inference import pipeline
from inference.base.database import Databases
from inference.errors import BadInput, PermanentError, RetryableError, TakenOver
from inference.jobs.job import Job
from inference.jobs.request import Request
from inference.models import artifact
from inference.models.mlflow_rest import Registry
from inference.models.model_version import Model
from inference.planning.plan import Planned
from inference.publishing import report
from inference.runners import runner
from inference.runners.process import judge
from inference.schema.lease import Caller
from inference.schema.run import fail

Result = TypeVar("Result")
RETRIES = (0.1, 0.3, 0.6, 1.0, 2.0)  # seconds before each


@dataclass(frozen=True, eq=False)
class Order:
    """One run. The journal is where its predecessor, if it was killed, has left off."""

    job: dict[str, Any]
    caller: str
    external_id: str
    request: dict[str, Any]
    twice: str
    orphans: bool
    journal: Path


class Failed(Exception):
    """A task has failed for good."""


class Orchestrator:
    def __init__(self, place: Place, order: Order) -> None:
        self.place, self.order = place, order
        self.job = Job.model_validate(order.job)
        self.request = Request(**order.request)
        self.control = settings.control(place)
        self.journal: dict[str, Any] = json.loads(order.journal.read_text()) if order.journal.exists() else {}
        self.reach("started")

    def reach(self, point: str) -> None:
        """Tell that a point between stages is reached; faults strike before it answers."""
        self.control.send((point, os.getpid()))
        self.control.recv()

    def note(self, **values: Any) -> None:
        self.journal.update(values)
        draft = self.order.journal.with_suffix(".draft")
        draft.write_text(json.dumps(self.journal))
        draft.replace(self.order.journal)

    def airflow(self) -> str:
        """The tasks of the DAG; those that the journal knows are not run again. Returns the run's last state."""
        if "run" not in self.journal:
            caller = Caller("airflow", self.order.external_id, True)
            planned = self.task("plan", lambda databases: pipeline.plan(databases, self.job, self.request, caller))
            self.note(run=planned.run_id, generation=planned.generation, shards=planned.shards, state=planned.state)
            self.reach("after plan")
        if self.journal["state"] != "planned":
            return str(self.journal["state"])
        run, generation = self.journal["run"], self.journal["generation"]
        with ThreadPoolExecutor(self.job.max_parallel_shards) as threads:

            def predict(number: int) -> None:
                self.task("predict", lambda databases: pipeline.predict(databases, run, generation, number))

            list(threads.map(predict, self.journal["shards"]))
        self.reach("before check")
        checked = self.task("check", lambda databases: pipeline.check(databases, run))
        self.reach("after check")
        if checked.state != "checked":
            return str(checked.state)
        published = self.task("publish", lambda databases: pipeline.publish(databases, run))
        self.reach("after publish")
        self.task("report", lambda databases: report.report(databases, run, Registry))
        return str(published.state)

    def command_line(self) -> str:
        caller = Caller("command line", self.order.external_id, False)
        Caller.command_line = classmethod(lambda cls: caller)  # type: ignore[assignment,method-assign]
        pipeline.report = lambda databases, run_id: report.report(databases, run_id, Registry)  # type: ignore[assignment]

        def say(text: str) -> None:
            logging.info("%s", text)
            if ": planned:" in text:
                self.reach("after plan")
            elif ": checked:" in text:
                self.reach("after check")

        @contextmanager
        def watch(planned: Planned) -> Iterator[None]:
            yield
            self.reach("before check")

        try:
            done = pipeline.run(self.place.databases("cli"), self.job, self.request, say, watch)
        except Exception as error:
            self.failed(error)
            raise Failed from error
        self.reach("after publish")
        return done.state

    def task(self, stage: str, work: Callable[[Databases], Result]) -> Result:
        """One task with its retries; a failure for good ends the run, as the DAG's callback does."""
        error: Exception = Failed()
        for attempt, delay in enumerate((0.0, *RETRIES)):
            time.sleep(delay)
            databases = self.place.databases(stage)
            try:
                return twice(work, databases) if stage == self.order.twice and not attempt else work(databases)
            except Exception as caught:
                error = caught
                self.failed(caught)
                if isinstance(caught, (BadInput, PermanentError)):
                    break
        if "run" in self.journal and not isinstance(error, TakenOver):
            run = self.journal["run"]
            (self.place.folder / f"failed-{run}").touch()
            for delay in (0.0, *RETRIES):
                time.sleep(delay)
                try:
                    fail(self.place.databases("fail"), run, f"task {stage} failed: {error}")
                    break
                except Exception as caught:
                    self.failed(caught)
        raise Failed from error

    def failed(self, error: Exception) -> None:
        logging.info("%s", settings.judge(self.place, error))


def twice(work: Callable[[Databases], Result], databases: Databases) -> Result:
    """The same task, two at once: what Airflow does when it takes a worker for dead that is not.

    The later one counts: if both fail, what the one that was taken over says is nobody's business.
    """
    with ThreadPoolExecutor(2) as threads:
        futures = [threads.submit(work, databases) for _ in range(2)]
    errors = [error for error in (future.exception() for future in futures) if error is not None]
    if len(errors) == len(futures):
        raise min(errors, key=lambda error: isinstance(error, TakenOver))
    results = [future.result() for future in futures if future.exception() is None]
    return max(results, key=lambda result: getattr(result, "generation", 0))


def main(place: Place, order: Order) -> None:
    """Writes the run's last state into the journal, or that it failed."""
    settings.enter(place, "orchestrators.log")

    def run(databases: Databases, registry: Registry, job: Job, model: Model, *numbers: int) -> None:
        artifact.ensure(registry, model.version, model.artifact.digest)
        with settings.control(place) as control:
            control.send(("shard", os.getpid(), *numbers, 0 if order.orphans else os.getpid()))
            code = control.recv()
        if code is None:
            raise RetryableError(f"shard {numbers} gives no sign of life")
        judge(code, f"shard {numbers}", "")

    runner.RUNNERS["venv"] = runner.Runner(run)
    orchestrator = Orchestrator(place, order)
    try:
        state = orchestrator.airflow() if order.caller == "airflow" else orchestrator.command_line()
    except Failed:
        state = "failed"
    orchestrator.note(ended=state)
    logging.info("%s %s ended: %s", order.caller, order.external_id, state)
    os._exit(0)  # without waiting for shards that are stopped
