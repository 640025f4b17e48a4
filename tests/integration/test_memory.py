"""Memory of a shard does not grow with its rows, nor with the size of a row's neighbours.

A million rows take about half a minute here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inference.base.database import Databases
from inference.base.outputs import Output
from inference.base.signature import Input, Signature
from tests.stub import Pipeline, job, sql

ROOT = Path(__file__).parents[2]
MIB = 1 << 20
LIMIT = 128 * MIB

NUMBERS = Signature((Input("value", "double", "float64", True),), (Output("score", "double precision", True),))
TEXTS = Signature((Input("text", "string", "object", True),), (Output("score", "double precision", True),))


def grown(databases: Databases, kind: Signature, meanwhile: Callable[[], None] = lambda: None, **changes: Any) -> int:
    """Plan, `meanwhile`, score the only shard, publish; bytes at the peak less those with the model loaded."""
    names = [item.name for item in kind.inputs]
    settings = {"source__inputs": names, "sizes__shard_rows": 10_000_000, "cost": "1", **changes}
    pipeline = Pipeline(databases, job(**settings), signature=kind)
    planned = pipeline.plan()
    meanwhile()
    environment = {**os.environ, **databases.environment("predictions"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.memory_process", str(planned.run_id), "1", "1"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    query = "SELECT held_memory, peak_memory FROM prediction.shard WHERE run_id = :run"
    held, peak = sql(databases, query, run=planned.run_id)[0]
    assert pipeline.finish(planned) == "published"
    assert 0 < held < peak
    print(f"{planned.planned} rows: held {held / MIB:.1f} MiB, grew by {(peak - held) / MIB:.1f} MiB")
    return int(peak - held)


def create_numbers(databases: Databases, rows: int) -> None:
    sql(databases, "DROP TABLE IF EXISTS message")
    sql(databases, "CREATE TABLE message (id bigint PRIMARY KEY, value float8 NOT NULL)")
    sql(databases, "INSERT INTO message SELECT n, n / 3.0 FROM generate_series(1, :rows) n", rows=rows)
    sql(databases, "ANALYZE message")


def test_ten_times_the_rows_need_the_same_memory(databases: Databases) -> None:
    sizes = {"sizes__chunk_rows": 20_000, "sizes__batch_rows": 20_000}
    create_numbers(databases, 100_000)
    few = grown(databases, NUMBERS, **sizes)
    create_numbers(databases, 1_100_000)
    many = grown(databases, NUMBERS, **sizes)

    assert many <= LIMIT
    assert abs(many - few) <= few * 0.2


@pytest.mark.parametrize("text", ["abcdefghij", "한국어"], ids=["ascii", "korean"])
def test_texts_of_ten_megabytes_go_one_by_one(databases: Databases, text: str) -> None:
    sql(databases, "CREATE TABLE message (id bigint PRIMARY KEY, text text NOT NULL)")
    sql(
        databases,
        "INSERT INTO message SELECT n, repeat(:text, 10000000 / octet_length(:text)) || n "
        "FROM generate_series(1, 30) n",
        text=text,
    )

    assert grown(databases, TEXTS) <= LIMIT


def test_many_middling_texts_fill_a_chunk_by_bytes(databases: Databases) -> None:
    sql(databases, "CREATE TABLE message (id bigint PRIMARY KEY, text text NOT NULL)")
    sql(
        databases,
        "INSERT INTO message SELECT n, repeat(md5(CAST(n AS text)), 3000) FROM generate_series(1, 1500) n",
    )

    assert grown(databases, TEXTS) <= LIMIT


def test_unreadable_rows_do_not_let_a_chunk_outgrow_its_bytes(databases: Databases) -> None:
    """Every other row cannot be read: what is between them still counts against the budget of the chunk."""
    sql(databases, "CREATE TABLE message (id bigint PRIMARY KEY, text text, bad boolean NOT NULL DEFAULT false)")
    sql(databases, "INSERT INTO message SELECT n, repeat(md5(CAST(n AS text)), 100000) FROM generate_series(1, 120) n")

    def break_rows() -> None:
        sql(databases, "UPDATE message SET bad = true WHERE id % 2 = 0")

    lenient = {"max_quarantine_rate": 1.0}
    where = "CASE WHEN bad THEN 1 / (id - id) = 1 ELSE true END"
    assert grown(databases, TEXTS, break_rows, source__where=where, checks=lenient) <= LIMIT
