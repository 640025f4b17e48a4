"""A company whose models run in containers: Postgres, MLflow and the Docker engine, without Airflow."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from inference import pipeline
from inference.base.database import Databases
from inference.images import image
from inference.jobs.job import Job
from inference.jobs.request import Request
from inference.models.mlflow_rest import Registry
from inference.models.model_version import Image
from inference.planning.plan import Planned
from inference.runners import containers
from inference.schema import migrate
from inference.schema.lease import Caller
from services.mlflow_server import MlflowServer
from services.postgres import Postgres
from tests.conftest import memory_folder
from tests.e2e import images
from tests.stub import create_messages, job, sql

ROOT = Path(__file__).parents[2]
ROWS = 400
SECRET = "pass-word-7f3a9c"  # of the database
TASK = """
import logging, sys
from inference import pipeline
from inference.base.database import Databases
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
pipeline.predict(Databases(), *map(int, sys.argv[1:]))
"""


def await_true(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.05)
    return found


class Interrupting:
    """Ctrl-C, as the main thread sees it, once `ready`; also where the tests were started with SIGINT ignored."""

    def __init__(self, ready: Callable[[], Any]) -> None:
        self._ready = ready
        self._before: Any = None

    def __enter__(self) -> None:
        self._before = signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Thread(target=self._interrupt).start()

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _interrupt(self) -> None:
        await_true(self._ready, 30, "something at work")
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@dataclass
class Company:
    """`client`: of the engine. `built`: images by model."""

    folder: Path
    databases: Databases
    client: Any
    built: dict[str, Image] = field(default_factory=dict)

    def job(self, name: str, model_name: str, /, **changes: Any) -> Job:
        usual = {
            "model": {"name": model_name}, "runner": "docker", "deduplicate": False,
            "resources": {"memory": "512Mi", "cpus": 2.0}, "sizes": {"chunk_rows": 20, "batch_rows": 10},
        }  # fmt: skip
        return job(name=name, **{**usual, **changes})

    def register(self, name: str, source: images.Source) -> str:
        return images.register(self.folder, name, source)

    def build(self, name: str, reference: str = "champion", jobs: Sequence[Job] = ()) -> Image:
        return image.build(self.databases, Registry(), name, reference, jobs)[1]

    def model(self, name: str, source: images.Source) -> str:
        """The name of a model with its image, made when first asked for."""
        if name not in self.built:
            self.register(name, source)
            self.built[name] = self.build(name)
        return name

    def plan(self, a_job: Job) -> Planned:
        planned = pipeline.plan(self.databases, a_job, Request(), Caller.command_line())
        assert planned.state == "planned", planned.message
        return planned

    def task(self, planned: Planned, shard: int = 1) -> subprocess.Popen[str]:
        """A shard's task in a process of its own, as Airflow runs it."""
        arguments = [planned.run_id, planned.generation, shard]
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", TASK, *map(str, arguments)], env=self.environment(), cwd=ROOT,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def environment(self) -> dict[str, str]:
        return {**os.environ, **self.databases.environment("predictions"), "PYTHONPATH": str(ROOT)}

    def finish(self, planned: Planned) -> str:
        checked = pipeline.check(self.databases, planned.run_id)
        return pipeline.publish(self.databases, planned.run_id).state if checked.state == "checked" else checked.state

    def shard(self, planned: Planned) -> Any:
        """The progress of a run's first shard."""
        columns = "cursor, last_ordinal, attempt, batch_size, memory_kills"
        ((*found,),) = sql(
            self.databases, f"SELECT {columns} FROM prediction.shard WHERE run_id = :run AND shard = 1",  # noqa: S608
            run=planned.run_id,
        )  # fmt: skip
        return dict(zip(columns.split(", "), found))

    def await_progress(self, planned: Planned, seconds: float = 30) -> int:
        """Wait until something of the first shard is committed; returns its cursor."""
        return int(await_true(lambda: self.shard(planned)["cursor"], seconds, "the first chunk"))

    def containers(self, planned: Planned, alive: bool = False) -> list[Any]:
        return of_database(self.client, self.databases, alive, f"inference.run={planned.run_id}")


def of_database(client: Any, databases: Databases, alive: bool = False, *labels: str) -> list[Any]:
    """Containers of the runs in this database: others may test beside us."""
    own = containers.labels(databases, job(), 0, 0, 0)["inference.database"]
    wanted = {"label": [f"inference.database={own}", *labels]}
    return list(client.containers.list(all=not alive, ignore_removed=True, filters=wanted))


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    import docker

    try:
        client = docker.from_env()
        for version in ("3.11", "3.9"):
            client.images.get(f"python:{version}-slim-bookworm")
    except docker.errors.DockerException as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no Docker engine with python:3.11 and 3.9-slim-bookworm, which these tests need: {error}")
    yield client
    client.close()


@pytest.fixture(scope="module")
def company(engine: Any) -> Iterator[Company]:
    import mlflow

    folder = Path(tempfile.mkdtemp(prefix="inference-docker-", dir=memory_folder()))
    folder.chmod(0o755)
    with (
        Postgres(folder / "postgres", port=27432, settings={"fsync": "off"}) as postgres,
        pytest.MonkeyPatch.context() as patch,
    ):
        mlflow_server = MlflowServer(folder / "mlflow", postgres, port=27500)
        mlflow_server.start()
        postgres.create_database("company")
        admin = Databases({"predictions": postgres.url("company")})
        sql(admin, f"CREATE ROLE scorer SUPERUSER LOGIN PASSWORD '{SECRET}'")
        address = admin.url("predictions").set(username="scorer", password=SECRET)
        databases = Databases({"predictions": address.render_as_string(hide_password=False)})
        migrate.upgrade(databases, lambda _: None)
        create_messages(databases, [f"message {number} {'x' * (number % 7)}" for number in range(ROWS)])
        mlflow_server.wait_healthy()
        for name, value in mlflow_server.env().items():
            patch.setenv(name, value)
        patch.setenv("INFERENCE_STATE", str(ROOT / ".state" / "tests"))
        patch.setenv("INFERENCE_DOCKER_NETWORK", "host")  # this Postgres listens on 127.0.0.1 only
        mlflow.set_tracking_uri(mlflow_server.url)
        try:
            yield Company(folder, databases, engine)
        finally:
            for container in of_database(engine, databases):
                container.remove(force=True)
            mlflow_server.stop()
    shutil.rmtree(folder, ignore_errors=True)
