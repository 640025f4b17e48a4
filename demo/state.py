"""The folder `.state`, and the lock that lets one demo at a time use it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

REPOSITORY = Path(__file__).parents[1]
FOLDER = REPOSITORY / ".state"
STOP_SECONDS = 60


class DemoError(Exception):
    """The demo cannot go on; the message says what happened and what to do."""


class Lock:
    """Held by a running demo. The system gives it back however its holder ends."""

    def __init__(self, folder: Path = FOLDER) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(folder / "demo.lock")
        self._pid_file = folder / "demo.pid"

    def acquire(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise DemoError(
                f"the demo is running already{self._who()}. Look at its terminal for the "
                "addresses, or stop it: make demo-down"
            ) from None
        self._pid_file.write_text(str(os.getpid()))

    def release(self) -> None:
        self._pid_file.unlink(missing_ok=True)
        self._lock.release()

    def is_held(self) -> bool:
        """Whether a demo is running."""
        with suppress(Timeout):
            self._lock.acquire(timeout=0)
            self._lock.release()
            return False
        return True

    def stop_holder(self) -> None:
        """Ask the running demo to stop, and wait until it has; DemoError if it does not."""
        pid = int(self._pid_file.read_text())
        os.kill(pid, signal.SIGTERM)
        with suppress(Timeout):
            self._lock.acquire(timeout=STOP_SECONDS)
            self._lock.release()
            return
        raise DemoError(
            f"the demo (process {pid}) did not stop within {STOP_SECONDS} s: kill -9 {pid} ends "
            "it, and what it started ends with it; nothing that was published is lost."
        )

    def _who(self) -> str:
        with suppress(OSError):
            return f" (process {self._pid_file.read_text()})"
        return ""
