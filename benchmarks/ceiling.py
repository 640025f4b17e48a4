"""The ceiling of whatever scores messages: the model alone, texts in memory, sorted by their tokens."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmarks.lap import Lap
from benchmarks.model import load, loaded
from benchmarks.worker import Worker
from benchmarks.workload import Workload
from inference.base.database import PREDICTIONS, Databases

_WORKERS: list[Worker] = []


def alone(url: str, workload: Workload, batch: int) -> Lap:
    """One process with a thread for each processor."""
    data = _sorted(url, workload)
    started = time.monotonic()
    found = _all(workload, [data.iloc[at : at + batch] for at in range(0, len(data), batch)])
    seconds = time.monotonic() - started
    assert found == len(data)
    return Lap(seconds)


def start(workload: Workload) -> None:
    """Processes for `together`, each with the model and one thread."""
    _WORKERS.extend(Worker("fork") for _ in range(os.cpu_count() or 1))
    for worker in _WORKERS:
        worker.ask(_load, workload)
    for worker in _WORKERS:
        worker.answer()


def together(url: str, workload: Workload, batch: int) -> Lap:
    """A process for each processor, with one thread: batches are dealt out in turn."""
    _WORKERS[0].ask(_sorted, url, workload)
    data = _WORKERS[0].answer()
    batches = [data.iloc[at : at + batch] for at in range(0, len(data), batch)]
    started = time.monotonic()
    for number, worker in enumerate(_WORKERS):
        worker.ask(_all, workload, batches[number :: len(_WORKERS)])
    found = sum(worker.answer() for worker in _WORKERS)
    seconds = time.monotonic() - started
    assert found == len(data)
    return Lap(seconds)


def _load(workload: Workload) -> None:
    import torch

    torch.set_num_threads(1)
    load(workload)


def _sorted(url: str, workload: Workload) -> pd.DataFrame:
    with Databases({PREDICTIONS: url}).begin(PREDICTIONS) as connection:
        frame = pd.read_sql(workload.read, connection)
    data = workload.prepare(frame)
    tokens = loaded(workload).unwrap_python_model().costs(data)
    return data.iloc[np.argsort(tokens, kind="stable")]


def _all(workload: Workload, batches: Sequence[pd.DataFrame]) -> int:
    return sum(len(loaded(workload).predict(batch)) for batch in batches)
