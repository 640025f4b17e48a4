"""Rows for a model: of mixed lengths, and with NULLs."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.e2e.flavors.entry import Entry

ROWS = 1300
NULLS = 0.04  # of the values of a column
WORDS = ["parcel", "money", "back", "thanks", "again", "é", "재설정", "☂", "a" * 30]


def rows(entry: Entry) -> list[dict[str, Any]]:
    """The values of each row by column, the same each time."""
    chance = random.Random(entry.name)
    kinds: dict[str, Callable[[random.Random], Any]] = {
        "double precision": lambda chance: chance.gauss(0, 1),
        "real": lambda chance: float(np.float32(chance.gauss(0, 1))),
        "bigint": lambda chance: chance.randrange(10**9),
        "text": lambda chance: " ".join(chance.choices(WORDS, k=chance.choice((0, 1, 3, 8, 40)))),
    }
    return [
        {name: None if chance.random() < NULLS else kinds[kind](chance) for name, kind in entry.columns.items()}
        for _ in range(ROWS)
    ]
