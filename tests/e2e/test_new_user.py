"""A new user's way: the README's model and its commands in order, on a machine that has seen neither before."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from inference.base.database import Databases
from services.mlflow_server import MlflowServer
from services.postgres import Postgres
from tests.conftest import WORKER
from tests.stub import sql

ROOT = Path(__file__).parents[2]
MOST_COMMANDS = 5
MOST_SECONDS = 180
TABLE = """
CREATE SCHEMA shop;
CREATE TABLE shop.flower (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "sepal length (cm)" double precision, "sepal width (cm)" double precision,
    "petal length (cm)" double precision, "petal width (cm)" double precision);
INSERT INTO shop.flower ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)")
SELECT 4.3 + n % 36 / 10.0, 2.0 + n % 24 / 10.0, 1.0 + n % 59 / 10.0, 0.1 + n % 24 / 10.0
FROM generate_series(1, 1000) AS n;
"""


@dataclass
class Readme:
    train: str
    commands: list[str]
    outputs: list[str]


def session() -> Readme:
    """What the README's section tells a new user to run, with what it says comes of it."""
    part = (
        (ROOT / "README.md")
        .read_text(encoding="utf-8")
        .split("\n## Your own job in five commands\n")[1]
        .split("\n## ")[0]
    )
    train = re.search(r"```python\n(.*?)```", part, re.DOTALL)
    console = re.search(r"```\n(\$ export .*?)```", part, re.DOTALL)
    assert train is not None
    assert console is not None
    steps = re.split(r"^\$ ", console[1], flags=re.MULTILINE)[1:]
    commands, outputs = [], []
    for step in steps:
        command = re.match(r"(?:.*\\\n)*.*\n", step)
        assert command is not None
        commands.append(command[0].replace("\\\n", " ").strip())
        outputs.append(step[command.end() :])
    return Readme(train[1], commands, outputs)


@pytest.fixture
def company(postgres: Postgres, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a terminal beside a company's table and its MLflow; nothing of the pipeline is set up."""
    postgres.create_database("company_of_a_new_user")
    url = postgres.url("company_of_a_new_user").replace("+psycopg2", "")
    with Databases({"predictions": url}).begin("predictions") as connection:
        connection.exec_driver_sql(TABLE.replace("%", "%%"), {"": None})
    server = MlflowServer(tmp_path / "mlflow", postgres, port=25700 + WORKER)
    server.start()
    server.wait_healthy()
    (tmp_path / "jobs").mkdir()
    yield {
        **os.environ, "INFERENCE_JOBS": str(tmp_path / "jobs"), "INFERENCE_STATE": str(tmp_path / "state"),
        "AIRFLOW_CONN_PREDICTIONS": url, **server.env(), "USER": "you", "LOGNAME": "you",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }  # fmt: skip
    server.stop()
    postgres.drop_database("company_of_a_new_user")


def comparable(text: str, jobs: str) -> str:
    """Without what differs from machine to machine: durations, memory, migrations."""
    text = text.replace(jobs, "dags/jobs")
    lines = [line for line in text.splitlines() if not line.startswith(("applied ", "environment ", "..."))]
    return re.sub(r"\d+(\.\d+)?", "N", "\n".join(lines)).strip()


def test_the_readmes_commands_lead_from_a_table_and_a_model_to_predictions(
    company: dict[str, str], tmp_path: Path
) -> None:
    readme = session()
    assert len(readme.commands) <= MOST_COMMANDS
    (tmp_path / "train.py").write_text(readme.train)
    trained = subprocess.run(
        [sys.executable, "-W", "ignore", "train.py"],
        cwd=tmp_path,
        env=company,
        capture_output=True,
        text=True,
        check=False,
    )
    assert trained.returncode == 0, trained.stderr

    started, screen = time.monotonic(), []
    for command in readme.commands:
        began = time.monotonic()
        if command.startswith("export "):  # the addresses of this machine are in the environment
            assert set(re.findall(r"(\w+)=", command)) == {"AIRFLOW_CONN_PREDICTIONS", "MLFLOW_TRACKING_URI"}
            screen.append("")
            continue
        if command.startswith("psql ") and shutil.which("psql") is None:
            assert command.startswith('psql "$AIRFLOW_CONN_PREDICTIONS" -c ')
            continue
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=ROOT,
            env=company,
            text=True,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        screen.append(done.stdout)
        print(f"$ {command}\n{screen[-1]}({time.monotonic() - began:.1f} s)")
        assert done.returncode == 0, screen[-1]
    seconds = time.monotonic() - started
    # Packages are downloaded and installed at the speed of a network and a disk that are not ours.
    environment = re.search(r"^environment \w+ ready after (\d+) s$", "".join(screen), re.MULTILINE)
    seconds -= int(environment[1]) if environment else 0

    assert seconds < MOST_SECONDS
    query = re.search(r"-c '(.*)'", readme.commands[-1])
    assert query is not None
    databases = Databases({"predictions": company["AIRFLOW_CONN_PREDICTIONS"]})
    rows = sql(databases, query[1])
    shown = [tuple(cell.strip() for cell in line.split("|")) for line in readme.outputs[-1].splitlines() if "|" in line]
    assert [tuple(map(str, row)) for row in rows] == shown[1:]
    assert sql(databases, "SELECT count(*) FROM prediction.flower") == [(1000,)]
    for said, shown_text in zip(screen, readme.outputs[:-1], strict=False):
        assert comparable(said, company["INFERENCE_JOBS"]) == comparable(shown_text, "dags/jobs")
