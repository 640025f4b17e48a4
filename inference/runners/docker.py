"""Runner `docker`: each shard in a container of its model's image, with hard limits.

INFERENCE_DOCKER_NETWORK    the network that the containers join, through which they reach the database: by default
                            `bridge`; `host` for a database on this machine's own 127.0.0.1

A task that is killed leaves its container running, and the retry adopts it. Whatever else ends a task removes it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from typing import Any

from inference.base.address import hosts
from inference.base.database import PREDICTIONS, Databases
from inference.errors import ConfigurationError
from inference.images import docker_engine, image
from inference.jobs.job import Job
from inference.models.mlflow_rest import Registry
from inference.models.model_version import Model
from inference.runners import containers
from inference.runners.process import arguments, follow, interrupt, lines, on_sigterm, settings

log = logging.getLogger(__name__)
LOCAL = {"", "localhost", "127.0.0.1", "::1"}
RETRY_SECONDS = 0.2


def run(
    databases: Databases, registry: Registry, job: Job, model: Model, run_id: int, generation: int, shard: int
) -> None:
    """Run one shard to its end. Raises what its exit code says, with the last line of its log."""
    whose = containers.labels(databases, job, run_id, generation, shard)
    name = containers.name(whose)
    network = os.environ.get("INFERENCE_DOCKER_NETWORK") or "bridge"
    with docker_engine.connect() as client, on_sigterm(interrupt):
        wanted = {
            "image": image.verify(client, model),
            "command": arguments(run_id, generation, shard),
            "name": name,
            "labels": whose,
            "network": network,
            "environment": {**job.model.environment.passed(), **settings(job), **_connections(databases, job, network)},
            **docker_engine.limits(job.resources),
        }
        try:
            container = _claim(client, databases, job, wanted)
            last = follow(_lines(container))
            _judge_memory(databases, job, container)
            containers.judge(whose, container.attrs["State"]["ExitCode"], last)
        finally:
            containers.remove(client, name)


def _connections(databases: Databases, job: Job, network: str) -> dict[str, str]:
    """The connections' addresses, for the container's environment and nothing else."""
    names = {PREDICTIONS, job.source.connection}
    for name in sorted(names):
        url = databases.url(databases.of_shard(name))
        if "service" in url.query:
            raise ConfigurationError(
                f"connection {name!r} names the service {url.query['service']}, whose file is not in a container. "
                "Write the address itself."
            )
        local = [host for host in hosts(url) if host in LOCAL or host[0] in "/@"]
        if network != "host" and local:
            raise ConfigurationError(
                f"connection {name!r} leads to {local[0] or 'a socket'}, which in a container is the container itself. "
                "Give an address that containers reach, or set INFERENCE_DOCKER_NETWORK=host on the workers."
            )
    return databases.environment(*names)


def _claim(client: Any, databases: Databases, job: Job, wanted: dict[str, Any]) -> Any:
    """The one live container of this shard: another task's, if that was killed, else a new one."""
    import docker

    while True:
        try:
            found = client.containers.get(wanted["name"])
            if found.status in ("created", "running"):
                log.info("container %s is there already: going on with it", found.name)
                found.start()
                return found
            if found.status == "exited":
                _judge_memory(databases, job, found)
            containers.remove(client, found.name)
        except docker.errors.NotFound:
            pass
        try:
            made = client.containers.create(**wanted)
            made.start()
            return made
        except docker.errors.APIError as error:
            if error.status_code != 409:  # another task has just made it
                raise
        time.sleep(RETRY_SECONDS)


def _lines(container: Any) -> Iterator[str]:
    """What the container says, line by line, until it has ended."""
    since: dict[str, int] = {}
    while True:
        yield from lines(container.logs(stream=True, follow=True, **since))
        since = {"since": int(time.time())}
        container.reload()
        if container.status != "running":  # else the log was lost, not the container
            return


def _judge_memory(databases: Databases, job: Job, container: Any) -> None:
    if container.attrs["State"]["OOMKilled"]:
        containers.judge_memory(databases, job, container.labels)
