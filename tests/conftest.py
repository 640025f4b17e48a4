"""A real Postgres for all tests: one server, one template with the schema, one database a test."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from inference.base.database import Databases
from inference.schema import migrate
from services.postgres import Postgres

_NUMBERS = itertools.count(1)
# Of the process, where several run tests side by side: each has servers on ports of its own.
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))

# The same examples each time and everywhere, and no limit of time: CI shares its machine.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


def memory_folder() -> Path | None:
    """/dev/shm where there is one: databases there cost milliseconds."""
    path = Path("/dev/shm")
    return path if path.is_dir() else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp(prefix="inference-tests-", dir=memory_folder()))
    folder.chmod(0o755)
    with Postgres(folder, port=25432 + WORKER, settings={"fsync": "off", "max_connections": "200"}) as server:
        yield server
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> str:
    postgres.create_database("template_prediction")
    migrate.upgrade(Databases({"predictions": postgres.url("template_prediction")}), lambda _: None)
    return "template_prediction"


@pytest.fixture
def database_url(postgres: Postgres, template: str) -> Iterator[str]:
    """The URL of a database with the schema `prediction`, for one test."""
    name = f"test_{next(_NUMBERS)}"
    postgres.create_database(name, template=template)
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture
def databases(database_url: str) -> Databases:
    return Databases({"predictions": database_url})
