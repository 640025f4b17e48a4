"""The node of the tests' cluster: runs a pod as one container of the Docker engine, and applies what its spec says."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

import docker

from inference.jobs.field_types import memory_bytes

Secrets = Mapping[str, Mapping[str, str]]  # by name, then by key


class Waiting(Exception):
    """Why a container cannot start: reason and message, as a kubelet gives them."""


class RunningPod:
    """A pod that was admitted. `body` is its JSON without status."""

    def __init__(self, client: Any, body: dict[str, Any], secrets: Secrets) -> None:
        self.body, self._client, self._secrets = body, client, secrets
        self.container: Any = None
        self._waiting = ("ContainerCreating", "")
        self._unscheduled = self._image_id = ""

    def start(self) -> None:
        spec = self.body["spec"]
        (one,) = spec["containers"]
        if spec.get("nodeSelector") or "nvidia.com/gpu" in one["resources"]["limits"]:
            self._unscheduled = "0/1 nodes are available: 1 node(s) didn't match the selector or had no GPU."
            return
        try:
            wanted = container_arguments(self.body, self._secrets)
            self._pull(one["image"])
            made = self._client.containers.create(one["image"], one["args"], **wanted)
            made.start()
            repository = one["image"].partition("@")[0]
            digests = made.image.attrs["RepoDigests"]
            self._image_id = next(digest for digest in digests if digest.startswith(f"{repository}@"))
            self.container = made
        except Waiting as reason:
            self._waiting = reason.args

    def _pull(self, image: str) -> None:
        try:
            self._client.images.get(image)
        except docker.errors.ImageNotFound:
            try:
                self._client.images.pull(image)
            except docker.errors.APIError as error:
                raise Waiting("ErrImagePull", f"failed to pull {image}: {error.explanation}") from None

    def stop(self, seconds: int) -> None:
        """SIGTERM, and SIGKILL after so many seconds; then the container is removed."""
        try:
            if self.container:
                self.container.stop(timeout=seconds)
                self.container.remove(force=True)
        except docker.errors.APIError as error:
            if error.status_code not in (404, 409):
                raise

    def json(self) -> dict[str, Any]:
        """The pod with its status, as the API server answers."""
        if self._unscheduled:
            why = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": self._unscheduled}
            return {**self.body, "status": {"phase": "Pending", "conditions": [why]}}
        state, phase = self._state()
        one = self.body["spec"]["containers"][0]
        status = {"name": one["name"], "image": one["image"], "imageID": self._image_id, "state": state}
        return {**self.body, "status": {"phase": phase, "containerStatuses": [status]}}

    def _state(self) -> tuple[dict[str, Any], str]:
        if self.container is None:
            return {"waiting": dict(zip(("reason", "message"), self._waiting))}, "Pending"
        with suppress(docker.errors.NotFound):  # just removed
            self.container.reload()
        found = self.container.attrs["State"]
        if found["Running"] or found["Status"] == "created":
            return {"running": {"startedAt": found["StartedAt"]}}, "Running"
        reason = "OOMKilled" if found["OOMKilled"] else "Error" if found["ExitCode"] else "Completed"
        return {"terminated": {"exitCode": found["ExitCode"], "reason": reason}}, (
            "Failed" if found["ExitCode"] else "Succeeded"
        )

    def delete(self, seconds: int, then: Any) -> None:
        """End in the background, as a kubelet does; `then` is called when nothing is left."""
        if "deletionTimestamp" not in self.body["metadata"]:
            now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            self.body["metadata"]["deletionTimestamp"] = now
            threading.Thread(target=lambda: (self.stop(seconds), then()), daemon=True).start()


def container_arguments(pod: Mapping[str, Any], secrets: Secrets) -> dict[str, Any]:
    """Of the engine's `create`: what a container runtime does with a pod's spec. Raises Waiting."""
    spec = pod["spec"]
    (one,) = spec["containers"]
    context = {**spec.get("securityContext", {}), **one.get("securityContext", {})}
    limits = one["resources"]["limits"]
    memory = memory_bytes(limits["memory"])
    volumes = {item["name"]: item["emptyDir"] for item in spec["volumes"]}
    return {
        "name": f"pod-{pod['metadata']['namespace']}-{pod['metadata']['name']}",
        "labels": pod["metadata"]["labels"],
        "environment": environment(one["env"], secrets),
        "user": f"{context['runAsUser']}:{context['runAsGroup']}",
        "read_only": context["readOnlyRootFilesystem"],
        "cap_drop": context["capabilities"]["drop"],
        "security_opt": [] if context["allowPrivilegeEscalation"] else ["no-new-privileges"],
        "nano_cpus": int(limits["cpu"].removesuffix("m")) * 1_000_000,
        "mem_limit": memory,
        "memswap_limit": memory,
        "tmpfs": {
            mount["mountPath"]: f"size={memory_bytes(volumes[mount['name']]['sizeLimit'])},mode=777"
            for mount in one["volumeMounts"]
        },
        "network": "host",  # this cluster's database listens on 127.0.0.1 only
    }


def environment(entries: list[dict[str, Any]], secrets: Secrets) -> dict[str, str]:
    found = {}
    for entry in entries:
        reference = entry.get("valueFrom", {}).get("secretKeyRef")
        if reference and reference["name"] not in secrets:
            raise Waiting("CreateContainerConfigError", f'secret "{reference["name"]}" not found')
        if reference and reference["key"] not in secrets[reference["name"]]:
            said = f"couldn't find key {reference['key']} in Secret {reference['name']}"
            raise Waiting("CreateContainerConfigError", said)
        found[entry["name"]] = secrets[reference["name"]][reference["key"]] if reference else entry["value"]
    return found
