"""Where shards run: what each kind of runner needs before a run, does for a shard, and leaves behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from inference import containers, docker_runner, image, venv
from inference.database import Databases
from inference.job import Job
from inference.model import Model
from inference.registry import Registry

RUNNERS = {"venv": venv.run, "docker": docker_runner.run}


def ready(registry: Registry, job: Job, model: Model) -> Model:
    """The model with what its job's runner starts; raises ModelError if that has not been made."""
    return model if job.runner == "venv" else replace(model, image=image.find(registry, model.version))


def clean(databases: Databases, job: Job) -> None:
    """Remove what runs of this job that are over have left on this machine."""
    if job.runner == "docker":
        containers.reap(databases, job)


@contextmanager
def stopped(databases: Databases, job: Job, run_id: int) -> Iterator[None]:
    """Whatever ends the block early ends the run's containers; a terminal's Ctrl-C does not reach them."""
    try:
        yield
    except BaseException:
        if job.runner == "docker":
            containers.stop(databases, job, run_id)
        raise
