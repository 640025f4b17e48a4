"""A contestant in a process of its own, which keeps its imports and its model from lap to lap."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from typing import Any

import psutil

from benchmarks.lap import Lap

Run = Callable[..., Lap]
SAMPLE_SECONDS = 0.1


class Racer:
    """`run(url, workload, **settings)` is called in that process; `prepare(workload)` once before, as start-up."""

    def __init__(
        self, name: str, run: Run, workload: Any, prepare: Callable[[Any], Any] | None = None, **settings: Any
    ):
        self.name = name
        self.settings = settings
        self.start_up = 0.0
        self._run, self._workload, self._prepare = run, workload, prepare
        self._executor = ProcessPoolExecutor(1, get_context("spawn"), quiet)
        self._pid: int | None = None

    def lap(self, url: str, **settings: Any) -> Lap:
        """One run, with its memory."""
        pid = self._start()
        with Memory(pid) as memory:
            lap: Lap = self._executor.submit(self._run, url, self._workload, **{**self.settings, **settings}).result()
        return lap.on(memory.peak)

    def close(self) -> None:
        """End its process and whatever that has started: a pool, a JVM."""
        for process in _family(self._pid) if self._pid else []:
            with suppress(psutil.Error):
                process.kill()
        self._executor.shutdown(wait=False)

    def _start(self) -> int:
        if self._pid is None:
            started = time.monotonic()
            self._pid = self._executor.submit(os.getpid).result()
            if self._prepare is not None:
                self._executor.submit(_call, self._prepare, self._workload).result()
            self.start_up = time.monotonic() - started
        return self._pid


class Memory:
    """The most memory that a process and its descendants have had at one time: shared pages count once."""

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.peak = max(self.peak, self._now())
            if self._over.wait(SAMPLE_SECONDS):
                return

    def _now(self) -> int:
        total = 0
        for process in _family(self._pid):
            with suppress(psutil.Error):  # it has ended meanwhile
                total += process.memory_full_info().pss
        return total


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [*process.children(recursive=True), process]


def quiet() -> None:
    """Of a process of contestants: nothing but errors is said, and it ends with its parent."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")


def _call(prepare: Callable[[Any], Any], workload: Any) -> None:
    prepare(workload)  # what it returns need not travel
