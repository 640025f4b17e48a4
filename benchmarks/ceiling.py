"""The ceiling of whatever scores messages: the model alone, texts in memory, sorted by their tokens."""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.lap import Lap
from benchmarks.model import loaded
from benchmarks.racer import quiet
from benchmarks.workload import Workload
from inference.database import PREDICTIONS, Databases

_POOLS: dict[str, ProcessPoolExecutor] = {}


def alone(url: str, workload: Workload, batch: int, rows: int | None = None) -> Lap:
    """One process with a thread for each processor. `rows`: a sample of so many, for a grid."""
    model, data = loaded(workload), _sorted(url, workload, rows)
    started = time.monotonic()
    found = _score(model, data, batch)
    seconds = time.monotonic() - started
    assert found == len(data)
    return Lap(seconds)


def together(url: str, workload: Workload, batch: int) -> Lap:
    """A process for each processor, with one thread: batches are dealt out in turn, the dearest first."""
    data = _sorted(url, workload, None)[::-1]
    batches = [data.iloc[at : at + batch] for at in range(0, len(data), batch)]
    pool = _POOLS.get(workload.model)
    if pool is None:
        os.environ["OMP_NUM_THREADS"] = "1"
        pool = _POOLS[workload.model] = ProcessPoolExecutor(os.cpu_count(), get_context("spawn"), _ready, (workload,))
    list(pool.map(_warm, [workload] * 2 * (os.cpu_count() or 1)))
    started = time.monotonic()
    found = sum(pool.map(_one, [workload] * len(batches), batches))
    seconds = time.monotonic() - started
    assert found == len(data)
    return Lap(seconds)


def _sorted(url: str, workload: Workload, rows: int | None) -> pd.DataFrame:
    with Databases({PREDICTIONS: url}).begin(PREDICTIONS) as connection:
        frame = pd.read_sql(workload.read + (f" ORDER BY id LIMIT {rows}" if rows else ""), connection)
    data = workload.prepare(frame)
    tokens = loaded(workload).unwrap_python_model().costs(data)
    return data.iloc[np.argsort(tokens, kind="stable")]


def _score(model: Any, data: pd.DataFrame, batch: int) -> int:
    return sum(len(model.predict(data.iloc[at : at + batch])) for at in range(0, len(data), batch))


def _ready(workload: Workload) -> None:
    quiet()
    loaded(workload)


def _warm(workload: Workload) -> None:
    loaded(workload)
    time.sleep(0.5)  # so that each process gets one


def _one(workload: Workload, data: pd.DataFrame) -> int:
    return len(loaded(workload).predict(data))
