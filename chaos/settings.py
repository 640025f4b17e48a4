"""What every process of the pipeline is given. Time runs faster here, and nothing is fetched by importing mlflow."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy.exc import DBAPIError

from inference.base import database, queries
from inference.base.database import Databases
from inference.errors import InferenceError, WorkLost
from inference.models import artifact
from inference.models.mlflow_rest import Registry, Version
from inference.schema import lease
from inference.shard import session, shard

SILENCE = 3.0  # seconds without a sign of life


@dataclass(frozen=True)
class Place:
    """Where everything is. `addresses`: of the databases by way of the proxy."""

    addresses: dict[str, str]
    control: Any
    registry: str
    folder: Path  # state folder, logs
    mutant: str
    ahead: str  # how far the source's clock is

    def databases(self, stage: str) -> Databases:
        """Connections that say which process they belong to."""
        marks = f"?sslmode=disable&gssencmode=disable&application_name={stage}:{os.getpid()}"
        return Databases({name: address + marks for name, address in self.addresses.items()})


def enter(place: Place, log: str) -> None:
    """Make this process one of the pipeline's."""
    output = os.open(place.folder / log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(message)s", stream=sys.stdout, force=True)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    os.environ["INFERENCE_STATE"] = str(place.folder / "state")
    os.environ["MLFLOW_TRACKING_URI"] = place.registry
    session.DELAYS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.0)
    shard.HEARTBEAT = 0.5
    lease.SILENCE = SILENCE  # type: ignore[assignment]
    database.SESSION["lock_timeout"] = "3s"
    artifact._download = _copy
    blocks = queries.load("planning/plan")
    blocks["source_time"] = blocks["source_time"].replace("now()", f"now() + interval '{place.ahead}'")
    if place.mutant:
        from chaos import mutants

        mutants.apply(place.mutant)


def judge(place: Place, error: BaseException) -> str:
    """What to write into the log. An error that nobody raised on purpose, and not Postgres either, is a violation."""
    if isinstance(error, WorkLost):
        (place.folder / "work-lost").touch()
    if isinstance(error, InferenceError):
        return f"{type(error).__name__}: {error}"
    if not isinstance(error, (DBAPIError, psycopg2.Error)):
        violation(place, f"{type(error).__name__}: {error}")
    return "".join(traceback.format_exception(error))


def violation(place: Place, text: str) -> None:
    with (place.folder / "violations").open("a") as file:
        file.write(" ".join(text.split()) + "\n")


def control(place: Place) -> Connection:
    return Client(place.control)


def _copy(registry: Registry, version: Version, target: str) -> Path:
    """The files of a version without importing mlflow."""
    path = Path(target) / "files"
    shutil.copytree(registry.place(version), path)
    return path
