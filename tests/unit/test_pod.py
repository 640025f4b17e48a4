"""Pods without a cluster: what is asked for, checked against Kubernetes's own schema, and what its answers mean."""

from __future__ import annotations

import json
import re
from typing import Any

import kubernetes_validate
import pytest

from inference.errors import ConfigurationError, ModelError, PermanentError, RetryableError
from inference.jobs.kubernetes_section import Placement
from inference.runners.kubernetes import pod
from inference.runners.process import arguments, settings
from tests.stub import job

IMAGE = "registry.example/inference/intent@sha256:" + "a" * 64
WHOSE = {"job": "intent", "run": "17", "generation": "2", "shard": "3", "database": "0f1e2d3c"}
FULL = {
    "namespace": "scoring", "secret": "db", "service_account": "scorer", "image_pull_secrets": ["pull", "pull2"],
    "node_selector": {"cloud.example/gpu": "l4"}, "gpus": 2, "start_timeout": "20min",
    "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}, {"key": "a", "value": "b"}],
}  # fmt: skip


def whose(**changes: str) -> dict[str, str]:
    return {f"inference.{key}": value for key, value in {**WHOSE, **changes}.items()}


def rendered(**changes: Any) -> dict[str, Any]:
    return pod.render(job(runner="kubernetes", **changes), IMAGE, whose(), arguments(17, 2, 3))


def at(found: Any, path: str) -> Any:
    for part in path.split("/"):
        found = found[int(part)] if part.isdigit() else found[part]
    return found


@pytest.mark.parametrize("section", [{}, FULL], ids=["smallest", "full"])
def test_a_pod_is_what_the_schema_of_kubernetes_says(section: dict[str, Any]) -> None:
    found = rendered(kubernetes=section, resources={"cpus": 0.25, "memory": "3Gi"})

    kubernetes_validate.validate(found, kubernetes_validate.latest_version(), strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):  # the check itself is strict
        kubernetes_validate.validate({**found, "specs": {}}, kubernetes_validate.latest_version(), strict=True)


PLACES = {
    "namespace": [("metadata/namespace", "scoring")],
    "secret": [("spec/containers/0/env", "db")],
    "service_account": [("spec/serviceAccountName", "scorer")],
    "image_pull_secrets": [("spec/imagePullSecrets", [{"name": "pull"}, {"name": "pull2"}])],
    "node_selector": [("spec/nodeSelector", {"cloud.example/gpu": "l4"})],
    "tolerations": [
        ("spec/tolerations/0", {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}),
        ("spec/tolerations/1", {"key": "a", "operator": "Equal", "value": "b"}),
    ],
    "gpus": [(f"spec/containers/0/resources/{kind}", "2") for kind in ("requests", "limits")],
    "start_timeout": [],  # of the runner, not of the pod
}


def test_each_field_of_the_section_is_at_its_place() -> None:
    found = rendered(kubernetes=FULL)

    assert set(PLACES) == set(FULL) == set(Placement.model_fields)
    for field, places in PLACES.items():
        for path, value in places:
            there = at(found, path)
            if field == "secret":
                there = next(item for item in there if "valueFrom" in item)["valueFrom"]["secretKeyRef"]["name"]
            if field == "gpus":
                there = there["nvidia.com/gpu"]
            assert there == value, path
    assert "nvidia.com/gpu" not in json.dumps(rendered())


def test_a_pod_runs_the_command_line_under_hard_limits_and_without_rights() -> None:
    found = rendered(resources={"cpus": 0.25, "memory": "1Gi", "threads": 2}, retries={"timeout": "2h"})
    (container,) = found["spec"]["containers"]

    assert (container["image"], container["args"]) == (IMAGE, arguments(17, 2, 3))
    assert container["resources"]["limits"] == container["resources"]["requests"] == {"cpu": "250m", "memory": "1Gi"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert found["spec"]["securityContext"] == {
        "runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    assert found["spec"]["volumes"] == [{"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "512Mi"}}]
    assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
    plain = {"restartPolicy": "Never", "activeDeadlineSeconds": 7200, "terminationGracePeriodSeconds": 3}
    plain |= {"automountServiceAccountToken": False, "enableServiceLinks": False}
    assert {key: found["spec"][key] for key in plain} == plain


def test_addresses_are_named_and_never_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PREDICTIONS", "postgresql://a:pass-word@db/company")
    found = rendered(source__connection="shop")
    environment = found["spec"]["containers"][0]["env"]
    references = {item["name"]: item["valueFrom"]["secretKeyRef"] for item in environment if "valueFrom" in item}

    assert {item["name"]: item["value"] for item in environment if "value" in item} == settings(job())
    assert references == {
        key: {"name": "prediction-connections", "key": key} for key in ("AIRFLOW_CONN_PREDICTIONS", "AIRFLOW_CONN_SHOP")
    }
    assert "pass-word" not in json.dumps(found)


