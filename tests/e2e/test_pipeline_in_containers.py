"""The runner `docker` through a real scheduler: a run that is cancelled, the next one, and where the password is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import mlflow
import psycopg2
import pytest

from inference import image
from inference.registry import Registry
from services.postgres import Postgres
from tests.e2e import images
from tests.e2e.conftest import World
from tests.e2e.docker_company import await_true, of_database
from tests.stub import sql

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, on its import
JOB = """
name: contained
description: A model in a container.
owner: tests
source: {relation: message, key: [id], inputs: [text], where: text IS NOT NULL AND id <= 400}
model: {name: contained}
runner: docker
resources: {memory: 512Mi}
sizes: {chunk_rows: 20, batch_rows: 10, shard_rows: 200}
retries: {count: 2, delay: 1s, max_delay: 2s}
"""


@pytest.fixture
def contained(world: World, engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The world with one more model, its image and its job."""
    for name in ("MLFLOW_TRACKING_URI", "INFERENCE_STATE"):
        monkeypatch.setenv(name, world.env[name])
    mlflow.set_tracking_uri(world.mlflow.url)
    images.register(tmp_path, "contained", images.Source(predict=images.SLOW))
    image.build(world.databases, Registry(), "contained", "champion", [])
    (world.folder / "dags" / "jobs" / "contained.yaml").write_text(JOB)
    world.api.await_dag("contained", 60)
    world.api.unpause("contained")
    return world


def test_a_cancelled_run_leaves_no_container_and_the_next_one_publishes(contained: World, engine: Any) -> None:
    def alive() -> list[Any]:
        return of_database(engine, contained.databases)

    run = contained.api.trigger("contained")
    await_true(lambda: len(alive()) == 2, 60, "a container for each shard")
    contained.api.call("PATCH", f"/dags/contained/dagRuns/{run}", {"state": "failed"})
    cancelled = time.monotonic()
    await_true(lambda: not alive(), 15, "the end of the cancelled run's containers")
    print(f"no container {time.monotonic() - cancelled:.1f} s after the run was cancelled")

    _, state = contained.run_dag("contained")

    assert state == "success"
    assert alive() == []
    ((rows,),) = sql(contained.databases, "SELECT count(*) FROM prediction.contained")
    ((wanted,),) = sql(contained.databases, "SELECT count(*) FROM message WHERE text IS NOT NULL AND id <= 400")
    assert rows == wanted > 300
    assert_secret_stays(contained, contained.postgres)


def assert_secret_stays(world: World, postgres: Postgres) -> None:
    """In no task's log, rendered field or XCom, after runs in containers."""
    secret = world.databases.url("predictions").password or ""
    logs = [path for path in (world.folder / "airflow").rglob("*.log") if "contained" in str(path)]
    assert len(logs) >= 7
    assert [path for path in logs if secret in path.read_text(errors="replace")] == []
    with psycopg2.connect(postgres.libpq_url("airflow")) as connection, connection.cursor() as cursor:
        for table in ("xcom", "rendered_task_instance_fields", "log", "task_instance"):
            cursor.execute(f"SELECT count(*) FROM {table} t WHERE CAST(t AS text) LIKE %s", (f"%{secret}%",))  # noqa: S608
            assert cursor.fetchone() == (0,), table
