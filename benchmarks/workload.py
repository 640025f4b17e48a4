"""What a workload is: a table to score, a model, and the job that joins them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from inference.base.database import PREDICTIONS, Databases
from inference.jobs.job import Job
from inference.schema import migrate
from services.postgres import Postgres

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Workload:
    """`relation` has the key `id` and the columns `inputs`; `outputs` are the model's, all by their type in SQL."""

    name: str
    relation: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    model: str
    requirements: list[str]  # of the model
    log: Callable[[Path, str], Any]  # (a folder to work in, the registered name) -> what MLflow says of the version
    fill: Callable[[Any, int], None]  # (cursor, rows)
    prepare: Callable[[pd.DataFrame], pd.DataFrame]  # what read_sql gives -> what the model takes
    cost: str = "1"
    sizes: dict[str, Any] = field(default_factory=dict)

    @property
    def read(self) -> str:
        return f"SELECT id, {', '.join(self.inputs)} FROM {self.relation}"

    @property
    def target(self) -> str:
        """Where a peer leaves its predictions: without an index, which is the fastest for it."""
        return f"CREATE TABLE target (id bigint, {columns(self.outputs)})"

    def register(self, folder: Path) -> None:
        import mlflow

        version = str(self.log(folder, self.model).registered_model_version)
        mlflow.MlflowClient().set_registered_model_alias(self.model, "champion", version)

    def load(self) -> Any:
        """The registered model in this process, as every contestant but ours calls it."""
        import mlflow.pyfunc

        return mlflow.pyfunc.load_model(f"models:/{self.model}@champion")

    def create(self, postgres: Postgres, database: str, rows: int) -> Databases:
        """A database of its own with so many rows and the schema `prediction`."""
        postgres.create_database(database)
        databases = Databases({PREDICTIONS: postgres.url(database)})
        migrate.upgrade(databases, lambda _: None)
        with databases.begin(PREDICTIONS) as connection:
            connection.exec_driver_sql(
                f"CREATE TABLE {self.relation} (id bigint PRIMARY KEY, {columns(self.inputs, ' NOT NULL')})"
            )
            self.fill(connection.connection.cursor(), rows)
        vacuum(databases, self.relation)
        return databases

    def job(self, **changes: Any) -> Job:
        return Job.model_validate(self.definition(**changes))

    def definition(self, **changes: Any) -> dict[str, Any]:
        """The job's file; `changes` replaces whole fields, or, of `sizes` and `source`, what they name."""
        content: dict[str, Any] = {
            "name": self.name, "description": "A benchmark.", "owner": "benchmarks", "runner": "venv",
            "source": {"relation": self.relation, "key": ["id"], "inputs": list(self.inputs)},
            "model": {"name": self.model}, "cost": self.cost, "sizes": dict(self.sizes),
        }  # fmt: skip
        for name, value in changes.items():
            content[name] = {**content[name], **value} if name in ("sizes", "source") else value
        return content


def columns(types: dict[str, str], suffix: str = "") -> str:
    return ", ".join(f"{name} {kind}{suffix}" for name, kind in types.items())


def count(databases: Databases, relation: str) -> int:
    with databases.begin(PREDICTIONS) as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {relation}").scalar_one())


def vacuum(databases: Databases, relation: str) -> None:
    with databases.connect(PREDICTIONS) as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(f"VACUUM ANALYZE {relation}")
