"""Ray Data: `read_sql`, `map_batches` with actors that hold the model and write by COPY."""

from __future__ import annotations

import io
import logging
import os
import signal
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg2

from benchmarks.lap import Lap, clean
from benchmarks.worker import family
from benchmarks.workload import Workload
from inference.base.database import PREDICTIONS, Databases

OBJECT_STORE = 2 << 30
READERS = 2  # at a time
CORES = os.cpu_count() or 1


def prepare(workload: Workload) -> None:
    """Start Ray, which stays for all laps and is halted between them: idle, it takes 7 % of a processor from others."""
    import ray

    # Reading has processors of its own by Ray's count, so that it waits for nobody's.
    ray.init(
        num_cpus=CORES + READERS, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR,
        object_store_memory=OBJECT_STORE,
    )  # fmt: skip
    ray.data.DataContext.get_current().enable_progress_bars = False
    _halt()


def run(
    url: str, workload: Workload, batch: int, actors: int = 2, threads: int = 1, blocks: int = 8, ordered: bool = False
) -> Lap:
    """batch: rows of one call of the model. blocks: parts that are read singly. ordered: read by length.

    Nothing is read before all actors have loaded the model: from then on it counts.
    """
    import ray

    databases, address = Databases({PREDICTIONS: url}), url.replace("+psycopg2", "")
    with databases.begin(PREDICTIONS) as connection:
        connection.exec_driver_sql(workload.target)
    _go_on()
    began = time.time()
    with tempfile.TemporaryDirectory() as ready:
        read = workload.read + (" ORDER BY length(text)" if ordered else "")
        split = {"shard_keys": ["id"], "shard_hash_fn": "hashint8", "override_num_blocks": blocks}
        data = ray.data.read_sql(read, partial(_connect, address, ready, actors, os.getpid()), **split)
        scored = data.map_batches(
            Scorer, fn_constructor_args=(address, workload, ready), batch_size=batch, batch_format="pandas",
            compute=ray.data.ActorPoolStrategy(size=actors), num_cpus=threads,
        )  # fmt: skip
        rows = sum(row["rows"] for row in scored.iter_rows())
        ended = time.time()
        started = max(path.stat().st_mtime for path in Path(ready).iterdir())
    _halt()
    clean(databases, workload)
    assert rows
    return Lap(ended - started, started - began)


class Scorer:
    """An actor."""

    def __init__(self, address: str, workload: Workload, ready: str) -> None:
        self._workload, self._model = workload, workload.load()
        self._connection = psycopg2.connect(address)
        self._connection.autocommit = True
        Path(ready, str(os.getpid())).touch()

    def __call__(self, frame: pd.DataFrame) -> pd.DataFrame:
        scored = self._model.predict(self._workload.prepare(frame))
        scored.insert(0, "id", frame["id"].to_numpy())
        data = io.StringIO(scored.to_csv(index=False, header=False))
        with self._connection.cursor() as cursor:
            cursor.copy_expert(f"COPY target ({', '.join(scored.columns)}) FROM STDIN WITH (FORMAT csv)", data)
        return pd.DataFrame({"rows": [len(scored)]})


def _connect(address: str, ready: str, actors: int, driver: int) -> Any:
    while os.getpid() != driver and len(os.listdir(ready)) < actors:
        time.sleep(0.01)
    return psycopg2.connect(address)


def _halt() -> None:
    for process in family(os.getpid())[:-1]:
        process.send_signal(signal.SIGSTOP)


def _go_on() -> None:
    for process in family(os.getpid())[:-1]:
        process.send_signal(signal.SIGCONT)
