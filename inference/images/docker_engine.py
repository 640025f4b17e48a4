"""The Docker engine: a client whose failures have names, and what every container here is denied."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from inference.errors import Unavailable
from inference.jobs.field_types import memory_bytes
from inference.jobs.sections import Resources

PIDS = 512  # processes and threads of one container


@contextmanager
def connect() -> Iterator[Any]:
    """The client of the engine that DOCKER_HOST or the local socket leads to; its errors as Unavailable."""
    import docker  # half a second, and only where containers run
    from requests import RequestException

    try:
        client = docker.from_env()
        try:
            yield client
        finally:
            client.close()
    except docker.errors.APIError as error:
        raise Unavailable(f"the Docker engine refused: {error.explanation or error}") from error
    except (docker.errors.DockerException, RequestException) as error:
        raise Unavailable(
            f"no Docker engine answers: {' '.join(str(error).split())}. Is dockerd running, may this user use it, and "
            "is DOCKER_HOST right if it is set?"
        ) from None


def limits(resources: Resources) -> dict[str, Any]:
    """Arguments of `containers.create`: hard limits, and nothing that scoring rows does not need."""
    memory = memory_bytes(resources.memory)
    return {
        "nano_cpus": int(resources.cpus * 1e9),
        "mem_limit": memory,
        "memswap_limit": memory,  # of both together: no swap
        "pids_limit": PIDS,
        "read_only": True,
        "tmpfs": {"/tmp": "rw,nosuid,nodev,mode=1777"},  # its pages count as the container's memory
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "init": True,
        "log_config": {"type": "json-file", "config": {"max-size": "10m", "max-file": "2"}},
    }
