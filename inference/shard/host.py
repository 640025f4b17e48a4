"""What machine this is: what a shard's row says about where it ran."""

from __future__ import annotations

import os
import platform
import socket
from pathlib import Path

_CPUS = Path("/proc/cpuinfo")


def name() -> str:
    return socket.gethostname()


def kind() -> str:
    """Machines of one kind run a model equally fast: the processor and the threads that the model may use."""
    return f"{_processor()}, {os.environ.get('OMP_NUM_THREADS', 'all')} threads"


def _processor() -> str:
    try:
        lines = _CPUS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, None) or platform.machine()
