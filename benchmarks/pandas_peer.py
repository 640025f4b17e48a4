"""pandas: `read_sql`, the model, `to_sql`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd
from sqlalchemy.engine import Connection

from benchmarks.lap import Lap, timed
from benchmarks.model import loaded
from benchmarks.workload import Workload
from inference.base.database import PREDICTIONS, Databases


def run(
    url: str, workload: Workload, chunk: int | None = 10_000, batch: int | None = None, method: Any = None,
    ordered: bool = False,
) -> Lap:  # fmt: skip
    """`chunk` rows at a time (the reading side streams), or the whole table in memory.

    batch: rows of one call of the model, by default the chunk. ordered: by length in each chunk. method: of `to_sql`.
    """
    model = loaded(workload)

    def work(databases: Databases, connection: Connection) -> None:
        connection.exec_driver_sql(workload.target)
        for frame in _frames(databases, workload, chunk):
            if ordered:
                frame = frame.sort_values("text", key=lambda texts: texts.str.len())
            scored = _scored(model, workload, frame, batch or len(frame))
            scored.to_sql("target", connection, if_exists="append", index=False, method=_METHODS.get(method, method))

    return timed(url, workload, work)


def _frames(databases: Databases, workload: Workload, chunk: int | None) -> Iterator[pd.DataFrame]:
    reading = databases.open(PREDICTIONS)
    if chunk is not None:
        reading = reading.execution_options(stream_results=True, max_row_buffer=chunk)
    with reading:
        if chunk is None:
            yield pd.read_sql(workload.read, reading)
        else:
            yield from pd.read_sql(workload.read, reading, chunksize=chunk)


def _scored(model: Any, workload: Workload, frame: pd.DataFrame, batch: int) -> pd.DataFrame:
    data = workload.prepare(frame)
    parts = [model.predict(data.iloc[at : at + batch]) for at in range(0, len(data), batch)]
    scored: pd.DataFrame = pd.concat(parts, ignore_index=True)
    scored.insert(0, "id", frame["id"].to_numpy())
    return scored


def _by_copy(table: Any, connection: Connection, names: list[str], rows: Iterable[Any]) -> None:
    """A `method` of `to_sql` that uses COPY, the fastest that its interface allows."""
    data = io.StringIO()
    csv.writer(data).writerows(rows)
    data.seek(0)
    listed = ", ".join(f'"{name}"' for name in names)
    connection.connection.cursor().copy_expert(f"COPY {table.name} ({listed}) FROM STDIN WITH (FORMAT csv)", data)


_METHODS = {"copy": _by_copy}
