"""The runners `docker` and `kubernetes` through a real scheduler: a run that is cancelled, the next one, and where the
password is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import psycopg2
import pytest

from inference.images import image
from inference.models.mlflow_rest import Registry
from services.postgres import Postgres
from tests.e2e import images
from tests.e2e.api_server import serving
from tests.e2e.conftest import World
from tests.e2e.docker_company import await_true, of_database
from tests.e2e.kubernetes_company import SECRET_NAME, remove_images
from tests.stub import sql

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, on its import
JOB = """
name: {name}
description: A model in a container.
owner: tests
source: {{relation: message, key: [id], inputs: [text], where: text IS NOT NULL AND id <= 400}}
model: {{name: {name}}}
runner: {runner}
resources: {{memory: 512Mi}}
sizes: {{chunk_rows: 20, batch_rows: 10, shard_rows: 200}}
retries: {{count: 2, delay: 1s, max_delay: 2s}}
"""


@pytest.fixture
def in_docker(world: World, engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One more model, its image and its job; returns their name."""
    return add(world, "docker", tmp_path, monkeypatch)


@pytest.fixture
def in_pods(
    world: World, engine: Any, image_registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The same with a cluster and a registry."""
    monkeypatch.setenv("INFERENCE_REGISTRY", image_registry)
    with serving(engine) as server:
        server.secrets[SECRET_NAME] = world.databases.environment("predictions")
        server.write_kubeconfig(Path(world.env["KUBECONFIG"]))
        yield add(world, "kubernetes", tmp_path, monkeypatch)
        remove_images(engine, image_registry)


def add(world: World, runner: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"in_{runner}"
    for variable in ("MLFLOW_TRACKING_URI", "INFERENCE_STATE"):
        monkeypatch.setenv(variable, world.env[variable])
    mlflow.set_tracking_uri(world.mlflow.url)
    images.register(folder, name, images.Source(predict="time.sleep(0.015 * len(texts))"))
    image.build(world.databases, Registry(), name, "champion", [])
    (world.folder / "dags" / "jobs" / f"{name}.yaml").write_text(JOB.format(name=name, runner=runner))
    world.api.await_dag(name, 60)
    world.api.unpause(name)
    return name


@pytest.mark.parametrize("runner", ["in_docker", "in_pods"])
def test_a_cancelled_run_leaves_no_container_and_the_next_one_publishes(
    world: World, engine: Any, runner: str, request: pytest.FixtureRequest
) -> None:
    def alive() -> list[Any]:
        return of_database(engine, world.databases)

    name = request.getfixturevalue(runner)
    run = world.api.trigger(name)
    await_true(lambda: len(alive()) == 2, 60, "a container for each shard")
    world.api.call("PATCH", f"/dags/{name}/dagRuns/{run}", {"state": "failed"})
    cancelled = time.monotonic()
    await_true(lambda: not alive(), 15, "the end of the cancelled run's containers")
    print(f"no container {time.monotonic() - cancelled:.1f} s after the run was cancelled")

    _, state = world.run_dag(name)

    assert state == "success"
    await_true(lambda: not alive(), 15, "the end of the containers")
    ((rows,),) = sql(world.databases, f"SELECT count(*) FROM prediction.{name}")  # noqa: S608
    ((wanted,),) = sql(world.databases, "SELECT count(*) FROM message WHERE text IS NOT NULL AND id <= 400")
    assert rows == wanted > 300
    assert_secret_stays(world, name, world.postgres)


def assert_secret_stays(world: World, job: str, postgres: Postgres) -> None:
    """In no task's log, rendered field or XCom, after runs in containers."""
    secret = world.databases.url("predictions").password or ""
    logs = [path for path in (world.folder / "airflow").rglob("*.log") if job in str(path)]
    assert len(logs) >= 7
    assert [path for path in logs if secret in path.read_text(errors="replace")] == []
    with psycopg2.connect(postgres.libpq_url("airflow")) as connection, connection.cursor() as cursor:
        for table in ("xcom", "rendered_task_instance_fields", "log", "task_instance"):
            cursor.execute(f"SELECT count(*) FROM {table} t WHERE CAST(t AS text) LIKE %s", (f"%{secret}%",))  # noqa: S608
            assert cursor.fetchone() == (0,), table
