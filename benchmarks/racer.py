"""A contestant in a process of its own, which keeps its imports and its model from lap to lap."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil

from benchmarks.lap import Lap
from benchmarks.worker import Worker, family

Run = Callable[..., Lap]
SAMPLE_SECONDS = 0.5  # ten looks a second took 14 % of a processor


class Racer:
    """`run(url, workload, **settings)` is called in that process; `prepare(workload)` once before, as start-up."""

    def __init__(
        self, name: str, run: Run, workload: Any, prepare: Callable[[Any], None] | None = None, **settings: Any
    ) -> None:
        self.name = name
        self.settings = settings
        self.start_up = 0.0
        self._run, self._workload, self._prepare = run, workload, prepare
        self._worker: Worker | None = None
        self._began: float | None = None

    def start(self) -> None:
        """Begin its start-up, which may go on beside that of others; the first lap waits for it."""
        if self._worker is None:
            self._worker = Worker()
            self._began = time.monotonic()
            if self._prepare is not None:
                self._worker.ask(self._prepare, self._workload)

    def wait(self) -> Worker:
        """Its process, when it is ready."""
        self.start()
        assert self._worker is not None
        if self._began is not None:
            if self._prepare is not None:
                self._worker.answer()
            self.start_up, self._began = time.monotonic() - self._began, None
        return self._worker

    def lap(self, url: str, **settings: Any) -> Lap:
        """One run, with its memory."""
        worker = self.wait()
        with Memory(worker.pid) as memory:
            worker.ask(self._run, url, self._workload, **{**self.settings, **settings})
            lap: Lap = worker.answer()
        return lap.on(memory.peak)

    def close(self) -> None:
        """End its process; a next lap starts another."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


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
            with suppress(psutil.Error):
                self.peak = max(self.peak, self._now())
            if self._over.wait(SAMPLE_SECONDS):
                return

    def _now(self) -> int:
        total = 0
        for process in family(self._pid):
            with suppress(psutil.Error):  # it has ended meanwhile
                total += process.memory_full_info().pss
        return total
