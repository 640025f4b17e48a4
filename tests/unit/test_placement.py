"""The section `kubernetes` of a job file: what is refused, and what is said then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from inference.errors import JobError
from inference.jobs.job import Job, load
from tests.stub import job


def refusal(folder: Path, **changes: Any) -> str:
    content = job().model_dump(by_alias=True, exclude_unset=True, mode="json")
    path = folder / f"{changes.get('name', content['name'])}.yaml"
    path.write_text(yaml.safe_dump({**content, **changes}))
    with pytest.raises(JobError) as caught:
        load(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"namespace": "My_Jobs"}, "kubernetes.namespace: 'My_Jobs': not a DNS label: 1 to 63 lower-case letters"),
        ({"namespace": "a" * 64}, "not a DNS label"),
        ({"namespace": "-a"}, "not a DNS label"),
        ({"namespace": "a.b"}, "not a DNS label"),
        ({"secret": "Connections"}, "kubernetes.secret: 'Connections': not a name of a Kubernetes object"),
        ({"secret": ""}, "kubernetes.secret: '': not a name"),
        ({"service_account": "a..b"}, "kubernetes.service_account: 'a..b': not a name"),
        ({"image_pull_secrets": ["ok", "no_t"]}, "kubernetes.image_pull_secrets.1: 'no_t': not a name"),
        ({"node_selector": {"gpu": "A 100"}}, "kubernetes.node_selector.gpu: 'A 100': not a label's value"),
        (
            {"node_selector": {"gpu": True}},
            'kubernetes.node_selector.gpu: write "true" in quotes: YAML reads it as true',
        ),
        ({"node_selector": {"Cloud/gpu": "a"}}, "kubernetes.node_selector: 'Cloud/gpu': not a name"),
        ({"node_selector": {"cloud.example/": "a"}}, "not a label's key, such as `cloud.example/accelerator`"),
        ({"tolerations": [{"key": "a"}]}, "value: is missing; for a taint with any value write operator: Exists"),
        ({"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}, "operator: Exists tolerates any value"),
        ({"tolerations": [{"key": "a", "value": "b", "effect": "No"}]}, "tolerations.0.effect: 'No': Input should be"),
        ({"gpus": -1}, "kubernetes.gpus: -1: Input should be greater than or equal to 0"),
        ({"start_timeout": "soon"}, "kubernetes.start_timeout: 'soon': not a duration"),
        ({"gpu": 1}, "kubernetes.gpu: is no field of a job file"),
    ],
)
def test_what_a_cluster_would_refuse_is_refused_with_the_rule(
    section: dict[str, Any], said: str, tmp_path: Path
) -> None:
    assert said in refusal(tmp_path, kubernetes=section)


def test_names_that_a_cluster_takes_are_taken() -> None:
    section = {
        "namespace": "a-1", "secret": "db.secret-1", "node_selector": {"cloud.example/gpu": "l4_x", "plain": ""},
        "tolerations": [{"key": "k", "value": ""}, {"key": "x.y/z", "operator": "Exists", "effect": "NoExecute"}],
    }  # fmt: skip

    found = job(runner="kubernetes", kubernetes=section).kubernetes

    assert {name: getattr(found, name) for name in ("namespace", "secret", "node_selector")} == {
        name: section[name] for name in ("namespace", "secret", "node_selector")
    }
    assert [item.model_dump(exclude_defaults=True) for item in found.tolerations] == section["tolerations"]


def test_a_job_whose_name_is_no_labels_value_is_refused(tmp_path: Path) -> None:
    assert "labels of pods cannot end with an underscore" in refusal(tmp_path, name="a_", runner="kubernetes")


def test_the_job_of_a_run_that_was_planned_before_this_section_still_loads() -> None:
    content = job().model_dump(by_alias=True, mode="json")
    del content["kubernetes"]

    assert Job.model_validate(content) == job()
