"""Memory of this process, in bytes, as Linux counts it; 0 where it does not say."""

from __future__ import annotations

import ctypes
import time
from contextlib import suppress
from pathlib import Path
from typing import Optional

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
LOOK = 0.1  # seconds
LOOSE = 64 << 20  # bytes
# Of the container, where it has one: control groups version 2, and 1.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def reset_peak() -> int:
    """Start measuring the peak anew; returns what is held now."""
    with suppress(OSError):
        _CLEAR.write_text("5")
    return used()


def used() -> int:
    """What is held now."""
    return _field("VmRSS")


def limit() -> Optional[int]:
    """What the container may hold at most; None if there is no limit."""
    for path in _LIMITS:
        with suppress(OSError, ValueError):  # version 2 says "max" where there is none, version 1 a number beyond all
            return int(path.read_text())
    return None


def peak() -> int:
    """The most that was held since the last reset."""
    return _field("VmHWM")


class Heap:
    """The C library's memory, kept from growing by holes.

    A model that is called with ever new shapes leaves small blocks between large ones that are free, and glibc keeps
    those. To give them back takes milliseconds.
    """

    def __init__(self) -> None:
        self._looked, self._low = time.perf_counter(), used()

    def tidy(self) -> None:
        """Give back what is free if more is held than the last time, by `LOOSE`; looks every `LOOK` only."""
        if time.perf_counter() - self._looked < LOOK:
            return
        if used() - self._low >= LOOSE:
            with suppress(OSError, AttributeError):  # another C library than glibc
                ctypes.CDLL(None).malloc_trim(0)
            self._low = used()
        self._looked = time.perf_counter()


def _field(name: str) -> int:
    try:
        for line in _STATUS.read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
