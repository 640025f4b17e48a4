"""What a model may answer with for each type of output, and whether a row's outcome depends on its batch."""

from __future__ import annotations

import datetime
import math
from typing import Any, Optional

import numpy as np
import pandas as pd

from inference.base.bisect import bisect
from inference.base.matching import Feed
from inference.base.outputs import Output
from inference.base.signature import Input
from inference.scoring.copy_text import BadOutput, encoder
from inference.scoring.predict import Contract, call
from inference.scoring.rows import Rows

KST = datetime.timezone(datetime.timedelta(hours=9))
MISSING = [None, math.nan, pd.NA]
RETURNED: dict[str, list[Any]] = {
    "boolean": [True, False, np.bool_(True), 0.5, "x"],
    "integer": [7, -1, np.int64(3), 7.0, 7.5, 2**31, "x", math.inf],
    "bigint": [7, 2**53 + 1, 2**60, -(2**63), 2**63, 2**70, 7.5, 1e300, "x", True],
    "real": [0.5, np.float32(0.1), 3, 0.1, "x", math.inf],
    "double precision": [0.1, 3, math.inf, np.float32(0.1), True, "x", 1e300],
    "text": ["a", "", "nan", 5, "\0", b"x"],
    "bytea": [b"", b"\x00", "x"],
    "timestamp": [datetime.datetime(2024, 1, 1), pd.Timestamp("2024-01-02"), datetime.date(2024, 1, 1), "x", pd.NaT,
                  datetime.datetime(2024, 1, 1, tzinfo=KST)],
    "jsonb": [{"a": 1}, [1, None], "x", 1, 2.5, True, 2**53 + 1, [0.5], {}],
    "text[]": [["a", None], [], "x", [1]],
    "bigint[]": [[1, None], np.array([1, 2]), np.array([1.0, math.nan]), [2**60], [7.5], []],
    "double precision[]": [[0.5, None], np.array([0.5, math.nan]), [1], ["x"]],
}  # fmt: skip
ANSWERS = {
    "frame": lambda values: pd.DataFrame({"y": values}),
    "series": pd.Series,
    "dict": lambda values: {"y": values},
    "list": list,
    "tuple": tuple,
    "records": lambda values: [{"y": value} for value in values],
    "records with other keys": lambda values: [{"y": value, 1: 0} for value in values],
    "array of objects": lambda values: pd.Series(values, dtype=object).to_numpy(),
    "column of objects": lambda values: pd.Series(values, dtype=object).to_numpy().reshape(-1, 1),
    "objects": lambda values: pd.Series(values, dtype=object),
}


class Returning:
    """Answers with what stands in the rows."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def predict(self, data: pd.DataFrame) -> Any:
        return self.answer(data["x"].tolist())


def answered(answer: Any, kind: str, values: list[Any]) -> list[Optional[str]]:
    """What becomes of each row: its text in COPY, or that it is refused."""
    objects = np.empty(len(values), object)
    objects[:] = [None] * len(values)
    for number, value in enumerate(values):
        objects[number] = value
    contract = Contract([Feed(Input("x", "string", "object", False), (0,), ("x",))], [Output("y", kind, False)])
    encode = encoder(kind)
    rows = Rows(np.arange(len(values)), None, [list(objects)])
    found: list[Optional[str]] = []
    for part, result in bisect(rows, lambda part: call(Returning(answer), part.columns, contract), (Exception,)):
        returned = [result] if isinstance(result, BaseException) else list(result[0])
        for value in returned if not isinstance(result, BaseException) else [None] * len(part):
            try:
                found.append("refused" if isinstance(result, BaseException) else encode(value))
            except BadOutput:
                found.append("refused")
    return found


def dependent(answer: str, kind: str, values: list[Any]) -> Optional[str]:
    """What depends on the batch, if anything does."""
    together = answered(ANSWERS[answer], kind, values)
    alone = [answered(ANSWERS[answer], kind, [value])[0] for value in values]
    return None if together == alone else f"{kind} as {answer}: {values!r} gives {together}, alone {alone}"
