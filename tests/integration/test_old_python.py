"""A shard runs on the oldest versions that a model's environment may have: Python 3.9, pandas 1.5, SQLAlchemy 1.4."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from inference.base.database import Databases
from inference.models.environment import BuildError, ensure, find_interpreter
from tests.stub import Pipeline, create_messages, digest, predictions

ROOT = Path(__file__).parents[2]
OLD = ["pandas==1.5.3", "sqlalchemy==1.4.54", "numpy==1.26.4"]

SHARD = """
import hashlib, sys
import pandas, sqlalchemy
from inference.shard import shard
from inference.base.database import Databases

class Model:
    def predict(self, data):
        digests = [hashlib.sha256(text.encode()).hexdigest() for text in data["text"]]
        return pandas.DataFrame({"digest": digests, "length": data["text"].str.len()})

print(sys.version_info[:2], pandas.__version__, sqlalchemy.__version__)
shard.run(Databases(), *map(int, sys.argv[1:]), lambda work: Model())
"""


@pytest.fixture(scope="session")
def old_python() -> Path:
    try:
        find_interpreter("3.9")
    except BuildError as error:
        pytest.skip(str(error))
    return ensure("3.9", OLD, ROOT / ".state" / "tests", ROOT / "inference" / "requirements.txt", print)


def test_a_shard_runs_in_an_old_environment(old_python: Path, databases: Databases) -> None:
    texts = [f"message {number}" for number in range(300)]
    create_messages(databases, texts)
    pipeline = Pipeline(databases)
    planned = pipeline.plan()

    arguments = [planned.run_id, planned.generation, *planned.shards]
    done = subprocess.run(
        [old_python, "-c", SHARD, *map(str, arguments)],
        env={**os.environ, **databases.environment("predictions"), "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(3, 9) 1.5.3 1.4.54")
    assert pipeline.finish(planned) == "published"
    found = {key: row["digest"] for key, row in predictions(databases).items()}
    assert found == {number: digest(text) for number, text in enumerate(texts, start=1)}
