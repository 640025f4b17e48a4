"""A shard's progress in its log: rows, rows per second, time left; few lines, since each costs time."""

from __future__ import annotations

import logging
import time

from ..scoring.rows import Scored
from .attempt import Shard

log = logging.getLogger(__name__)

EVERY = 10.0  # seconds between lines


class Progress:
    """Counts what was committed. `started` and `held`, the memory of this process, are of when the model was loaded."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._total = shard.last - shard.cursor
        self.begin(0)
        self._rows = self._quarantined = self._calls = 0

    def begin(self, held: int) -> None:
        """The model is loaded."""
        self.started = self._said = time.monotonic()
        self.held = held

    def advance(self, scored: Scored) -> None:
        self._rows += len(scored)
        self._calls += scored.calls
        self._quarantined += sum(item.outcome == "quarantined" for item in scored.lost)
        now = time.monotonic()
        if now - self._said >= EVERY:
            self._said = now
            rate = self._rows / (now - self.started)
            left = (self._total - self._rows) / rate
            log.info("%s: %d of %d rows, %.0f rows/s, %.0f s left", self._shard, self._rows, self._total, rate, left)

    def end(self, peak: int) -> None:
        seconds = max(time.monotonic() - self.started, 1e-6)
        log.info(
            "%s: %d of %d rows in %.1f s (%.0f rows/s), %d calls of the model, %d quarantined; memory %d MiB with the "
            "model loaded, %d MiB at most",
            self._shard, self._rows, self._total, seconds, self._rows / seconds, self._calls, self._quarantined,
            self.held >> 20, peak >> 20,
        )  # fmt: skip
