"""The workload that reading and writing limit: rows of ten `real` columns, scored by an MLP 10-64-1."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from inference import migrate
from inference.database import Databases
from inference.job import Job
from services.mlflow_server import MlflowServer
from services.postgres import Postgres

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = [f"x{number}" for number in range(10)]
MODEL, HEAVY_MODEL = "mlp", "mlp_heavy"
REPEATS = {MODEL: 1, HEAVY_MODEL: 500}  # of the model's arithmetic: the heavy one is limited by its processor
REQUIREMENTS = ["mlflow-skinny==3.17.2", "numpy==2.4.6", "pandas==3.1.1", "safetensors==0.8.0"]
CHUNK_ROWS = 20_000


@contextmanager
def services() -> Iterator[Postgres]:
    """A Postgres and an MLflow with the model, in memory where there is room for that; durable as in production."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        folder.chmod(0o755)
        settings = {"max_wal_size": "4GB", "shared_buffers": "1GB"}
        with Postgres(folder / "postgres", port=58432, settings=settings) as postgres:
            mlflow = MlflowServer(folder / "mlflow", postgres, port=58500)
            mlflow.start()
            mlflow.wait_healthy()
            os.environ.update(mlflow.env())
            os.environ.setdefault("INFERENCE_STATE", str(ROOT / ".state" / "benchmarks"))
            try:
                for name, repeats in REPEATS.items():
                    _register(folder, name, repeats)
                yield postgres
            finally:
                mlflow.stop()


def _register(folder: Path, name: str, repeats: int) -> None:
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from safetensors.numpy import save_file

    random = np.random.default_rng(0)
    weights = {"hidden": random.normal(size=(10, 64)), "last": random.normal(size=(64, 1))}
    path = folder / "weights.safetensors"
    tensors = {part: values.astype(np.float32) for part, values in weights.items()}
    save_file({**tensors, "repeat": np.array([repeats])}, path)
    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
    with mlflow.start_run():
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(ROOT / "benchmarks" / "mlp.py"),
            artifacts={"weights": str(path)},
            signature=ModelSignature(
                Schema([ColSpec(DataType.float, one) for one in COLUMNS]), Schema([ColSpec(DataType.float, "score")])
            ),
            pip_requirements=REQUIREMENTS,
            registered_model_name=name,
        )
    mlflow.MlflowClient().set_registered_model_alias(name, "champion", str(logged.registered_model_version))


def create(postgres: Postgres, database: str, rows: int) -> Databases:
    """A database of its own with so many rows and the schema `prediction`."""
    postgres.create_database(database)
    databases = Databases({"predictions": postgres.url(database)})
    migrate.upgrade(databases, lambda _: None)
    columns = ", ".join(f"{name} real NOT NULL" for name in COLUMNS)
    values = ", ".join("random() * 2 - 1" for _ in COLUMNS)
    with databases.begin("predictions") as connection:
        connection.exec_driver_sql(f"CREATE TABLE measurement (id bigint PRIMARY KEY, {columns})")
        connection.exec_driver_sql(f"INSERT INTO measurement SELECT n, {values} FROM generate_series(1, {rows}) n")
    with databases.connect("predictions") as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM ANALYZE measurement")
    return databases


def job(**changes: Any) -> Job:
    """The job; `changes` replaces whole fields of its file."""
    content = {
        "name": "measurement", "description": "A benchmark.", "owner": "benchmarks", "runner": "venv",
        "source": {"relation": "measurement", "key": ["id"], "inputs": COLUMNS}, "model": {"name": MODEL},
        "sizes": {"chunk_rows": CHUNK_ROWS, "batch_rows": CHUNK_ROWS}, **changes,
    }  # fmt: skip
    return Job.model_validate(content)


def count(databases: Databases, relation: str) -> int:
    with databases.begin("predictions") as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {relation}").scalar_one())


def load() -> Any:
    """The registered model in this process, as every contestant but ours calls it."""
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(f"models:/{MODEL}@champion")
