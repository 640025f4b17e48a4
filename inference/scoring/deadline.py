"""A model that hangs: its process is ended when one call takes too long.

The watching thread is faulthandler's. It is written in C and needs no interpreter lock, which a call may keep for ever
(a regular expression that backtracks does). It writes where each thread is, and ends the process with exit code 1.
"""

from __future__ import annotations

import faulthandler
import time

_STDERR = 2


class Deadline:
    """From each `start` on, `seconds` may pass until the next or until the block is left, and a twentieth more."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._slack = seconds / 20  # for so long one setting serves: each costs 40 us and a thread
        self._set = float("-inf")

    def start(self) -> None:
        now = time.monotonic()
        if now > self._set + self._slack:
            faulthandler.dump_traceback_later(self._seconds + self._slack, exit=True, file=_STDERR)
            self._set = now

    def __enter__(self) -> Deadline:
        return self

    def __exit__(self, *error: object) -> None:
        faulthandler.cancel_dump_traceback_later()
        self._set = float("-inf")
