"""What a run costs in counts that do not depend on the machine's speed; each bar is what was counted, little more.

A change that makes one of them worse is refused here, where no benchmark would notice.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from inference.base.database import Databases
from inference.base.outputs import Output
from inference.base.signature import Input, Signature
from inference.shard.session import Session
from tests.stub import TEXT, Digest, Pipeline, create_messages, job, register, sql

ROOT = Path(__file__).parents[2]
NUMBERS = Signature((Input("value", "double", "float64", True),), (Output("score", "double precision", True),))
HEAVY = {"mlflow", "torch", "pandas", "numpy", "scipy", "pyarrow", "docker", "kubernetes", "airflow"}
EMPTY_RUN = """
import json, sys
from inference.models import model_version as model
from inference import pipeline
from inference.base.database import Databases
from inference.jobs.job import Job
from inference.schema.lease import Caller
from inference.models.mlflow_rest import Version
from inference.jobs.request import Request
databases = Databases()
with databases.begin("predictions") as connection:
    found = model._find(connection, Version("intent", "1", "models:/m-1", None))
pipeline.Registry, model.resolve = lambda: None, lambda *_: found
planned = pipeline.plan(databases, Job.model_validate_json(sys.argv[1]), Request(), Caller.command_line())
assert planned.state == "empty", planned
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


class Ones:
    """A model of numbers that costs nothing."""

    def predict(self, data: pd.DataFrame) -> Any:
        return np.ones(len(data))


class Padded(Digest):
    """Counts the characters that a model with padding would be given, and those that are text."""

    given = real = 0

    def predict(self, data: pd.DataFrame) -> pd.DataFrame:
        lengths = data["text"].str.len()
        self.given += int(lengths.max()) * len(lengths)
        self.real += int(lengths.sum())
        return super().predict(data)


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """Statements other than COPY, and transactions, of the sessions of shards."""
    found = {"statements": 0, "transactions": 0}
    attempt = Session.attempt

    def count_statement(*_: Any) -> None:
        found["statements"] += 1

    def count_transaction(self: Session, work: Any) -> Any:
        found["transactions"] += 1
        return attempt(self, work)

    event.listen(Engine, "before_cursor_execute", count_statement)
    monkeypatch.setattr(Session, "attempt", count_transaction)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", count_statement)
        monkeypatch.undo()


def spent(databases: Databases, rows: int, signature: Signature, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What one shard of so many rows, in chunks of 100, sends to Postgres."""
    sql(databases, "TRUNCATE message")
    sql(databases, "INSERT INTO message SELECT n, CAST(n AS text), n FROM generate_series(1, :rows) n", rows=rows)
    inputs = [item.name for item in signature.inputs]
    sizes = {"chunk_rows": 100, "batch_rows": 100}
    a_job = job(name=f"job_{inputs[0]}_{rows}", cost="1", source__inputs=inputs, sizes=sizes)
    pipeline = Pipeline(databases, a_job, Ones() if signature is NUMBERS else Digest(), signature)
    planned = pipeline.plan()
    with counting(monkeypatch) as found:
        pipeline.predict(planned)
    assert pipeline.finish(planned) == "published"
    return found


@pytest.mark.parametrize(("signature", "statements"), [(TEXT, 7), (NUMBERS, 7)], ids=["texts", "numbers"])
def test_statements_and_transactions_of_a_chunk(
    databases: Databases, signature: Signature, statements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts: whose session it is, the page, and the columns' types; where the shard is, a savepoint and its release
    around COPY, the cursor. Numbers: the source's lock in place of the page."""
    sql(databases, "CREATE TABLE message (id bigint PRIMARY KEY, text text, value double precision)")
    few, many = (spent(databases, rows, signature, monkeypatch) for rows in (1_000, 3_000))

    per_chunk = {name: (many[name] - few[name]) / 20 for name in few}

    assert per_chunk == {"statements": statements, "transactions": 2}
    assert few["transactions"] <= 21  # and one for the whole shard, to look at the source's columns


def test_calls_of_the_model_for_ten_thousand_rows(databases: Databases) -> None:
    create_messages(databases, [f"message {number}" for number in range(10_000)])
    digest = Digest()

    Pipeline(databases, job(sizes={"chunk_rows": 2048, "batch_rows": 64}), digest).run()

    assert digest.rows == 10_000
    assert digest.calls <= 157  # 10,000 / 64, none of them for a rest but the last


def test_padding_of_texts_in_the_order_of_their_length(databases: Databases) -> None:
    words = random.Random(0)
    create_messages(databases, [f"{number} " + "word " * words.randint(1, 60) for number in range(5_000)])
    padded = Padded()

    Pipeline(databases, job(sizes={"chunk_rows": 2048, "batch_rows": 64}), padded).run()

    assert 1 - padded.real / padded.given <= 0.02  # in the order of arrival it is 0.48


def test_bytes_written_for_a_row(databases: Databases) -> None:
    """WAL of plan, predict, check and publish: of the row in the job's table and in its key, and hardly any other."""
    sql(databases, "CREATE TABLE message (id bigint PRIMARY KEY, value double precision NOT NULL)")
    sql(databases, "INSERT INTO message SELECT n, n FROM generate_series(1, 20000) n")
    sql(databases, "ANALYZE message")
    pipeline = Pipeline(databases, job(cost="1", source__inputs=["value"], sizes={}), Ones(), NUMBERS)
    place = "SELECT pg_current_wal_insert_lsn() - '0/0'"
    ((before,),) = sql(databases, place)

    pipeline.run()

    ((after,),) = sql(databases, place)
    print(f"{(after - before) / 20_000:.0f} bytes a row")
    assert (after - before) / 20_000 <= 200


def test_modules_that_an_empty_run_imports(databases: Databases) -> None:
    create_messages(databases, [])
    register(databases)
    environment = {**os.environ, **databases.environment("predictions"), "PYTHONPATH": str(ROOT)}
    content = job().model_dump(mode="json", by_alias=True)

    done = subprocess.run(
        [sys.executable, "-c", EMPTY_RUN, json.dumps(content)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert HEAVY & set(json.loads(done.stdout)) == set()
