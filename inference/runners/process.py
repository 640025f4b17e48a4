"""A shard's process, whatever runs it: its command line, its settings, what its end means."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from inference.base import log_lines
from inference.base.process_protocol import CALL_TIMED_OUT
from inference.errors import BY_EXIT_CODE, Interrupted, ProcessDied, RetryableError
from inference.jobs.job import Job

log = logging.getLogger(__name__)
_FROM_OUTSIDE = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def arguments(run_id: int, generation: int, shard: int) -> list[str]:
    """Of `python -m inference`."""
    return ["shard", "--run", str(run_id), "--generation", str(generation), "--shard", str(shard)]


def settings(job: Job) -> dict[str, str]:
    """Environment variables of the model's libraries, and those that the job file sets."""
    return {
        **job.model.environment.set_,
        **{name: str(job.resources.model_threads) for name in _THREADS},
        "THP_MEM_ALLOC_ENABLE": "1",  # torch: large tensors in large pages, which leave fewer holes
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": str(job.model.allow_pickle).lower(),
        "MLFLOW_DISABLE_SCHEMA_DETAILS": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **({log_lines.VARIABLE: "json"} if log_lines.is_json() else {}),
    }


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """What comes in chunks, put together again line by line."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in whole)
    if rest:
        yield rest.decode("utf-8", "replace")


def follow(output: Iterable[str]) -> str:
    """Pass a shard's output to the log line by line; returns its last error, or its last line."""
    last = error = ""
    for line in output:
        level, said = log_lines.read(line.rstrip())
        last = said or last
        if last.startswith("error: "):
            error = last.removeprefix("error: ")
        elif last.startswith(CALL_TIMED_OUT):
            error = "the model took longer than timeouts.batch for one call; where it was is in the log"
        log.log(level, "%s", said)
    return error or last


def judge(code: int, what: str, last: str) -> None:
    """Raise what an exit code says, with the shard's last words; a negative code is a signal."""
    if code == 0:
        return
    if code in BY_EXIT_CODE:
        raise BY_EXIT_CODE[code](last)
    if code == -signal.SIGKILL:
        raise RetryableError(f"{what}: its process was killed (SIGKILL): by somebody, or for want of memory. {last}")
    if code < 0:
        kind = RetryableError if -code in _FROM_OUTSIDE else ProcessDied
        raise kind(f"{what}: its process died by {signal.Signals(-code).name}. {last}")
    raise ProcessDied(f"{what}: its process ended with exit code {code}. {last}")


def interrupt() -> None:
    """For `on_sigterm`: end this task, and let nothing disturb the removal of what it started."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Interrupted("stopped by a signal; a retry goes on from the last chunk")


@contextmanager
def on_sigterm(action: Callable[[], Any]) -> Iterator[None]:
    """Call `action` when this process gets SIGTERM, which is how Airflow cancels a task."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: action())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
