"""The containers that carry shards: their names and labels, and the removal of those that nobody needs any more."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import Any

from inference import engine, queries
from inference.database import PREDICTIONS, Databases
from inference.errors import InferenceError
from inference.job import Job

log = logging.getLogger(__name__)
SQL = queries.load("containers")


def labels(databases: Databases, job: Job, run_id: int, generation: int, shard: int) -> dict[str, str]:
    """Whose a container is."""
    ids = {"run": str(run_id), "generation": str(generation), "shard": str(shard)}
    found = {"job": job.name, **ids, "database": _database(databases)}
    return {f"inference.{key}": value for key, value in found.items()}


def name(whose: dict[str, str]) -> str:
    """The same for each attempt at a shard, so that there is one container for it."""
    values = {key.removeprefix("inference."): value for key, value in whose.items()}
    return "inference-{job}-run{run}-generation{generation}-shard{shard}-{database}".format(**values)


def remove(client: Any, container_name: str) -> None:
    """Stop a container if it runs, and remove it; nothing happens if there is none."""
    import docker

    try:
        container = client.containers.get(container_name)
        if container.status == "running":
            container.stop(timeout=engine.STOP_SECONDS)
        container.remove(force=True)
    except docker.errors.NotFound:
        pass
    except docker.errors.APIError as error:
        if error.status_code != 409:  # somebody else is removing it
            raise


def reap(databases: Databases, job: Job) -> None:
    """Remove the containers of this job's runs that are over: what a lost worker left on this machine."""
    with databases.begin(PREDICTIONS) as connection:
        open_runs = {tuple(row) for row in queries.run(connection, SQL["open_runs"], job=job.name)}
    _remove_all(databases, job, lambda run, generation: (run, generation) not in open_runs)


def stop(databases: Databases, job: Job, run_id: int) -> None:
    """Remove the containers of one run."""
    _remove_all(databases, job, lambda run, _: run == run_id)


def _remove_all(databases: Databases, job: Job, unwanted: Callable[[int, int], bool]) -> None:
    wanted = [f"inference.job={job.name}", f"inference.database={_database(databases)}"]
    try:
        with engine.connect() as client:
            for container in client.containers.list(all=True, ignore_removed=True, filters={"label": wanted}):
                found = container.labels
                if unwanted(int(found["inference.run"]), int(found["inference.generation"])):
                    log.info("removing container %s: its run is over", container.name)
                    remove(client, container.name)
    except InferenceError as error:
        log.warning("containers of earlier runs of %s were not looked for: %s", job.name, error)


def _database(databases: Databases) -> str:
    """Tells runs of the same number in two databases apart; says nothing of either."""
    url = databases.url(PREDICTIONS)
    return hashlib.sha256(f"{url.host}:{url.port}/{url.database}".encode()).hexdigest()[:8]
