"""A shard's pod: what is asked of the cluster, and what the cluster says of it. Pods are JSON here, as on the wire."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from inference.base.database import PREDICTIONS
from inference.base.process_protocol import STOP_SECONDS
from inference.errors import ConfigurationError, ModelError, PermanentError, RetryableError
from inference.jobs.field_types import memory_bytes, seconds
from inference.jobs.job import Job
from inference.runners.process import settings

Pod = Mapping[str, Any]
CONTAINER = "shard"
USER = 10001  # as in inference/Dockerfile
GPU = "nvidia.com/gpu"
# What the kubelet says of a container that does not start. It tries on for ever; a person has to act on these ...
NEEDS_A_PERSON = {"CreateContainerConfigError", "InvalidImageName", "ErrImageNeverPull"}
# ... while a registry or a node may be well again at the next retry.
MAY_PASS = {"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "CreateContainerError", "RunContainerError"}


def name(whose: Mapping[str, str]) -> str:
    """The same for each attempt at a shard, so that there is one pod for it. The job's name only helps people."""
    ids = [whose[f"inference.{key}"] for key in ("run", "generation", "shard", "database")]
    end = "-run{}-g{}-s{}-{}".format(*ids)
    return whose["inference.job"].replace("_", "-")[: 63 - len(end)].rstrip("-") + end


def render(job: Job, image: str, whose: Mapping[str, str], arguments: Sequence[str]) -> dict[str, Any]:
    """The pod of one shard, as the policy `restricted` wants it, and with a read-only root."""
    place = job.kubernetes
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name(whose), "namespace": place.namespace, "labels": dict(whose)},
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": int(seconds(job.retries.timeout)),  # also where its worker is lost
            "terminationGracePeriodSeconds": STOP_SECONDS,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "serviceAccountName": place.service_account,
            "imagePullSecrets": [{"name": secret} for secret in place.image_pull_secrets],
            "nodeSelector": dict(place.node_selector),
            "tolerations": [item.model_dump(exclude_none=True) for item in place.tolerations],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [_container(job, image, arguments)],
            # Its pages count as the container's memory: half of it, so that a full /tmp is an error and no kill.
            "volumes": [{"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": _half(job.resources.memory)}}],
        },
    }


def _container(job: Job, image: str, arguments: Sequence[str]) -> dict[str, Any]:
    resources = {"cpu": f"{max(1, round(job.resources.cpus * 1000))}m", "memory": job.resources.memory}
    if job.kubernetes.gpus:
        resources[GPU] = str(job.kubernetes.gpus)
    # A cluster would fill in $(NAME).
    plain = [{"name": key, "value": value.replace("$", "$$")} for key, value in settings(job).items()]
    return {
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",  # by digest, so what is present is right
        "args": list(arguments),
        "env": [*plain, *_passed(job), *_connections(job)],
        "resources": {"requests": resources, "limits": resources},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }


def _connections(job: Job) -> list[dict[str, Any]]:
    """The addresses are named here and filled in on the node: they pass through no request of a worker."""
    keys = ["AIRFLOW_CONN_" + connection.upper() for connection in sorted({PREDICTIONS, job.source.connection})]
    secret = job.kubernetes.secret
    return [{"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}} for key in keys]


def _passed(job: Job) -> list[dict[str, Any]]:
    """What `model.environment.pass` names is taken from the same secret, where it has such a key."""
    secret = job.kubernetes.secret
    return [
        {"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": key, "optional": True}}}
        for key in job.model.environment.pass_
    ]


def _half(memory: str) -> str:
    return f"{max(1, memory_bytes(memory) >> 21)}Mi"


def _state(found: Pod) -> Mapping[str, Any]:
    """The state of the shard's container: `waiting`, `running` or `terminated`, or nothing yet."""
    statuses = found.get("status", {}).get("containerStatuses") or [{}]
    state: Mapping[str, Any] = statuses[0].get("state") or {}
    return state


def terminated(found: Pod) -> Mapping[str, Any] | None:
    """Exit code, reason and message of the container; None if it has not ended, or never began."""
    ended: Mapping[str, Any] | None = _state(found).get("terminated")
    return ended


def ended(found: Pod) -> bool:
    return terminated(found) is not None or found.get("status", {}).get("phase") in ("Succeeded", "Failed")


def started(found: Pod) -> bool:
    return ended(found) or "running" in _state(found)


def deleting(found: Pod) -> bool:
    return "deletionTimestamp" in found["metadata"]


def killed_for_memory(found: Pod) -> bool:
    return (terminated(found) or {}).get("reason") == "OOMKilled"


def waits_for(found: Pod) -> str:
    """Why a pod has not started, in the cluster's own words."""
    status = found.get("status", {})
    waiting = _state(found).get("waiting") or {}
    unscheduled = [
        item for item in status.get("conditions") or ()
        if item["type"] == "PodScheduled" and item["status"] != "True"
    ]  # fmt: skip
    said = waiting or next(iter(unscheduled), {})
    return ": ".join(filter(None, (said.get("reason"), said.get("message")))) or status.get("phase", "Pending")


def judge_waiting(found: Pod, job: Job) -> None:
    """Raises if waiting longer would not help: PermanentError if a retry would not either."""
    reason = (_state(found).get("waiting") or {}).get("reason")
    what = f"pod {found['metadata']['name']} cannot start: {waits_for(found)}".rstrip(".")
    if "failed to sync" in what:
        return  # of a busy node, which asks for the secret again in a moment
    if reason in NEEDS_A_PERSON and "secret" in what.lower():
        keys = ", ".join(item["name"] for item in _connections(job))
        raise ConfigurationError(
            f"{what}. Secret {job.kubernetes.secret} (kubernetes.secret of the job file) in namespace "
            f"{job.kubernetes.namespace} must have the keys {keys}."
        )
    if reason in NEEDS_A_PERSON:
        raise PermanentError(f"{what}. See docs/kubernetes.md")
    if reason in MAY_PASS:
        raise RetryableError(
            f"{what}. Can the nodes reach the registry by the image's name, and does kubernetes.image_pull_secrets "
            "let them in?" if "Pull" in reason or "Registry" in reason else what
        )  # fmt: skip


def verify(found: Pod, image: str) -> None:
    """Raises ModelError if the node says that it runs another digest of the planned repository."""
    statuses = found.get("status", {}).get("containerStatuses") or [{}]
    runs = re.sub(r"^[a-z-]+://", "", statuses[0].get("imageID") or "")
    repository = image.partition("@")[0]
    if runs.startswith(f"{repository}@") and runs != image:
        raise ModelError(f"pod {found['metadata']['name']} runs {runs}, and the run was planned with {image}")


def judge_end(found: Pod, what: str, last: str) -> None:
    """Raises RetryableError if the pod, and not its process, came to an end: evicted, too late, its node lost."""
    status = found.get("status", {})
    if status.get("phase") != "Succeeded" and (status.get("reason") or terminated(found) is None):
        reason = ": ".join(filter(None, (status.get("reason"), status.get("message")))) or "no reason was given"
        raise RetryableError(f"{what}: pod {found['metadata']['name']} was ended by the cluster: {reason}. {last}")
