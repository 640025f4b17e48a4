"""The company of `docker_company.py` beside a cluster: an API server, a registry, and the Secret with its address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import docker
import pytest

from inference.jobs.job import Job
from inference.runners.kubernetes import cluster as cluster_client
from tests.e2e import images
from tests.e2e.api_server import ApiServer, serving
from tests.e2e.docker_company import Company

NAMESPACE, SECRET_NAME = "predictions", "prediction-connections"  # as a job file says by default
# One image for all tests, since each costs a build, a check and a push: hungry and slow by the row.
MODEL = images.Source(predict=f"{images.HUNGRY}\ntime.sleep(0.01 * len(texts))")


@dataclass
class InCluster:
    """A company whose jobs run in pods; their images are in a registry."""

    company: Company
    server: ApiServer
    registry: str

    def job(self, name: str, /, **changes: Any) -> Job:
        model = self.company.model("podded", MODEL)
        return self.company.job(name, model, **{"runner": "kubernetes", **changes})

    def pods(self, **labels: object) -> list[dict[str, Any]]:
        selector = ",".join(f"inference.{key}={value}" for key, value in labels.items())
        return self.server.find(NAMESPACE, selector)


@pytest.fixture(scope="module")
def cluster(company: Company, image_registry: str) -> Iterator[InCluster]:
    with serving(company.client) as server, pytest.MonkeyPatch.context() as patch:
        server.secrets[SECRET_NAME] = company.databases.environment("predictions")
        server.write_kubeconfig(company.folder / "kubeconfig")
        patch.setenv("KUBECONFIG", str(company.folder / "kubeconfig"))
        patch.setenv("INFERENCE_REGISTRY", image_registry)
        patch.setattr(cluster_client, "POLL_SECONDS", 0.1)
        yield InCluster(company, server, image_registry)
        remove_images(company.client, image_registry)


def remove_images(client: Any, address: str) -> None:
    """The names that lead to a registry which is no more."""
    for found in client.images.list():
        for name in (*found.tags, *found.attrs["RepoDigests"]):
            if name.startswith(address):
                with suppress(docker.errors.NotFound):  # a digest goes with its last tag
                    client.images.remove(name)
