"""Where shards run: what each kind of runner needs before a run, does for a shard, and leaves behind."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

from inference.base import log_lines
from inference.base.database import PREDICTIONS, Databases
from inference.images import image
from inference.jobs.job import Job
from inference.models.mlflow_rest import Registry, Version
from inference.models.model_version import Image, Model, by_run
from inference.runners import containers, deaths, docker, venv, watchdog
from inference.runners.kubernetes import launcher
from inference.schema.run import OVER, read_run

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Runner:
    """`run` scores one shard; `image` finds what a version is started from, or raises ModelError; `left` names what
    runs that are over have left here; `clean` removes it, and `stop` what one run has at work."""

    run: Callable[[Databases, Registry, Job, Model, int, int, int], None]
    image: Callable[[Registry, Version], Image | None] = lambda registry, version: None
    left: Callable[[Databases, Job], list[str]] = lambda databases, job: []
    clean: Callable[[Databases, Job], None] = lambda databases, job: None
    stop: Callable[[Databases, Job, int], None] = lambda databases, job, run_id: None


RUNNERS = {
    "venv": Runner(venv.run),  # its processes end with the worker's: there is nothing to remove
    "docker": Runner(docker.run, image.find, containers.left, containers.reap, containers.stop),
    "kubernetes": Runner(launcher.run, image.pushed, launcher.left, launcher.reap, launcher.stop),
}


def ready(registry: Registry, job: Job, model: Model) -> Model:
    """The model with what its job's runner starts; raises ModelError if that has not been made."""
    return replace(model, image=RUNNERS[job.runner].image(registry, model.version))


def run(databases: Databases, registry: Registry, run_id: int, generation: int, shard: int) -> None:
    """Run one shard to its end, unless its run is over: then it says so."""
    with databases.begin(PREDICTIONS) as connection:
        found = read_run(connection, run_id)
        planned = by_run(connection, run_id)
    log_lines.note(shard=shard)
    if found.state in OVER:
        log.info("run %d is %s already: nothing to do; %s", run_id, found.state, found.message)
    else:
        image.require_protocol(found.definition, planned)
        start = RUNNERS[found.job.runner].run

        def attempt() -> None:
            with watchdog.starting(databases, run_id, generation, shard):
                start(databases, registry, found.job, planned, run_id, generation, shard)

        with watchdog.watching(databases, found.job.timeouts.page, run_id, generation, shard):
            deaths.judged(databases, run_id, generation, shard, attempt)


def clean(databases: Databases, job: Job) -> None:
    """Remove what runs of this job that are over have left."""
    RUNNERS[job.runner].clean(databases, job)


@contextmanager
def threads(databases: Databases, job: Job, run_id: int) -> Iterator[ThreadPoolExecutor]:
    """Threads for the shards of a run. Whatever ends the block early ends the run's containers and pods too.

    A terminal's Ctrl-C reaches the processes of `venv` by itself, and nothing else.
    """
    with ThreadPoolExecutor(job.max_parallel_shards) as executor:
        try:
            yield executor
        except BaseException:
            RUNNERS[job.runner].stop(databases, job, run_id)
            raise
