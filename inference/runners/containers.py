"""The containers that carry shards: their names and labels, what their end means, and the removal of those that nobody
needs any more. Pods have the same labels, and their end means the same."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

from inference.base import address, queries
from inference.base.database import PREDICTIONS, Databases
from inference.base.process_protocol import STOP_SECONDS
from inference.errors import InferenceError, PermanentError, RetryableError
from inference.images import docker_engine
from inference.jobs.job import Job
from inference.runners.process import judge as judge_code

log = logging.getLogger(__name__)
SQL = queries.load("runners/containers")
Labels = Mapping[str, str]


def labels(databases: Databases, job: Job, run_id: int, generation: int, shard: int) -> dict[str, str]:
    """Whose a container is."""
    ids = {"run": str(run_id), "generation": str(generation), "shard": str(shard)}
    found = {"job": job.name, **ids, "database": _database(databases)}
    return {f"inference.{key}": value for key, value in found.items()}


def name(whose: Labels) -> str:
    """The same for each attempt at a shard, so that there is one container for it."""
    values = {key.removeprefix("inference."): value for key, value in whose.items()}
    return "inference-{job}-run{run}-generation{generation}-shard{shard}-{database}".format(**values)


def of_job(databases: Databases, job: Job) -> dict[str, str]:
    """The labels that all containers of a job have."""
    return {"inference.job": job.name, "inference.database": _database(databases)}


def over(databases: Databases, job: Job) -> Callable[[Labels], bool]:
    """Tells by a container's labels whether its run is over."""
    with databases.begin(PREDICTIONS) as connection:
        rows = queries.run(connection, SQL["open_runs"], job=job.name)
        open_runs = {(str(row.run_id), str(row.generation)) for row in rows}
    return lambda found: (found["inference.run"], found["inference.generation"]) not in open_runs


def what(whose: Labels) -> str:
    return f"run {whose['inference.run']} shard {whose['inference.shard']}"


def judge(whose: Labels, code: int, last: str) -> None:
    """Raise what an exit code says. 128 + n is a signal, as a shell says it."""
    judge_code(128 - code if code > 128 else code, what(whose), last)


def judge_memory(databases: Databases, job: Job, whose: Labels) -> None:
    """After a kill at the memory limit: one retry with half the batch, then no more."""
    ids = {key: int(whose[f"inference.{key}"]) for key in ("run", "generation", "shard")}
    with databases.begin(PREDICTIONS) as connection:
        row = queries.run(connection, SQL["memory_kill"], **ids).one()
    limit = job.resources.memory
    said = f"{what(whose)}: out of memory: a container reached resources.memory {limit}"
    if row.memory_kills > 1:
        raise PermanentError(
            f"{said} again, with batches of {row.tried or 'one row'}. Raise it, or set a lower sizes.batch_rows."
        )
    raise RetryableError(f"{said}; a retry starts with batches of {row.batch_size or 'one row'}")


def remove(client: Any, container_name: str) -> None:
    """Stop a container if it runs, and remove it; nothing happens if there is none."""
    import docker

    try:
        container = client.containers.get(container_name)
        if container.status == "running":
            container.stop(timeout=STOP_SECONDS)
        container.remove(force=True)
    except docker.errors.NotFound:
        pass
    except docker.errors.APIError as error:
        if error.status_code != 409:  # somebody else is removing it
            raise


def reap(databases: Databases, job: Job) -> None:
    """Remove the containers of this job's runs that are over: what a lost worker left on this machine."""
    _remove_all(databases, job, over(databases, job))


def stop(databases: Databases, job: Job, run_id: int) -> None:
    """Remove the containers of one run."""
    _remove_all(databases, job, lambda found: found["inference.run"] == str(run_id))


def left(databases: Databases, job: Job) -> list[str]:
    """Names of this machine's containers of this job's runs that are over."""
    with docker_engine.connect() as client:
        return _names(client, databases, job, over(databases, job))


def _names(client: Any, databases: Databases, job: Job, unwanted: Callable[[Labels], bool]) -> list[str]:
    wanted = [f"{key}={value}" for key, value in of_job(databases, job).items()]
    found = client.containers.list(all=True, ignore_removed=True, filters={"label": wanted})
    return [container.name for container in found if unwanted(container.labels)]


def _remove_all(databases: Databases, job: Job, unwanted: Callable[[Labels], bool]) -> None:
    try:
        with docker_engine.connect() as client:
            for found in _names(client, databases, job, unwanted):
                log.info("removing container %s: its run is over", found)
                remove(client, found)
    except InferenceError as error:
        log.warning("containers of earlier runs of %s were not looked for: %s", job.name, error)


def _database(databases: Databases) -> str:
    """Tells runs of the same number in two databases apart; says nothing of either."""
    url = databases.url(PREDICTIONS)
    return hashlib.sha256(address.where(url).encode()).hexdigest()[:8]
