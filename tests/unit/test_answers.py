"""The outcome of a row does not depend on its batch, though pandas finds a column's type by all of its rows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.answers import ANSWERS, MISSING, RETURNED, dependent

NUMBERS = {
    "integer": st.integers(-(2**40), 2**40),
    "bigint": st.integers(-(2**70), 2**70) | st.floats(),
    "real": st.floats(width=32) | st.integers(-(2**53) + 1, 2**53 - 1),
    # An integer that pandas has made a float of before it is given back is no other number than that float.
    "double precision": st.floats() | st.integers(-(2**53) + 1, 2**53 - 1),
    "jsonb": st.integers(-(2**70), 2**70) | st.floats(),
}


@pytest.mark.filterwarnings("ignore")  # pandas's own, on columns of mixed types
@pytest.mark.parametrize("kind", RETURNED)
def test_the_outcome_of_a_row_does_not_depend_on_its_batch(kind: str) -> None:
    """F2: a missing value makes floats of integers, NaN of None, and objects of all else."""
    values = st.sampled_from(RETURNED[kind] + MISSING) | NUMBERS.get(kind, st.nothing())

    @settings(max_examples=200)
    @given(st.sampled_from(sorted(ANSWERS)), st.lists(values, min_size=2, max_size=6))
    def same_in_any_batch(answer: str, batch: list[object]) -> None:
        assert dependent(answer, kind, batch) is None

    same_in_any_batch()
