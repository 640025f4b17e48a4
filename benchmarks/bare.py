"""What limits a table of numbers: moving its rows, and asking Postgres and the model for nothing but the work."""

from __future__ import annotations

import io

import pandas as pd
from sqlalchemy.engine import Connection

from benchmarks.lap import Lap, timed
from benchmarks.model import loaded
from benchmarks.workload import Workload, columns
from inference.base.database import Databases
from inference.shard.copy_binary import Layout


def input_hash(workload: Workload) -> str:
    """Of the rows `s`, as the pipeline has it."""
    names = ", ".join(f'"{name}"' for name in workload.inputs)
    return f"md5('[1, {names}]' || ROW({', '.join(f's.{name}' for name in workload.inputs)})::text)::uuid"


def raw_copy(url: str, workload: Workload) -> Lap:
    """The ceiling of whatever moves rows through a client: COPY out, COPY into a table with a primary key."""

    def work(_: Databases, connection: Connection) -> None:
        cursor, data = connection.connection.cursor(), io.BytesIO()
        cursor.copy_expert(f"COPY {workload.relation} TO STDOUT", data)
        data.seek(0)
        cursor.execute(f"CREATE TABLE target (LIKE {workload.relation} INCLUDING INDEXES)")
        cursor.copy_expert("COPY target FROM STDIN", data)

    return timed(url, workload, work)


def steps(url: str, workload: Workload) -> Lap:
    """What the pipeline asks of Postgres and the model, one step after the other, and nothing else."""
    inputs, names = ", ".join(f"s.{name}" for name in workload.inputs), list(workload.inputs)
    hashed = input_hash(workload)
    read = Layout([">i8", "V16", *[">f4"] * len(names)])
    written = Layout([">i8", "V16", ">f4"])
    model = loaded(workload)

    def work(_: Databases, connection: Connection) -> None:
        cursor = connection.connection.cursor()
        cursor.execute(
            f"CREATE UNLOGGED TABLE work AS SELECT s.id, {hashed} AS input_hash, "
            f"row_number() OVER (ORDER BY s.id) AS ordinal FROM {workload.relation} s"
        )
        cursor.execute("CREATE UNIQUE INDEX ON work (ordinal)")
        data = io.BytesIO()
        cursor.copy_expert(
            f"COPY (SELECT w.ordinal, {hashed}, {inputs} FROM work w "
            f"JOIN {workload.relation} s USING (id)) TO STDOUT (FORMAT binary)",
            data,
        )
        ordinals, hashes, *values = read.decode(data.getvalue()) or []
        scores = model.predict(pd.DataFrame(dict(zip(names, values))))["score"].to_numpy()
        cursor.execute(f"CREATE UNLOGGED TABLE result (ordinal bigint, input_hash uuid, {columns(workload.outputs)})")
        cursor.copy_expert(
            "COPY result FROM STDIN (FORMAT binary)", io.BytesIO(written.encode([ordinals, hashes, scores]))
        )
        cursor.execute(
            "CREATE TABLE target (id bigint PRIMARY KEY, input_hash uuid, model_id int, run_id bigint, "
            f"predicted_at timestamptz, {columns(workload.outputs)})"
        )
        cursor.execute(
            "INSERT INTO target SELECT w.id, r.input_hash, 1, 1, now(), r.score "
            "FROM work w JOIN result r USING (ordinal)"
        )

    return timed(url, workload, work)
