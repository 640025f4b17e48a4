"""How much one call of the model gets: a fixed number of rows, or what makes it fastest, found while it scores.

The size of a batch is what its rows cost together, each as much as the dearest of them, since shorter ones are padded:
a row costs 1, or what the model's own `costs` say, such as its number of tokens.
"""

from __future__ import annotations

import math
from typing import List, Optional

from . import memory

FIRST = 4  # rows of the first size that is tried
DEFAULT = 32  # rows, where there are too few to try anything
SHARE = 0.02  # of a shard's rows that may be scored while sizes are tried
FREE, FREE_SECONDS = 512, 0.5  # or batches up to so many rows, while all that was tried took no longer
GAIN = 1.03  # faster by so much, or a size is not worth the memory of twice as many rows
CALLS, LONG = 3, 0.02  # what a size is measured by; one call is enough if it is a gain, and calls take so many seconds
STEEP, LEAP = 0.8, 4  # where so much is gained of what a larger size can gain, the next is so many times as large
DOUBT = 0.75  # the largest size, if there are too few rows to be sure of it, is kept if it is not slower than that
MISSES = 2  # sizes in a row that are no gain: a neighbour's noise may last as long as all calls of one size
SPARE = 0.8  # of the memory limit that a larger size may be expected to need
GROWTH = 128 << 20  # bytes beside the loaded model that it may be expected to need, where nothing limits it


class BatchSize:
    """Grows from half of what is known, or from `FIRST` rows, as long as that is a gain; keeps the fastest.

    `fixed`: rows, from the job file; `known`: the size that this model was fastest with on such a machine;
    `rows`: of the shard, 0 to try nothing; `most`: rows of a chunk.
    """

    def __init__(self, fixed: Optional[int], known: Optional[int], rows: int, most: int) -> None:
        self._fixed = fixed
        self._known = known or 0
        self._size = self._known  # 0 until the first cost is seen
        self._trying: Optional[int] = None if fixed is None and rows else 0  # None: not begun, 0: over
        self._allowance, self._spent = int(rows * SHARE), 0.0
        self._most = most
        self._held = self._before = memory.used()  # with the model loaded, and before the size that is tried
        self._warm = False  # the first call makes what later ones find made
        self._rates: list[float] = []  # of the size that is tried: cost a second
        self._step = 2.0  # of the size that is tried, to the one before
        # The shortest call so far. A single long one may be a hiccup: another thread or process had its turn.
        self._quickest = math.inf
        self._best, self._best_size, self._misses = 0.0, 0, 0

    @property
    def value(self) -> Optional[int]:
        """Rows if fixed, else the size found so far, if any row was scored."""
        return self._fixed or self._size or None

    def rows(self, dearest: float) -> int:
        """Of the next batch, whose dearest row costs so much."""
        if self._fixed:
            return self._fixed
        if self._trying is None:
            first = max(self._size // 2, int(dearest), 1) if self._size else int(FIRST * dearest)
            self._size = self._size or int(DEFAULT * dearest)
            self._try([first], dearest)
        elif self._trying > self._most * dearest:  # costs have fallen: no chunk fills such a batch any more
            self._trying = 0
        return max(1, int((self._trying or self._size) / dearest))

    def observe(self, rows: int, dearest: float, cost: float, seconds: float) -> None:
        """A call took so long for rows that cost so much together."""
        if not self._trying or rows < int(self._trying / dearest):  # the rest of a chunk says little
            return
        self._allowance -= rows
        self._spent += seconds
        self._quickest = min(self._quickest, seconds)
        if not self._warm:
            self._warm, self._before = True, memory.peak()
            return
        self._rates.append(cost / max(seconds, 1e-9))
        rate, size, long = max(self._rates), self._trying, self._quickest >= LONG
        gain = rate >= self._best * GAIN
        if gain:  # even if rows end before it is sure; nothing says that a larger one, if one is known, is not better
            self._size = max(self._known, size)
        sure = len(self._rates) == CALLS or (gain and long)  # hiccups slow only: a gain is one, a loss may be none
        if not sure and self._enough(rows):
            return
        # A call takes hardly longer for more rows.
        least = self._best * (1 + STEEP * (size / max(self._best_size, 1) - 1))
        steep = gain and 0 < least <= rate
        if gain:
            self._best, self._best_size, self._misses = rate, size, 0
        elif not sure and not self._misses and rate >= self._best * DOUBT:
            self._size, self._trying = size, 0
            return
        else:
            self._misses += 1
        over = self._misses > 0 and (not sure or self._misses == MISSES)
        # After a leap that is no gain, what was passed over may be one.
        steps = [0.5] if not gain and self._step == LEAP else [LEAP, 2] if steep else [2]
        steps = [] if over else [step for step in steps if self._fits(step)]
        if steps:
            self._try([int(step * size) for step in steps], dearest)
        else:
            self._size, self._trying = self._best_size, 0

    def halve(self, rows: int, dearest: float) -> None:
        """So many rows were too much for the memory."""
        if self._fixed:
            self._fixed = max(1, min(self._fixed, rows) // 2)
        else:
            self._size, self._trying = max(1, int(rows * dearest / 2)), 0

    def _try(self, sizes: List[int], dearest: float) -> None:
        """Measure the first of these sizes next that enough rows are left for, if any."""
        rows = {size: int(size / dearest) for size in sizes}
        found = next((size for size in sizes if rows[size] <= self._most and self._enough(rows[size])), 0)
        self._step = found / self._trying if self._trying else 2.0
        self._trying, self._rates, self._before = found, [], memory.peak()

    def _enough(self, rows: int) -> bool:
        """Whether so many rows may be tried on."""
        return rows <= self._allowance or (rows <= FREE and self._spent < FREE_SECONDS)

    def _fits(self, step: float) -> bool:
        """Whether there is room for a size so many times as large: each row should add what one of this size has."""
        now, limit = memory.peak(), memory.limit()
        expected = now + (now - self._before) * (step - 1) / (1 - 1 / self._step)
        return expected - self._held <= GROWTH and (limit is None or expected < SPARE * limit)
