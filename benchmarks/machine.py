"""The Postgres and the MLflow that all contestants use, and the databases in them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from benchmarks import worker
from benchmarks.workload import ROOT, Workload
from inference.base.database import PREDICTIONS, Databases
from inference.schema import migrate
from services.mlflow_server import MlflowServer
from services.postgres import Postgres

STATE = ROOT / ".state" / "benchmarks"
# Of this process and of all contestants': nothing but errors is said, and nothing is fetched.
QUIET = {
    "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "1",
    "RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_worker_niceness": "0", "TRANSFORMERS_VERBOSITY": "error",
    "THP_MEM_ALLOC_ENABLE": "1",  # as shards have it
}  # fmt: skip

# What a child of this program imports, and the models.
IMPORTS = ["benchmarks.__main__", "mlflow.pyfunc", "safetensors.torch", "tokenizers"]


class Machine:
    """Databases by what they hold. `quick`: a short run, judged less strictly."""

    def __init__(self, postgres: Postgres, quick: bool) -> None:
        self.postgres, self.quick = postgres, quick
        self._numbers = count(1)
        self._made: set[str] = set()

    def standing(self, workload: Workload, rows: int) -> str:
        """The address of a database that contestants leave as they found it."""
        return self._copy(workload, rows, f"{workload.model}_{rows}_standing")

    @contextmanager
    def fresh(self, workload: Workload, rows: int) -> Iterator[str]:
        """The address of a database for one run; no predictions yet."""
        name = f"run_{next(self._numbers)}"
        yield self._copy(workload, rows, name)
        self.drop(name)

    def empty(self) -> tuple[str, Databases]:
        """A database with the schema `prediction`, and its name."""
        name = f"empty_{next(self._numbers)}"
        self.postgres.create_database(name)
        databases = Databases({PREDICTIONS: self.postgres.url(name)})
        migrate.upgrade(databases, lambda _: None)
        return name, databases

    def drop(self, name: str) -> None:
        self.postgres.drop_database(name)

    def _copy(self, workload: Workload, rows: int, name: str) -> str:
        template = f"{workload.model}_{rows}"
        if template not in self._made:
            workload.create(self.postgres, template, rows)
            self._made.add(template)
        self.postgres.create_database(name, template)
        return self.postgres.url(name)


@contextmanager
def services(workloads: Sequence[Workload], quick: bool = False) -> Iterator[Postgres]:
    """A Postgres, and an MLflow with the models, in memory where there is room for that; durable as in production.

    quick: the contestants' imports are done once for all, while MLflow starts.
    """
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        folder.chmod(0o755)
        settings = {"max_wal_size": "4GB", "shared_buffers": "1GB"}
        with Postgres(folder / "postgres", port=28432, settings=settings) as postgres:
            mlflow = MlflowServer(folder / "mlflow", postgres, port=28500)
            mlflow.start()
            os.environ.update({**mlflow.env(), **QUIET})
            os.environ.setdefault("INFERENCE_STATE", str(STATE))
            if quick:
                worker.fork_from(IMPORTS)
            mlflow.wait_healthy()
            try:
                for workload in workloads:
                    workload.register(folder)
                yield postgres
            finally:
                mlflow.stop()
