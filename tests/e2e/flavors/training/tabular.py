"""Rows that models of tables are trained with: numbers with gaps, a class and an amount that follow from them."""

from __future__ import annotations

import numpy as np
import pandas as pd

NAMES = ["length", "width", "weight"]


def rows(gaps: bool, kind: str = "float64") -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    """400 rows of three numbers, with the class (0, 1 or 2) and the amount of each."""
    random = np.random.default_rng(7)
    numbers = random.normal(size=(400, 3))
    score = numbers @ [1.0, -2.0, 0.5]
    classes = pd.Series(np.digitize(score, [-1.0, 1.0]), name="class")
    if gaps:
        numbers[random.random(numbers.shape) < 0.1] = np.nan
    return pd.DataFrame(numbers.astype(kind), columns=NAMES), classes, pd.Series(score, name="amount")
