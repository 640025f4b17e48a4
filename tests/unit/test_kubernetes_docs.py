"""docs/kubernetes.md: its manifests are valid, give the rights that the runner uses, and name what job files name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

from inference.jobs.job import Job
from inference.jobs.kubernetes_section import Placement
from inference.runners.kubernetes import cluster
from tests.stub import job

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8"), re.DOTALL)
DOCUMENTS = [document for block in BLOCKS for document in yaml.safe_load_all(block)]
MANIFESTS = {document["kind"]: document for document in DOCUMENTS if "kind" in document}


def chart_values() -> Any:
    return next(document for document in DOCUMENTS if "executor" in document)


def test_the_manifests_are_what_the_schemas_of_kubernetes_say() -> None:
    assert set(MANIFESTS) == {"Namespace", "Role", "RoleBinding", "NetworkPolicy", "ResourceQuota"}
    for manifest in MANIFESTS.values():
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_they_are_of_the_namespace_of_a_job_file_and_of_the_charts_service_account() -> None:
    names = {item["metadata"].get("namespace", item["metadata"]["name"]) for item in MANIFESTS.values()}
    account = chart_values()["workers"]["serviceAccount"]["name"]

    assert names == {Placement().namespace}
    assert MANIFESTS["RoleBinding"]["subjects"][0]["name"] == account
    assert Placement().secret in (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")


def test_the_role_allows_the_calls_that_the_runner_makes_and_no_others() -> None:
    calls = set(re.findall(r"\b(create|read|list|delete|patch|watch)_namespaced_(pod(?:_log)?)\b", source()))
    verbs = {"read": "get"}
    wanted = {(verbs.get(verb, verb), what.replace("pod_log", "pods/log").removesuffix("pod")) for verb, what in calls}
    rules = MANIFESTS["Role"]["rules"]
    granted = {(verb, what) for rule in rules for what in rule["resources"] for verb in rule["verbs"]}

    assert {(verb, what or "pods") for verb, what in wanted} == granted


def source() -> str:
    return Path(cluster.__file__).read_text(encoding="utf-8")


def test_the_example_of_a_job_file_is_one() -> None:
    example = next(document for document in DOCUMENTS if "runner" in document)
    content = job().model_dump(by_alias=True, exclude_unset=True, mode="json")

    assert Job.model_validate({**content, **example}).kubernetes.gpus == 1
