"""The outcome of a row does not depend on its batch, though pandas finds a column's type by all of its rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from inference.base.signature import Input, Output
from inference.scoring.copy_text import BadOutput, BadShape, encoder
from inference.scoring.predict import call
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


def column(answer: Any, kind: str) -> list[str | None]:
    """What is written for an answer of three rows."""

    class Model:
        def predict(self, data: pd.DataFrame) -> Any:
            return answer

    (values,) = call(Model(), [[0.5, 1.5, 2.5]], [Input("x", "double", "float64", True)], [Output("y", kind, True)])
    return list(map(encoder(kind), list(values)))


@pytest.mark.parametrize("kind", [*sorted(RETURNED), "real[]"])
@pytest.mark.parametrize(
    "answer",
    [
        sparse.csr_matrix(np.ones((3, 1))), sparse.csc_array(np.ones((3, 2))), sparse.coo_array(np.ones((3, 1))),
        torch.ones(3), torch.ones(3, dtype=torch.int64), torch.ones(3, 2), torch.ones(3, dtype=torch.bool),
    ],
    ids=lambda answer: f"{type(answer).__name__} {tuple(answer.shape)}",
)  # fmt: skip
def test_a_sparse_matrix_and_a_tensor_are_refused_as_what_they_are(answer: Any, kind: str) -> None:
    """R2. The same for every type of output: neither is taken for a list of rows."""
    with pytest.raises(BadShape, match=rf"^the model returned {type(answer).__name__}, its signature says columns"):
        column(answer, kind)


@pytest.mark.parametrize("kind", sorted(RETURNED))
@pytest.mark.parametrize("value", [torch.tensor(1.0), torch.tensor(1), torch.tensor([1.0])])
@pytest.mark.parametrize("wrapped", [list, lambda values: pd.DataFrame({"y": values})])
def test_tensors_in_a_list_or_a_frame_are_refused_as_well(kind: str, value: Any, wrapped: Callable[..., Any]) -> None:
    """R2."""
    with pytest.raises(BadOutput, match=r"^the model returned .*tensor\("):
        column(wrapped([value] * 3), kind)


@pytest.mark.parametrize("kind", sorted(RETURNED))
def test_a_longdouble_is_refused_in_words(kind: str) -> None:
    """R2's kind: in JSON it was called a recursion that is too deep."""
    with pytest.raises(BadOutput, match=r"^the model returned .*longdouble"):
        column([np.longdouble("0.1")] * 3, kind)


@pytest.mark.parametrize("value", [np.datetime64("2024-01-01", "ns"), np.timedelta64(1, "s")])
def test_moments_of_numpy_are_no_numbers_of_json(value: Any) -> None:
    """R2's kind: those of nanoseconds became integers."""
    with pytest.raises(BadOutput, match=r"which is no JSON: a value of type (datetime|timedelta)64"):
        column([{"at": value}] * 3, "jsonb")


@pytest.mark.parametrize(
    ("dtype", "values", "kind", "written"),
    [
        (np.uint8, [0, 200, 255], "integer", ["0", "200", "255"]),
        (np.uint8, [0, 200, 255], "bigint", ["0", "200", "255"]),
        (np.uint8, [0, 200, 255], "double precision", ["0.0", "200.0", "255.0"]),
        (np.int8, [-128, 0, 127], "integer", ["-128", "0", "127"]),
        (np.uint64, [0, 1, 2**63 - 1], "bigint", ["0", "1", str(2**63 - 1)]),
        (np.float16, [0.1, 0.5, 65504], "real", ["0.0999755859375", "0.5", "65504.0"]),
        (np.float16, [0.1, 0.5, 65504], "double precision", ["0.0999755859375", "0.5", "65504.0"]),
        (np.uint8, [[1, 2], [3, 4], [5, 6]], "bigint[]", ['{"1","2"}', '{"3","4"}', '{"5","6"}']),
        (np.float16, [[0.5], [1.5], [2.5]], "real[]", ['{"0.5"}', '{"1.5"}', '{"2.5"}']),
    ],
)
def test_small_numbers_are_written_exactly_where_the_signature_has_a_wider_type(
    dtype: Any, values: list[Any], kind: str, written: list[str]
) -> None:
    """R2. `uint8` and `float16` themselves are refused at plan: see `test_signature.py`."""
    assert column(np.array(values, dtype), kind) == written


@pytest.mark.parametrize(
    ("dtype", "kind"), [(np.uint8, "boolean"), (np.uint8, "text"), (np.float16, "integer"), (np.float16, "bytea")]
)
def test_small_numbers_are_refused_where_they_are_none(dtype: Any, kind: str) -> None:
    """R2."""
    with pytest.raises(BadOutput, match=rf"where its signature says {kind}$"):
        column(np.array([0.5, 2, 3]).astype(dtype), kind)
