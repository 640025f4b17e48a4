"""Images of model versions: built, checked, recorded with the version in MLflow, verified before every start.

INFERENCE_REGISTRY          host:port of a container registry: images are pushed there and started as repository@digest
INFERENCE_BUILD_PACKAGES    packages of Debian for requirements that have no wheel
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inference.base import queries
from inference.base.database import PREDICTIONS, Databases
from inference.base.digest import digest
from inference.base.protocol import PROTOCOL
from inference.errors import ModelError
from inference.images import build_context, conformance_check, docker_engine
from inference.jobs.job import Job
from inference.models import artifact, runtime
from inference.models.mlflow_rest import Registry, Version
from inference.models.model_version import Image, Model, resolve

SQL = queries.load("images/image")
NAME, ID = "inference.image", "inference.image_id"  # tags of the model version
NUMBER = "inference.protocol"  # a tag as well, and a label of the image: by which protocol its code works with workers
CODE = "inference.code"  # label of the image: the digest of the code that it carries
log = logging.getLogger(__name__)


def build(
    databases: Databases, registry: Registry, name: str, reference: str, jobs: Sequence[Job], torch: str | None = None
) -> tuple[Model, Image]:
    """Build a version's image, check it, and record it with the version. `jobs`: those that use the model.

    Raises ModelError if the image cannot be built or fails the conformance check: which check, and what was seen.
    """
    model = resolve(databases, registry, name, reference, any(job.model.allow_pickle for job in jobs))
    files = artifact.ensure(registry, model.version, model.artifact.digest)
    with docker_engine.connect() as client:
        tag = _build(client, model, files, torch)
        built = client.images.get(tag)
        log.info("%s: built %s, %.0f MB", model, tag, built.attrs["Size"] / 1e6)
        conformance_check.run(client, built.id, model, jobs)
        image = Image(_push(client, tag) or tag, built.id)
    registry.tag(model.version, {NAME: image.name, ID: image.id, NUMBER: str(PROTOCOL)})
    return model, image


def find(registry: Registry, version: Version) -> Image:
    """The image that was recorded with a version.

    Raises ModelError, with the command, if there is none, or if code of another protocol has built it.
    """
    tags = registry.tags(version)
    if NAME not in tags or ID not in tags:
        raise ModelError(
            f"{version}: has no image, which the runners `docker` and `kubernetes` need. "
            f"Run: python -m inference image build {version.name}:{version.version}"
        )
    _require_protocol(version, tags[NAME], tags.get(NUMBER))
    return Image(tags[NAME], tags[ID])


def require_protocol(definition: Mapping[str, Any], model: Model) -> None:
    """Raises ModelError if a run was planned with an image, by code of another protocol: it keeps that image."""
    if model.image is not None:
        _require_protocol(model.version, model.image.name, definition.get("protocol"), ", and plan again")


def _require_protocol(version: Version, name: str, found: Any, then: str = "") -> None:
    if str(found) != str(PROTOCOL):
        raise ModelError(
            f"{version}: its image {name} has protocol {'none' if found is None else found}, and this code has "
            f"{PROTOCOL}: another version of this project has built it. "
            f"Run: python -m inference image build {version.name}:{version.version}{then}"
        )


def pushed(registry: Registry, version: Version) -> Image:
    """The image of a version as the nodes of a cluster pull it. Raises ModelError if it is in no registry."""
    image = find(registry, version)
    if "@sha256:" not in image.name:
        raise ModelError(
            f"{version}: its image {image.name} is on one machine only, and the runner `kubernetes` needs it in a "
            "registry. Run, with a registry that the nodes reach by the same name: "
            f"INFERENCE_REGISTRY=host:port python -m inference image build {version.name}:{version.version}"
        )
    return image


def current(registry: Registry, version: Version) -> bool:
    """Whether the image that was recorded with a version is on this engine and carries this code."""
    import docker

    wanted = registry.tags(version).get(ID)
    with docker_engine.connect() as client:
        try:
            return wanted is not None and client.images.get(wanted).labels.get(CODE) == runtime.code()
        except docker.errors.ImageNotFound:
            return False


def verify(client: Any, model: Model) -> str:
    """The name to start the planned image by. Raises ModelError if it is not the image that was checked."""
    import docker

    image = model.image
    assert image is not None
    rebuild = f"Run: python -m inference image build {model.version.name}:{model.version.version}, and plan again"
    try:
        found = client.images.get(image.name)
    except docker.errors.ImageNotFound:
        if "@" not in image.name:
            raise ModelError(f"{model}: this machine has no image {image.name}. {rebuild}") from None
        found = client.images.pull(image.name)
    if found.id != image.id:
        raise ModelError(
            f"{model}: the image {image.name} is {found.id}, and the run was planned with {image.id}. {rebuild}"
        )
    return image.name


def prune(databases: Databases) -> list[str]:
    """Remove the images of versions that are neither live nor previous in any job; returns their names.

    Versions newer than those stay: they are waiting for their alias.
    """
    needed: dict[str, set[int]] = {}
    with databases.begin(PREDICTIONS) as connection:
        for row in queries.run(connection, SQL["needed"]):
            needed.setdefault(row.name, set()).add(row.version)
    removed = []
    with docker_engine.connect() as client:
        for image in client.images.list(filters={"label": "inference.model"}):
            name, version = image.labels["inference.model"], int(image.labels["inference.version"])
            if name in needed and version not in needed[name] and version < max(needed[name]):
                client.images.remove(image.id, force=True)
                removed.append(f"{name} version {version}")
    return sorted(removed)


def _build(client: Any, model: Model, files: Path, torch: str | None) -> str:
    """Returns the image's tag by content: equal for equal files, arguments and version."""
    import docker

    labels = {"inference.model": model.version.name, "inference.version": model.version.version}
    labels |= {CODE: runtime.code(), NUMBER: str(PROTOCOL)}
    with build_context.made(model, files) as folder:
        arguments = build_context.arguments(model, torch)
        content = json.dumps([digest(folder), arguments, labels], sort_keys=True)
        slug = re.sub(r"[^a-z0-9]+", "-", model.version.name.lower()).strip("-") or "model"
        tag = f"inference/{slug}:{hashlib.sha256(content.encode()).hexdigest()[:16]}"
        try:
            client.images.build(
                path=str(folder), tag=tag, buildargs=arguments, labels=labels, rm=True, forcerm=True,
                use_config_proxy=True,
            )  # fmt: skip
        except docker.errors.BuildError as error:
            said = "".join(item.get("stream", "") for item in error.build_log).splitlines()[-20:]
            lines = "\n".join(said)
            raise ModelError(f"{model}: its image cannot be built: {error.msg}\n{lines}") from None
    return tag


def _push(client: Any, tag: str) -> str | None:
    """Push to the configured registry; returns repository@digest, which names this image and no other."""
    registry = os.environ.get("INFERENCE_REGISTRY")
    if not registry:
        return None
    repository, version = f"{registry}/{tag}".rsplit(":", 1)
    image = client.images.get(tag)
    image.tag(repository, version)
    for line in client.images.push(repository, version, stream=True, decode=True):
        if "error" in line:
            raise ModelError(f"the image {repository}:{version} cannot be pushed: {line['error']}")
    image.reload()
    return next(str(found) for found in image.attrs["RepoDigests"] if found.startswith(repository + "@"))
