"""Ends the children of a process that has ended without stopping them.

The parent-death signal of Linux reaches a child, not the child's own children: Airflow's scheduler
dies of it or hangs in it, and its workers stay. So one guard per parent reads `+session` and
`-session` from the parent, and once the pipe closes, whatever the reason, ends what is left.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]

GRACE_SECONDS = 5
POLL_SECONDS = 0.1

_guards: dict[int, subprocess.Popen[bytes]] = {}  # by the pid of the parent: a fork has its own


def watch(session: int) -> None:
    """Let the guard end this session when the present process ends."""
    _tell(f"+{session}\n")


def forget(session: int) -> None:
    """The session has been ended: its number may soon be somebody else's."""
    _tell(f"-{session}\n")


def members(sessions: set[int]) -> list[int]:
    """The living processes of these sessions, whoever their parents are by now."""
    return [pid for pid in psutil.pids() if _session(pid) in sessions and not _zombie(pid)]


def kill_session(session: int) -> None:
    """kill -9 of every process in it."""
    for pid in members({session}):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _tell(line: str) -> None:
    guard = _guards.get(os.getpid())
    if guard is None:
        guard = subprocess.Popen(
            [sys.executable, "-m", "services.guard"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).parents[1],
            start_new_session=True,
        )
        _guards[os.getpid()] = guard
        atexit.register(_dismiss)
    assert guard.stdin is not None
    with suppress(BrokenPipeError):  # the guard was killed: the parent-death signal remains
        guard.stdin.write(line.encode())
        guard.stdin.flush()


def _dismiss() -> None:
    guard = _guards.pop(os.getpid(), None)
    if guard is not None and guard.stdin is not None:
        guard.stdin.close()
        guard.wait()


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _zombie(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sessions: set[int] = set()
    for line in sys.stdin:
        (sessions.add if line[0] == "+" else sessions.discard)(int(line[1:]))
    for leader in sessions:  # where there is no parent-death signal, this is the first they hear
        with suppress(ProcessLookupError):
            os.kill(leader, signal.SIGTERM)
    end = time.monotonic() + GRACE_SECONDS
    while members(sessions) and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
    for session in sessions:
        kill_session(session)


if __name__ == "__main__":
    _main()
