"""A limit of rows a second, for sources that others need more."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """`rows_per_second` on average; time in which nothing was read is not made up for. `inf`: no limit."""

    def __init__(self, rows_per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rows_per_second = rows_per_second
        self._clock = clock
        self._due = float("-inf")

    def after(self, rows: int) -> float:
        """Seconds to wait after reading `rows`."""
        now = self._clock()
        self._due = max(self._due, now) + rows / self._rows_per_second
        return self._due - now
