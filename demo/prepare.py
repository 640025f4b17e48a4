"""What the service `init` of docker-compose.yaml does at every start: `python -m demo.prepare`.

The schema `prediction`, the example table with its messages, a first version of the example models, and for each job
its tables and the image of its model. What is there already stays as it is, so that a second start takes seconds.

COMPANY_URL                 the database with the messages, as the role that owns them
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg2

from demo import messages
from demo.company import Company
from inference.base.database import Databases
from inference.errors import InferenceError, ModelError, PermanentError
from inference.images import image
from inference.jobs import job as jobs_module
from inference.jobs.job import Job
from inference.models import model_version
from inference.models.mlflow_rest import Registry
from inference.planning import plan
from inference.schema import migrate

ROOT = Path(__file__).parents[1]
JOBS, EXAMPLES = ROOT / "dags" / "jobs", ROOT / "examples"
log = logging.getLogger(__name__)


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    databases, registry = Databases(), Registry(retries=4)
    try:
        migrate.upgrade(databases, log.info)
        company = Company(os.environ["COMPANY_URL"])
        log.info("%d messages", company.fill(messages.built_in()))
        company.grant("prediction_predictor")  # and so the planner, which is a member
        jobs, _ = jobs_module.load_all(JOBS)  # Airflow shows what is wrong with the others
        for job in jobs.values():
            prepare(databases, registry, job, list(jobs.values()))
    except (InferenceError, psycopg2.Error, subprocess.CalledProcessError) as error:
        print(f"error: {str(error).strip()}", file=sys.stderr)
        return 1
    return 0


def prepare(databases: Databases, registry: Registry, job: Job, jobs: list[Job]) -> None:
    """The image of the job's model, and the job's tables. What cannot be used stops its own job only: plan says why."""
    name, alias = job.model.name, job.model.alias
    try:
        if (EXAMPLES / name / "train.py").exists() and not _exists(registry, name, alias):
            train(name, alias)
        if job.runner != "docker" or image.current(registry, registry.resolve(name, alias)):
            log.info("%s: is ready", name)
        else:
            image.build(databases, registry, name, alias, [each for each in jobs if each.model.name == name])
        found = model_version.resolve(databases, registry, name, alias, job.model.allow_pickle)
        plan.prepare(databases, job, found)
    except PermanentError as error:
        print(f"warning: job {job.name} cannot run: {error}", file=sys.stderr)


def train(name: str, alias: str) -> None:
    """Train an example in an environment that is thrown away, and register it."""
    log.info("%s: training, in an environment of its own packages", name)
    command = [sys.executable, "-m", "inference", "models", "register", str(EXAMPLES / name)]
    with tempfile.TemporaryDirectory() as state:
        settings = {**os.environ, "INFERENCE_STATE": state}
        subprocess.run([*command, "--name", name, "--alias", alias], env=settings, check=True)


def _exists(registry: Registry, name: str, alias: str) -> bool:
    try:
        registry.resolve(name, alias)
    except ModelError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
