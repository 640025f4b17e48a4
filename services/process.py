"""Child processes that end with their parent, and say why they failed.

ServiceError            a server cannot be started or reached; the message quotes its log
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM, Signals
from typing import IO

import psutil  # type: ignore[import-untyped]

from services import guard

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.1
QUOTED_LINES = 15
LARGEST_LOG = 20_000_000  # bytes; one that is larger at a start is put aside, once

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
# Linux sends the parent-death signal when the *thread* that forked ends. One thread that lives as
# long as the interpreter forks all children, so that they may be started from short-lived ones.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


class ServiceError(Exception):
    """A server cannot be started or reached."""


@dataclass(frozen=True)
class Account:
    """The user that a child runs as, when root starts it."""

    uid: int
    gid: int


def identity(account: Account | None) -> tuple[int | None, int | None, list[int] | None]:
    """User, group and further groups as subprocess takes them; three None change nothing."""
    return (None, None, None) if account is None else (account.uid, account.gid, [])


class Child:
    """A running server: leader of its own session, output in `log`."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], log: Path, stop_signal: Signals) -> None:
        self.name = name
        self.log = log
        self.pid = popen.pid
        self._popen = popen
        self._stop_signal = stop_signal

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        return self._popen.poll()

    def wait(self, seconds: float) -> bool:
        """Wait for its end; False if it still runs."""
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def await_ready(self, ready: Callable[[], bool], seconds: float) -> None:
        """Ask `ready` until it says yes; ServiceError if the child ends or the time is over."""
        for _ in range(max(1, int(seconds / POLL_SECONDS))):
            if ready():
                return
            if self.wait(POLL_SECONDS):
                raise self.failure(f"ended with exit code {self.exit_code}")
        raise self.failure(f"was not ready after {seconds:.0f} s")

    def failure(self, what: str) -> ServiceError:
        return ServiceError(
            f"{self.name} {what}. The last lines of {self.log}:\n{tail(self.log)}\n"
            f"Read {self.log} for the whole story, remove the cause, and start again."
        )

    def send(self, number: Signals) -> None:
        """Send a signal to the leader, if it still runs."""
        if self.running:
            os.kill(self.pid, number)

    def stop(self, seconds: float = 20, stop_signal: Signals | None = None) -> None:
        """Ask the leader to stop, wait, then kill what is left of its family."""
        family = self._family()
        self.send(stop_signal or self._stop_signal)
        self.wait(seconds)
        self.kill(family)

    def kill(self, family: Sequence[psutil.Process] = ()) -> None:
        """kill -9 of the session, and of descendants that moved to a session of their own."""
        family = [*family, *self._family()]
        guard.kill_session(self.pid)
        for process in family:
            with suppress(psutil.NoSuchProcess):  # raised as well if its number is another's by now
                process.kill()
        self._popen.wait()
        psutil.wait_procs(family, timeout=5)
        guard.forget(self.pid)

    def _family(self) -> list[psutil.Process]:
        try:
            return list(psutil.Process(self.pid).children(recursive=True)) if self.running else []
        except psutil.NoSuchProcess:
            return []


def start(
    name: str,
    command: Sequence[str | Path],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    account: Account | None = None,
    stop_signal: Signals = SIGTERM,
) -> Child:
    """Start a command in a session of its own, its output appended to `log`.

    On Linux the child gets `stop_signal` when this process ends, however it ends.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LARGEST_LOG:
        log.replace(log.with_name(log.name + ".old"))
    parent = os.getpid()

    uid, gid, groups = identity(account)

    def spawn(output: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
            user=uid,
            group=gid,
            extra_groups=groups,
            preexec_fn=lambda: _die_with(parent, stop_signal),
        )

    with log.open("ab") as output:
        log.chmod(0o600)
        try:
            popen = _spawner.submit(spawn, output).result()
        except OSError as error:
            raise ServiceError(
                f"{name} cannot be started: {error}. Is {command[0]} installed and executable?"
            ) from error
    guard.watch(popen.pid)
    return Child(name, popen, log, stop_signal)


def tail(log: Path, lines: int = QUOTED_LINES) -> str:
    """The last lines of a log, of which only the end is read."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 20_000))
        text = file.read().decode(errors="replace")
    return "\n".join("    " + line for line in text.splitlines()[-lines:])


def _die_with(parent: int, stop_signal: Signals) -> None:
    """In the child, before exec and after the change of user, which would reset it."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, int(stop_signal))
        if os.getppid() != parent:  # it ended before it could be watched
            os._exit(1)