def test_names_are_labels_of_dns_however_long_and_differ_by_shard() -> None:
    long = {"job": "a" * 20 + "_" * 20, "run": str(2**63 - 1), "generation": str(2**31 - 1), "shard": "1000"}
    names = [
        pod.name(whose(**changes))
        for changes in ({}, {"shard": "4"}, {"run": "1"}, {"generation": "1"}, {"database": "00000000"}, long)
    ]

    assert names[0] == "intent-run17-g2-s3-0f1e2d3c"
    assert len(set(names)) == len(names)
    assert [one for one in names if not re.fullmatch(r"[a-z][a-z0-9-]{0,61}[a-z0-9]", one)] == []


def answer(waits: str | None = None, state: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    """A pod as the API server gives it; `waits`: the reason of a container that waits."""
    waiting = {"waiting": {"reason": waits, "message": f"said by the node: {waits}"}}
    container = {"state": waiting if waits else state or {}, "imageID": status.pop("imageID", "")}
    return {"metadata": {"name": "p"}, "status": {"containerStatuses": [container], **status}}


@pytest.mark.parametrize(
    ("found", "error", "said"),
    [
        (answer("ErrImagePull"), RetryableError, "pod p cannot start: ErrImagePull: said by .* reach the registry"),
        (answer("ImagePullBackOff"), RetryableError, "kubernetes.image_pull_secrets"),
        (answer("CreateContainerError"), RetryableError, "cannot start: CreateContainerError: said by the node"),
        (answer("InvalidImageName"), PermanentError, "InvalidImageName: .* See docs/kubernetes.md"),
        (answer("CreateContainerConfigError"), PermanentError, "cannot start: CreateContainerConfigError"),
    ],
)
def test_a_pod_that_cannot_start_says_whether_a_retry_helps(found: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        pod.judge_waiting(found, job())


def test_a_missing_secret_is_named_with_the_keys_that_it_must_have() -> None:
    found = answer("CreateContainerConfigError")
    waiting = found["status"]["containerStatuses"][0]["state"]["waiting"]
    waiting["message"] = 'secret "prediction-connections" not found'

    with pytest.raises(
        ConfigurationError,
        match=r'secret "prediction-connections" not found\. Secret prediction-connections \(kubernetes.secret of the '
        r"job file\) in namespace predictions must have the keys AIRFLOW_CONN_PREDICTIONS, AIRFLOW_CONN_SHOP\.",
    ):
        pod.judge_waiting(found, job(source__connection="shop"))
    waiting["message"] = 'failed to sync secret cache: timed out: secret "prediction-connections"'
    pod.judge_waiting(found, job())  # the node asks again


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing"])
def test_a_pod_that_is_being_made_is_waited_for(reason: str) -> None:
    pod.judge_waiting(answer(reason), job())
    assert pod.waits_for(answer(reason)) == f"{reason}: said by the node: {reason}"
    assert not pod.started(answer(reason))


def test_a_pod_without_a_node_says_why() -> None:
    why = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes available"}

    assert pod.waits_for({"metadata": {}, "status": {"phase": "Pending", "conditions": [why]}}) == (
        "Unschedulable: 0/3 nodes available"
    )


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (answer(phase="Failed", reason="Evicted", message="low on memory"), "Evicted: low on memory. last words"),
        (answer(phase="Failed", reason="DeadlineExceeded"), "pod p was ended by the cluster: DeadlineExceeded"),
        (answer(phase="Failed", reason="Evicted", state={"terminated": {"exitCode": 137}}), "Evicted"),
        (answer(phase="Failed"), "no reason was given"),
    ],
)
def test_a_pod_that_the_cluster_ended_is_retried_with_its_reason(found: Any, said: str) -> None:
    assert pod.ended(found)
    with pytest.raises(RetryableError, match=f"run 1 shard 1: .*{said}"):
        pod.judge_end(found, "run 1 shard 1", "last words")


def test_what_a_process_said_by_its_exit_code_is_not_the_clusters_word() -> None:
    for phase in ("Failed", "Running"):  # the phase follows the container's state after a while
        pod.judge_end(answer(phase=phase, state={"terminated": {"exitCode": 75}}), "run 1 shard 1", "")
    pod.judge_end(answer(phase="Succeeded"), "run 1 shard 1", "")
    assert pod.killed_for_memory(answer(state={"terminated": {"exitCode": 137, "reason": "OOMKilled"}}))
    assert not pod.killed_for_memory(answer(state={"terminated": {"exitCode": 137, "reason": "Error"}}))


@pytest.mark.parametrize("scheme", ["", "docker-pullable://"])
def test_another_digest_of_the_planned_repository_is_refused(scheme: str) -> None:
    pod.verify(answer(imageID=scheme + IMAGE), IMAGE)
    for says_nothing in ("", "sha256:" + "b" * 64, f"mirror.example/intent@sha256:{'b' * 64}"):
        pod.verify(answer(imageID=says_nothing), IMAGE)
    with pytest.raises(ModelError, match=r"pod p runs .*@sha256:bbb.*, and the run was planned with .*@sha256:aaa"):
        pod.verify(answer(imageID=f"{scheme}{IMAGE.partition('@')[0]}@sha256:{'b' * 64}"), IMAGE)
