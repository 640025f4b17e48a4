"""Runner `docker`: each shard in a container of its model's image, with hard limits.

INFERENCE_DOCKER_NETWORK    the network that the containers join, through which they reach the database: by default
                            `bridge`; `host` for a database on this machine's own 127.0.0.1

A task that is killed leaves its container running, and the retry adopts it. Whatever else ends a task removes it.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterable, Iterator
from typing import Any

from inference import containers, engine, image, queries
from inference.database import PREDICTIONS, Databases
from inference.errors import ConfigurationError, Interrupted, PermanentError, RetryableError
from inference.job import Job
from inference.model import Model
from inference.process import arguments, follow, judge, on_sigterm, settings
from inference.registry import Registry

log = logging.getLogger(__name__)
LOCAL = {None, "", "localhost", "127.0.0.1", "::1"}
RETRY_SECONDS = 0.2


def run(
    databases: Databases, registry: Registry, job: Job, model: Model, run_id: int, generation: int, shard: int
) -> None:
    """Run one shard to its end. Raises what its exit code says, with the last line of its log."""
    whose = containers.labels(databases, job, run_id, generation, shard)
    name = containers.name(whose)
    network = os.environ.get("INFERENCE_DOCKER_NETWORK") or "bridge"
    with engine.connect() as client, on_sigterm(_interrupt):
        wanted = {
            "image": image.verify(client, model),
            "command": arguments(run_id, generation, shard),
            "name": name,
            "labels": whose,
            "network": network,
            "environment": {**settings(job), **_connections(databases, job, network)},
            **engine.limits(job.resources),
        }
        try:
            container = _claim(client, databases, job, wanted)
            last = follow(_lines(container))
            _judge(databases, job, container, last)
        finally:
            containers.remove(client, name)


def _interrupt() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: the container is being removed
    raise Interrupted("stopped by a signal; a retry goes on from the last chunk")


def _connections(databases: Databases, job: Job, network: str) -> dict[str, str]:
    """The connections' addresses, for the container's environment and nothing else."""
    names = {PREDICTIONS, job.source.connection}
    for name in sorted(names):
        host = databases.url(name).host
        if network != "host" and (host in LOCAL or str(host).startswith("/")):
            raise ConfigurationError(
                f"connection {name!r} leads to {host or 'a socket'}, which in a container is the container itself. "
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
        yield from _split(container.logs(stream=True, follow=True, **since))
        since = {"since": int(time.time())}
        container.reload()
        if container.status != "running":  # else the log was lost, not the container
            return


def _split(chunks: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in lines)
    if rest:
        yield rest.decode("utf-8", "replace")


def _judge(databases: Databases, job: Job, container: Any, last: str) -> None:
    _judge_memory(databases, job, container)
    code = container.attrs["State"]["ExitCode"]
    labels = container.labels
    what = f"run {labels['inference.run']} shard {labels['inference.shard']}"
    judge(128 - code if code > 128 else code, what, last)  # 128 + n: a signal, as a shell says it


def _judge_memory(databases: Databases, job: Job, container: Any) -> None:
    """After a kill at the memory limit: one retry with half the batch, then no more."""
    if not container.attrs["State"]["OOMKilled"]:
        return
    ids = {name: int(container.labels[f"inference.{name}"]) for name in ("run", "generation", "shard")}
    with databases.begin(PREDICTIONS) as connection:
        row = queries.run(connection, containers.SQL["memory_kill"], **ids).one()
    what = f"run {ids['run']} shard {ids['shard']}: out of memory: a container reached resources.memory "
    what += job.resources.memory
    if row.memory_kills > 1:
        raise PermanentError(f"{what} again, at {row.tried} rows a call. Raise it, or lower sizes.batch_rows.")
    raise RetryableError(f"{what}; a retry starts with {row.batch_rows or 'fewer'} rows a call")
