"""The array that a model is given is that of the rows, whatever the columns are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.base.matching import Feed
from inference.base.signature import TENSOR, Input
from inference.scoring.given import argument

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int16": st.integers(-(2**15), 2**15 - 1),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float32": st.floats(width=32),
    "float64": st.floats(),
    "str": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    "object": st.text(),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, int, list[list[Any]], bool, bool]:
    """NumPy's type, values a row, the rows, whether they are one column of arrays, and whether columns are arrays."""
    dtype, width = draw(st.sampled_from(sorted(VALUES))), draw(st.integers(1, 5))
    row = st.lists(VALUES[dtype], min_size=width, max_size=width)
    rows = draw(st.lists(row, min_size=1, max_size=8))
    return dtype, width, rows, draw(st.booleans()), draw(st.booleans())


@settings(deadline=None)
@given(tables())
def test_the_array_is_that_of_the_rows(table: tuple[str, int, list[list[Any]], bool, bool]) -> None:
    dtype, width, rows, nested, sent_as_numbers = table
    expected = np.array(rows, dtype)
    columns: list[Any] = [list(column) for column in zip(*rows)]
    if sent_as_numbers and dtype not in ("str", "object"):
        columns = [np.array(column, dtype) for column in columns]
    if nested:
        columns = [rows]

    seen = argument(
        columns,
        [
            Feed(
                Input("", TENSOR, dtype, True, shape=(-1, width)),
                tuple(range(len(columns))),
                tuple(map(str, range(len(columns)))),
            )
        ],
        "quarantine",
    )

    assert seen.shape == expected.shape == (len(rows), width)
    assert seen.flags.c_contiguous
    assert seen.dtype == expected.dtype
    if seen.dtype.kind in "OU":
        assert seen.tolist() == expected.tolist()
    else:
        assert seen.tobytes() == expected.tobytes()
