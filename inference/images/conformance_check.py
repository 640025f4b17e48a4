"""The conformance check, seen from outside: an image's container under the limits that shards have."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from inference.base.process_protocol import CONFORMANCE_READY, STOP_SECONDS
from inference.errors import ModelError
from inference.images import docker_engine
from inference.jobs.field_types import memory_bytes
from inference.jobs.job import Job
from inference.jobs.sections import Checks, Resources
from inference.models.model_version import Model

log = logging.getLogger(__name__)
LOAD_SECONDS = 600  # until the checks inside are done


def run(client: Any, image_id: str, model: Model, jobs: Sequence[Job]) -> None:
    """Raises ModelError with the name of the check that failed and what was seen.

    The strictest tolerance and the largest resources of `jobs` count; without jobs, the defaults.
    """
    tolerance = min((job.checks.tolerance for job in jobs), default=Checks().tolerance)
    resources = max((job.resources for job in jobs), key=lambda item: memory_bytes(item.memory), default=Resources())
    pickle = str(any(job.model.allow_pickle for job in jobs)).lower()
    settings = {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": pickle, "OMP_NUM_THREADS": str(resources.model_threads)}
    for job in jobs:
        settings |= {**job.model.environment.passed(), **job.model.environment.set_}
    params = [json.loads(text) for text in sorted({json.dumps(job.model.params, sort_keys=True) for job in jobs})] or [
        {}
    ]
    arguments = [model.artifact.digest, str(tolerance), json.dumps(params)]
    with _started(client, image_id, resources, arguments, settings) as container:
        end = time.monotonic() + LOAD_SECONDS
        while CONFORMANCE_READY not in _said(container) and time.monotonic() < end:
            container.reload()
            if container.status != "running":
                break
            time.sleep(0.1)
        said = _said(container)
        if CONFORMANCE_READY not in said:
            raise ModelError(f"{model}: its image fails the conformance check. {_reason(container, said, resources)}")
        seconds = _terminate(container)
    if seconds is None:
        raise ModelError(
            f"{model}: its image fails the conformance check. signal: it has not ended "
            f"{STOP_SECONDS} s after "
            "SIGTERM. The model must neither replace the handlers of signals nor keep Python from running them."
        )
    log.info("%s: conforms; ends %.1f s after SIGTERM", model, seconds)


@contextmanager
def _started(
    client: Any, image_id: str, resources: Resources, arguments: list[str], settings: dict[str, str]
) -> Iterator[Any]:
    command = ["conformance", *arguments]
    container = client.containers.create(
        image_id, command, network="none", environment=settings, **docker_engine.limits(resources)
    )
    try:
        container.start()
        yield container
    finally:
        container.remove(force=True)


def _said(container: Any) -> list[str]:
    return [line.strip() for line in container.logs().decode("utf-8", "replace").splitlines()]


def _reason(container: Any, said: list[str], resources: Resources) -> str:
    container.reload()
    state = container.attrs["State"]
    if state["OOMKilled"]:
        return f"memory: it needs more than resources.memory {resources.memory}. Raise it in the job file."
    if state["Running"]:
        return f"load: it was not done after {LOAD_SECONDS} s"
    errors = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
    last = said[-1] if said else "It said nothing"
    return errors[-1] if errors else f"load: it ended with exit code {state['ExitCode']}. {last}"


def _terminate(container: Any) -> float | None:
    """Seconds from SIGTERM to the end; None if there is no end in time."""
    started = time.monotonic()
    container.kill("SIGTERM")
    while time.monotonic() < started + STOP_SECONDS:
        container.reload()
        if container.status != "running":
            return time.monotonic() - started
        time.sleep(0.05)
    return None
