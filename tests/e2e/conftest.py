"""The real thing once for all tests here: Postgres, MLflow with both example models, Airflow with both jobs.

The job files are the project's own, except that `intent` runs every minute until a test changes that, `keyword`
by hand only, and that both retry at once.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from inference.base.database import Databases
from inference.schema import migrate
from services.airflow import Airflow
from services.airflow_api import AirflowApi
from services.mlflow_server import MlflowServer
from services.postgres import Postgres
from tests.conftest import memory_folder
from tests.e2e.docker_company import company, engine  # noqa: F401
from tests.e2e.image_registry import image_registry  # noqa: F401
from tests.e2e.kubernetes_company import cluster  # noqa: F401
from tests.e2e.messages import messages
from tests.stub import create_messages

ROOT = Path(__file__).parents[2]
# Kept between sessions: making a model's environment takes a while.
STATE = ROOT / ".state" / "tests"
NEVER = "0 0 1 1 *"


@dataclass
class World:
    """What a test may use. `env` is that of a command of the pipeline."""

    folder: Path
    postgres: Postgres
    mlflow: MlflowServer
    airflow: Airflow
    databases: Databases
    env: dict[str, str] = field(repr=False)

    @property
    def api(self) -> AirflowApi:
        return self.airflow.api()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`python -m inference ...` with this world's job files."""
        command = [sys.executable, "-m", "inference", *arguments]
        return subprocess.run(command, env=self.env, cwd=ROOT, capture_output=True, text=True, check=False)

    def run_dag(self, job: str, **conf: object) -> tuple[str, str]:
        """Trigger a run and wait for it; its id and its final state."""
        run = self.api.trigger(job, conf)
        return run, self.api.wait(job, run, 180)

    def schedule(self, job: str, cron: str) -> None:
        """Change a job's schedule in its file, and wait until Airflow has seen it."""
        set_cron(self.folder / "dags" / "jobs" / f"{job}.yaml", cron)
        end = time.monotonic() + 60
        while self.api.call("GET", f"/dags/{job}")["timetable_summary"] != cron:
            assert time.monotonic() < end, "Airflow has not read the changed job file"
            time.sleep(0.5)

    def tasks(self, job: str, run: str) -> dict[str, list[str]]:
        """States of a run's task instances, by task."""
        found: dict[str, list[str]] = {}
        for item in self.api.task_instances(job, run):
            found.setdefault(item["task_id"], []).append(item["state"])
        return found


def set_cron(path: Path, cron: str) -> None:
    replace(path, 'cron: ".*"', f'cron: "{cron}"')


def replace(path: Path, found: str, text: str) -> None:
    """Put `text` in the place of the only match of a pattern."""
    changed, times = re.subn(found, text, path.read_text(encoding="utf-8"))
    assert times == 1, f"{path.name}: {found} is there {times} times"
    path.write_text(changed, encoding="utf-8")


def job_files(target: Path) -> Path:
    shutil.copytree(ROOT / "dags", target, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (target / "jobs").glob("*.yaml"):
        set_cron(path, "* * * * *" if path.stem == "intent" else NEVER)
        replace(path, "retries: {.*}", "retries: {count: 2, delay: 1s, max_delay: 2s}")
    return target


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    folder = Path(tempfile.mkdtemp(prefix="inference-e2e-", dir=memory_folder()))
    folder.chmod(0o755)
    with Postgres(folder / "postgres", port=26432, settings={"fsync": "off"}) as postgres:
        made = start(folder, postgres)
        try:
            yield made
        finally:
            made.airflow.stop()
            made.mlflow.stop()
    shutil.rmtree(folder, ignore_errors=True)


def start(folder: Path, postgres: Postgres) -> World:
    mlflow = MlflowServer(folder / "mlflow", postgres, port=26500)
    mlflow.start()
    postgres.create_database("company")
    address = postgres.libpq_url("company")
    databases = Databases({"predictions": address})
    migrate.upgrade(databases, lambda _: None)
    create_messages(databases, messages())
    dags = job_files(folder / "dags")
    state = {**mlflow.env(), "INFERENCE_STATE": str(STATE), "INFERENCE_JOBS": str(dags / "jobs")}
    state["INFERENCE_DOCKER_NETWORK"] = "host"  # this Postgres listens on 127.0.0.1 only
    state["KUBECONFIG"] = str(folder / "kubeconfig")  # written by the test whose job runs in pods
    connections = {"predictions": address}
    airflow = Airflow(folder / "airflow", postgres, dags=dags, connections=connections, extra_env=state, port=26080)
    env = {**os.environ, **state, "AIRFLOW_CONN_PREDICTIONS": address, "PYTHONPATH": str(ROOT)}
    world = World(folder, postgres, mlflow, airflow, databases, env)
    with ThreadPoolExecutor(1) as threads:
        migrated = threads.submit(airflow.migrate)
        mlflow.wait_healthy()
        train(world)
        migrated.result()
    airflow.start()
    airflow.wait_healthy()
    for job in ("intent", "keyword"):
        world.api.await_dag(job, 60)
    world.api.unpause("keyword")
    return world


def train(world: World) -> None:
    done = subprocess.run(
        [sys.executable, "examples/intent/train.py"],
        env=world.env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    done = world.command("models", "register", "examples/keyword", "--name", "keyword")
    assert done.returncode == 0, done.stderr
    for job in ("intent", "keyword"):
        done = world.command("models", "prepare", job)
        assert done.returncode == 0, done.stderr
