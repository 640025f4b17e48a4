"""A process that does what it is asked over a pipe, and keeps what it has loaded."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import forkserver, get_context
from multiprocessing.connection import Connection
from typing import Any

import psutil

_method = "spawn"


def fork_from(modules: Sequence[str]) -> None:
    """From now on, workers are forks of one process that imports these; it begins with that at once.

    What they import is then no start-up of theirs, and partly in memory that they share.
    """
    global _method
    _method = "forkserver"
    forkserver.set_forkserver_preload(list(modules))
    forkserver.ensure_running()


class Worker:
    """Started anew (spawn), so that it shares nothing with this process, unless `method` or `fork_from` says other."""

    def __init__(self, method: str | None = None) -> None:
        context: Any = get_context(method or _method)
        self._pipe, far = context.Pipe()
        self._process = context.Process(target=_serve, args=(far,))
        self._process.start()
        far.close()

    @property
    def pid(self) -> int:
        return int(self._process.pid or 0)

    def ask(self, function: Callable[..., Any], *arguments: Any, **settings: Any) -> None:
        """Begin `function`, which both sides can import; `answer` waits for it."""
        self._pipe.send((function, arguments, settings))

    def answer(self) -> Any:
        """What the function returned; RuntimeError with its stack trace if it raised."""
        found, error = self._pipe.recv()
        if error is not None:
            raise RuntimeError(error)
        return found

    def close(self) -> None:
        """End it and whatever it has started: other workers, Ray, a JVM."""
        with suppress(psutil.Error):
            for process in family(self.pid):
                process.kill()
        self._process.join()


def family(pid: int) -> list[psutil.Process]:
    """A process and its descendants."""
    process = psutil.Process(pid)
    return [*process.children(recursive=True), process]


def _serve(pipe: Connection) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # it ends with its parent
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    while True:
        function, arguments, settings = pipe.recv()
        try:
            pipe.send((function(*arguments, **settings), None))
        except Exception:
            pipe.send((None, f"process {os.getpid()}: {traceback.format_exc()}"))
