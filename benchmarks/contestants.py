"""What scores a table of numbers, each written as well as its users would: seconds without start-up.

Every contestant calls the same model object with the same rows, and leaves one prediction a row in a table.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import pandas as pd
from sqlalchemy.engine import Connection

from benchmarks import tabular
from inference import pipeline
from inference.binary import Layout
from inference.database import PREDICTIONS, Databases
from inference.request import Request

HASH = "md5('[1, " + ", ".join(f'"{name}"' for name in tabular.COLUMNS) + "]' || ROW({inputs})::text)::uuid"
INPUTS = ", ".join(f"s.{name}" for name in tabular.COLUMNS)
READ = f"SELECT id, {', '.join(tabular.COLUMNS)} FROM measurement"


def ours(databases: Databases, changes: str = "hash", shards: int = 2) -> float:
    """Plan to publish, as `python -m inference run` does it. Left out: from the call of a shard to its first page."""
    rows = tabular.count(databases, "measurement")
    source = {"relation": "measurement", "key": ["id"], "inputs": tabular.COLUMNS, "changes": changes}
    sizes = {"chunk_rows": tabular.CHUNK_ROWS, "batch_rows": tabular.CHUNK_ROWS, "shard_rows": -(-rows // shards)}
    ended = pipeline.run(
        databases, tabular.job(source=source, sizes=sizes), Request(), lambda _: None, lambda _: nullcontext()
    )
    assert ended.state == "published", ended.message
    with databases.begin(PREDICTIONS) as connection:
        timings = connection.exec_driver_sql("SELECT timings FROM prediction.run ORDER BY run_id DESC").scalar_one()
        slowest = connection.exec_driver_sql("SELECT max(seconds) FROM prediction.shard").scalar_one()
    assert tabular.count(databases, "prediction.measurement") == rows
    return float(timings["plan"] + slowest + timings["check"] + timings["publish"])


def raw_copy(databases: Databases) -> float:
    """The ceiling of whatever moves rows through a client: COPY out, COPY into a table with a primary key."""

    def work(connection: Connection) -> None:
        cursor, data = connection.connection.cursor(), io.BytesIO()
        cursor.copy_expert("COPY measurement TO STDOUT", data)
        data.seek(0)
        cursor.execute("CREATE TABLE target (LIKE measurement INCLUDING INDEXES)")
        cursor.copy_expert("COPY target FROM STDIN", data)

    return _timed(databases, work)


def bare_steps(databases: Databases, model: Any) -> float:
    """What the pipeline asks of Postgres and the model, one step after the other, and nothing else."""
    read = Layout([">i8", "V16", *[">f4"] * len(tabular.COLUMNS)])
    written = Layout([">i8", "V16", ">f4"])

    def work(connection: Connection) -> None:
        cursor = connection.connection.cursor()
        cursor.execute(
            f"CREATE UNLOGGED TABLE work AS SELECT s.id, {HASH.format(inputs=INPUTS)} AS input_hash, "
            "row_number() OVER (ORDER BY s.id) AS ordinal FROM measurement s"
        )
        cursor.execute("CREATE UNIQUE INDEX ON work (ordinal)")
        data = io.BytesIO()
        cursor.copy_expert(
            f"COPY (SELECT w.ordinal, {HASH.format(inputs=INPUTS)}, {INPUTS} FROM work w "
            "JOIN measurement s USING (id)) TO STDOUT (FORMAT binary)",
            data,
        )
        ordinals, hashes, *columns = read.decode(data.getvalue()) or []
        scores = model.predict(pd.DataFrame(dict(zip(tabular.COLUMNS, columns))))["score"].to_numpy()
        cursor.execute("CREATE UNLOGGED TABLE result (ordinal bigint, input_hash uuid, score real)")
        cursor.copy_expert(
            "COPY result FROM STDIN (FORMAT binary)", io.BytesIO(written.encode([ordinals, hashes, scores]))
        )
        cursor.execute(
            "CREATE TABLE target (id bigint PRIMARY KEY, input_hash uuid, model_id int, run_id bigint, "
            "predicted_at timestamptz, score real)"
        )
        cursor.execute(
            "INSERT INTO target SELECT w.id, r.input_hash, 1, 1, now(), r.score "
            "FROM work w JOIN result r USING (ordinal)"
        )

    return _timed(databases, work)


def pandas_chunked(databases: Databases, model: Any, chunk: int, method: Any) -> float:
    """`read_sql(chunksize)`, the model, `to_sql`, chunk by chunk; the reading side streams."""

    def work(connection: Connection) -> None:
        reading = databases.open(PREDICTIONS).execution_options(stream_results=True, max_row_buffer=chunk)
        with reading:
            for frame in pd.read_sql(READ, reading, chunksize=chunk):
                _scored(frame, model).to_sql("target", connection, if_exists="append", index=False, method=method)

    return _timed(databases, work)


def pandas_whole(databases: Databases, model: Any, method: Any) -> float:
    """The whole table in memory at once."""

    def work(connection: Connection) -> None:
        frame = pd.read_sql(READ, connection)
        _scored(frame, model).to_sql("target", connection, index=False, method=method)

    return _timed(databases, work)


def by_copy(table: Any, connection: Connection, names: list[str], rows: Iterable[Any]) -> None:
    """A `method` of `to_sql` that uses COPY, the fastest that its interface allows."""
    data = io.StringIO()
    csv.writer(data).writerows(rows)
    data.seek(0)
    columns = ", ".join(f'"{name}"' for name in names)
    connection.connection.cursor().copy_expert(f"COPY {table.name} ({columns}) FROM STDIN WITH (FORMAT csv)", data)


def _scored(frame: pd.DataFrame, model: Any) -> pd.DataFrame:
    scores = model.predict(frame[tabular.COLUMNS].astype("float32"))["score"].to_numpy()
    return pd.DataFrame({"id": frame["id"], "score": scores})


def _timed(databases: Databases, work: Callable[[Connection], None]) -> float:
    """Seconds of `work` with its COMMIT; what it made is checked, and dropped."""
    started = time.monotonic()
    with databases.begin(PREDICTIONS) as connection:
        work(connection)
    seconds = time.monotonic() - started
    assert tabular.count(databases, "target") == tabular.count(databases, "measurement")
    with databases.begin(PREDICTIONS) as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS target, work, result")
    return seconds
