"""Where shards run: what each kind of runner needs before a run, does for a shard, and leaves behind."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

from inference import check, containers, docker_runner, image, venv
from inference.database import PREDICTIONS, Databases
from inference.job import Job
from inference.model import Model, by_run
from inference.registry import Registry

log = logging.getLogger(__name__)
RUNNERS = {"venv": venv.run, "docker": docker_runner.run}


def ready(registry: Registry, job: Job, model: Model) -> Model:
    """The model with what its job's runner starts; raises ModelError if that has not been made."""
    return model if job.runner == "venv" else replace(model, image=image.find(registry, model.version))


def run(databases: Databases, registry: Registry, run_id: int, generation: int, shard: int) -> None:
    """Run one shard to its end, unless its run is over: then it says so."""
    with databases.begin(PREDICTIONS) as connection:
        found = check.read_run(connection, run_id)
        planned = by_run(connection, run_id)
    if found.state in check.OVER:
        log.info("run %d is %s already: nothing to do; %s", run_id, found.state, found.message)
    else:
        RUNNERS[found.job.runner](databases, registry, found.job, planned, run_id, generation, shard)


def clean(databases: Databases, job: Job) -> None:
    """Remove what runs of this job that are over have left on this machine."""
    if job.runner == "docker":
        containers.reap(databases, job)


@contextmanager
def threads(databases: Databases, job: Job, run_id: int) -> Iterator[ThreadPoolExecutor]:
    """Threads for the shards of a run. Whatever ends the block early ends the run's containers too.

    A terminal's Ctrl-C reaches the processes of `venv` by itself, and no container.
    """
    with ThreadPoolExecutor(job.max_parallel_shards) as executor:
        try:
            yield executor
        except BaseException:
            if job.runner == "docker":
                containers.stop(databases, job, run_id)
            raise
