"""Images of model versions: what they share, what is refused, and what is recorded."""

from __future__ import annotations

from contextlib import nullcontext, suppress

import pytest
from docker.errors import NotFound

from inference import pipeline
from inference.errors import ModelError
from inference.images import image
from inference.jobs.request import Request
from inference.models.mlflow_rest import Registry
from tests.e2e import images
from tests.e2e.docker_company import Company
from tests.stub import run_row, sql

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, on its import


def test_an_image_that_is_not_the_one_that_was_checked_is_not_started(company: Company) -> None:
    fast = company.model("fast", images.Source())
    planned = company.plan(company.job("verified", fast))
    name = company.built[fast].name
    company.client.images.get(name).tag("inference/fast:kept")  # else it would have no name for a while
    company.client.images.get("python:3.11-slim-bookworm").tag(name)
    try:
        with pytest.raises(
            ModelError, match=r"and the run was planned with sha256:.* image build fast:1, and plan again"
        ):
            pipeline.predict(company.databases, planned.run_id, planned.generation, 1)
    finally:
        company.client.images.get(company.built[fast].id).tag(name)
        company.client.images.remove("inference/fast:kept")
    assert run_row(company.databases, planned.run_id)["image_id"] == company.built[fast].id
    assert company.containers(planned) == []


def test_plan_refuses_a_version_without_an_image_and_says_the_command(company: Company) -> None:
    company.register("bare", images.Source())

    with pytest.raises(
        ModelError, match=r"bare version 1: has no image.* Run: python -m inference image build bare:1$"
    ):
        company.plan(company.job("bare", "bare"))


def test_versions_with_equal_requirements_share_layers_and_prune_keeps_two(company: Company) -> None:
    layers, built = [], []
    for number in (1, 2, 3):
        company.register("versions", images.Source(load=f"self.number = {number}"))
        built.append(company.build("versions"))
        layers.append(company.client.images.get(built[-1].name).attrs["RootFS"]["Layers"])
        company.plan(company.job("versions", "versions", model={"name": "versions", "on_new_version": "rescore"}))
        sql(company.databases, "UPDATE prediction.run SET state = 'published' WHERE job = 'versions'")

    assert layers[0][:-1] == layers[1][:-1] == layers[2][:-1]
    assert len({one[-1] for one in layers}) == 3
    assert set(image.prune(company.databases)) == {"versions version 1"}
    left = {tag for found in company.client.images.list() for tag in found.tags}
    assert {one.name for one in built} - left == {built[0].name}


@pytest.mark.parametrize("name", [*images.LEAKS, "signal", "load", "outputs"])
def test_an_image_that_breaks_the_contract_is_refused_by_the_name_of_the_check(company: Company, name: str) -> None:
    broken = {
        "signal": images.Source(load="signal.signal(signal.SIGTERM, signal.SIG_IGN)"),
        "load": images.Source(load="raise RuntimeError('no weights')"),
        "outputs": images.Source(predict="texts = texts[1:]; scores = scores[1:]"),
    }
    company.register("broken", broken.get(name) or images.Source(predict=images.LEAKS[name]))

    with pytest.raises(ModelError, match=rf"^broken version \d+: its image fails the conformance check. {name}: "):
        company.build("broken")

    version = Registry().resolve("broken", "champion")
    with pytest.raises(ModelError, match="has no image"):
        image.find(Registry(), version)


def test_with_a_registry_an_image_is_pushed_pulled_and_started_by_its_digest(
    company: Company, image_registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFERENCE_REGISTRY", image_registry)
    company.register("pushed", images.Source())
    built = company.build("pushed")
    assert built.name.startswith(f"{image_registry}/inference/pushed@sha256:")
    for name in (*company.client.images.get(built.id).tags, built.name):
        with suppress(NotFound):  # the digest goes with the last tag
            company.client.images.remove(name)
    assert built.id not in {left.id for left in company.client.images.list(all=True)}

    ended = pipeline.run(
        company.databases, company.job("pushed", "pushed"), Request(), lambda _: None, lambda _: nullcontext()
    )

    assert ended.state == "published"
    assert company.client.images.get(built.name).id == built.id
