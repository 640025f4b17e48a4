"""docker-compose.yaml as a project of its own: other names, other ports, light models, small shards, every minute."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from inference.base.database import Databases
from inference.models.mlflow_rest import Registry
from services import compose_env
from services.airflow_api import AirflowApi
from tests.e2e.conftest import ROOT, set_cron
from tests.stub import sql

EXAMPLES = ("intent", "keyword")
WORKER = "airflow-worker"
SIZES = "sizes: {shard_rows: 400, chunk_rows: 100, batch_rows: 10}\nmax_parallel_shards: 4\n"


class Stack:
    """The files of `folder` and what Compose makes of them; `name`: of the project, and part of all other names."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.env = _env(folder / ".env", name)
        _job_files(folder / "jobs")
        _examples(folder / "examples")
        (folder / "override.yaml").write_text(yaml.safe_dump({"services": _overrides(folder)}))
        self.api = AirflowApi(
            f"http://127.0.0.1:{self.env['AIRFLOW_PORT']}", "admin", self.env["AIRFLOW_ADMIN_PASSWORD"]
        )
        self.registry = Registry(f"http://127.0.0.1:{self.env['MLFLOW_PORT']}")
        port, password = self.env["POSTGRES_PORT"], self.env["COMPANY_DB_PASSWORD"]
        self.company = Databases({"predictions": f"postgresql://company:{password}@127.0.0.1:{port}/company"})
        password = self.env["POSTGRES_PASSWORD"]
        self.databases = Databases({"predictions": f"postgresql://postgres:{password}@127.0.0.1:{port}/company"})

    def compose(self, *arguments: str, seconds: float = 600) -> str:
        """What `docker compose ARGUMENTS` says; fails with its last lines."""
        files = [ROOT / "docker-compose.yaml", self.folder / "override.yaml"]
        command = ["docker", "compose", "--env-file", str(self.folder / ".env"), "--project-directory", str(ROOT)]
        command += [argument for file in files for argument in ("--file", str(file))]
        done = run([*command, *arguments], seconds)
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
        return done.stdout

    def up(self) -> None:
        self.compose("up", "--detach", "--scale", f"{WORKER}=2", "--timeout", "20")

    def containers(self, *services: str) -> list[str]:
        return self.compose("ps", "--all", "--quiet", *services).split()

    def rows(self, query: str, **values: Any) -> list[Any]:
        return [tuple(row) for row in sql(self.databases, query, **values)]

    def pending(self, job: str) -> int:
        """Messages without a prediction; the view is there from the first plan on."""
        ((view,),) = self.rows("SELECT to_regclass('prediction.' || :job)", job=job)
        missing = f"NOT EXISTS (SELECT FROM prediction.{job} p WHERE p.id = m.id)" if view else "true"
        ((count,),) = self.rows(f"SELECT count(*) FROM message m WHERE {missing}")  # noqa: S608
        return int(count)

    def shards(self, job: str, run: str) -> list[dict[str, Any]]:
        """The task instances of a DAG run that score."""
        return [each for each in self.api.task_instances(job, run) if each["task_id"] == "predict"]

    def tries(self, job: str, run: str, shard: dict[str, Any]) -> list[dict[str, Any]]:
        path = f"/dags/{job}/dagRuns/{run}/taskInstances/predict/{shard['map_index']}/tries"
        return sorted(self.api.call("GET", path)["task_instances"], key=lambda each: int(each["try_number"]))

    def remove(self, client: Any) -> None:
        """All of it: workers before the containers of models that they start, and those before their network."""
        models = {str(image.id) for image in client.images.list(filters={"label": "inference.model"})} & self._models()
        self.compose("stop", "--timeout", "0", WORKER)
        for container in client.containers.list(
            all=True, filters={"network": f"{self.name}-models", "label": "inference.run"}
        ):
            container.remove(force=True)
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "3")
        own = {image.id for side in ("airflow", "tools") for image in client.images.list(f"{self.name}-{side}")}
        for image in models | own:
            client.images.remove(image, force=True)

    def _models(self) -> set[str]:
        try:
            return {image for (image,) in self.rows("SELECT DISTINCT image_id FROM prediction.run")}
        except Exception:  # the database never came up
            return set()


def run(command: Sequence[str], seconds: float = 60, **options: Any) -> subprocess.CompletedProcess[str]:
    """A command without the caller's own settings of Compose."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")}
    environment = {**outside, **options.pop("env", {})}
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment, **options)


def _env(path: Path, name: str) -> dict[str, str]:
    """As `make env` makes it, with other names."""
    compose_env.write(path)
    lines = path.read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    values |= {"COMPOSE_PROJECT_NAME": name, "INFERENCE_DOCKER_NETWORK": f"{name}-models"}
    path.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
    return values


def _job_files(folder: Path) -> None:
    """The project's own, whose runner is what the stack says."""
    shutil.copytree(ROOT / "dags" / "jobs", folder)
    for path in folder.glob("*.yaml"):
        set_cron(path, "* * * * *")
        with path.open("a", encoding="utf-8") as stream:
            stream.write(SIZES)


def _examples(folder: Path) -> None:
    for name in EXAMPLES:
        shutil.copytree(ROOT / "tests" / "e2e" / "light_model", folder / name)
        shutil.copy(ROOT / "examples" / name / "messages.csv", folder / name)


def _overrides(folder: Path) -> dict[str, Any]:
    jobs = {"volumes": [f"{folder / 'jobs'}:/opt/project/dags/jobs:ro"]}
    examples = {"volumes": [*jobs["volumes"], f"{folder / 'examples'}:/opt/project/examples:ro"]}
    return {"init": examples, "airflow-dag-processor": jobs, WORKER: jobs}
