"""The outcome of a row does not depend on its batch, though pandas finds a column's type by all of its rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pydantic
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from inference.base.matching import Feed
from inference.base.outputs import Output, named
from inference.base.signature import Input
from inference.scoring.copy_text import BadKind, BadOutput, BadShape, encoder
from inference.scoring.predict import Contract, call
from tests.answers import ANSWERS, MISSING, RETURNED, dependent

NUMBERS = {
    "integer": st.integers(-(2**40), 2**40),
    "bigint": st.integers(-(2**70), 2**70) | st.floats(),
    "real": st.floats(width=32) | st.integers(-(2**53) + 1, 2**53 - 1),
    # An integer that pandas has made a float of before it is given back is no other number than that float.
    "double precision": st.floats() | st.integers(-(2**53) + 1, 2**53 - 1),
    "jsonb": st.integers(-(2**70), 2**70) | st.floats(),
}

FEED = Feed(Input("x", "double", "float64", True), (0,), ("x",))


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

    (values,) = call(Model(), [[0.5, 1.5, 2.5]], Contract([FEED], [Output("y", kind, True)]))
    return list(map(encoder(kind), list(values)))


def columns(answer: Any, outputs: Sequence[Output], rows: int = 3) -> list[list[str | None]]:
    """What is written for an answer, by column; `refused` for what is not."""

    class Model:
        def predict(self, data: pd.DataFrame) -> Any:
            return answer

    found = call(Model(), [[0.5] * rows], Contract([FEED], outputs))
    return [[written(value, item.type) for value in values] for values, item in zip(found, outputs, strict=True)]


def written(value: Any, kind: str) -> str | None:
    try:
        return encoder(kind)(value)
    except BadOutput:
        return "refused"


NUMBER, WORD = Output("score", "double precision", True), Output("label", "text", True)
LENIENT = (Output("score", "double precision", False), Output("label", "text", False))
NAMED = tuple(Output(name, "double precision", True, part_of="prediction") for name in "abc")
ARRAY = Output("prediction", "double precision[]", True, 3)
BOXES = [{"score": 0.5, "label": "x"}, {"score": 1.5, "label": "y"}, {"score": 2.5, "label": "z"}]
AS_COLUMNS = [["0.5", "1.5", "2.5"], ["x", "y", "z"]]
MATRIX = np.arange(9.0).reshape(3, 3)
PLACES = [["0.0", "3.0", "6.0"], ["1.0", "4.0", "7.0"], ["2.0", "5.0", "8.0"]]
ROWS = ['{"0.0","1.0","2.0"}', '{"3.0","4.0","5.0"}', '{"6.0","7.0","8.0"}']


class Prediction(pydantic.BaseModel):
    score: float
    label: str


@pytest.mark.parametrize(
    "answer",
    [
        BOXES, tuple(BOXES), pd.Series(BOXES), np.array(BOXES, object), pd.DataFrame(BOXES),
        [{**box, "more": 1} for box in BOXES], [Prediction(**box) for box in BOXES],
        {"label": ["x", "y", "z"], "score": np.array([[0.5], [1.5], [2.5]])},
        {"label": ("x", "y", "z"), "score": torch.tensor([0.5, 1.5, 2.5])},
    ],
    ids=lambda answer: type(answer).__name__,
)  # fmt: skip
def test_a_dict_for_each_row_is_a_frame(answer: Any) -> None:
    """F14."""
    assert columns(answer, (NUMBER, WORD)) == AS_COLUMNS


def test_a_dict_with_one_key_is_its_value_but_in_a_column_of_json() -> None:
    """F14."""
    answer = [{"label": "x"}, {"label": None}, {"label": "z", "more": 1}]

    assert columns(answer, (WORD,)) == [["x", None, "z"]]
    assert columns([{"label": "x"}] * 3, (Output("prediction", "text", True),)) == [["x"] * 3]
    assert columns(answer, (Output("label", "jsonb", True),)) == [list(map(json.dumps, answer))]
    assert columns([Prediction(score=1, label="x")] * 3, (Output("prediction", "jsonb", True),)) == [
        ['{"score": 1.0, "label": "x"}'] * 3
    ]


def test_keys_that_differ_by_row_are_judged_by_row() -> None:
    """F14: a key that lacks is a missing value where the signature allows one, and else costs its row."""
    answer = [{"score": 0.5, "label": "x"}, {"label": "y"}, {}, {"other": 1}, None, 5, {"score": 1.5, "label": None}]

    refused = "refused"
    assert columns(answer, LENIENT, 7) == [
        ["0.5", "NaN", "NaN", refused, refused, refused, "1.5"],
        ["x", "y", None, refused, refused, refused, None],
    ]
    assert columns(answer, (NUMBER, WORD), 7)[0] == ["0.5", *[refused] * 5, "1.5"]
    assert columns([{1: 0.5, "1": 0.5}], (Output("1", "real", True),), 1) == [[refused]]


@pytest.mark.parametrize("labels", [[1, 2], [True, False], list(np.array([1, 2])), [0, 1]])
def test_labels_of_classes_are_matched_as_text(labels: list[Any]) -> None:
    """F15."""
    outputs = [Output(str(label), "double precision", True) for label in labels]
    frame = pd.DataFrame(MATRIX[:, :2], columns=labels)

    assert columns(frame, outputs) == columns(frame.iloc[:, ::-1], outputs) == PLACES[:2]
    assert columns(frame.to_dict("records"), outputs) == columns(frame.to_dict("list"), outputs) == PLACES[:2]
    with pytest.raises(BadShape, match=r"its signature says \['3'\]$"):
        columns(frame.iloc[:, :1], [Output("3", "double precision", True)])


FORMS = {
    "array": MATRIX,
    "list": MATRIX.tolist(),
    "list of arrays": list(MATRIX),
    "tensor": torch.tensor(MATRIX, requires_grad=True),
    "frame": pd.DataFrame(MATRIX),
    "sparse frame": pd.DataFrame.sparse.from_spmatrix(sparse.csr_matrix(MATRIX)),
    "sparse": sparse.csr_matrix(MATRIX),
    "sparse array": sparse.coo_array(MATRIX),
    "matrix": np.matrix(MATRIX),
    "one entry": {"output": MATRIX},
    "one tensor": {"output": torch.tensor(MATRIX)},
    "series": pd.Series(list(MATRIX)),
}


@pytest.mark.parametrize("form", FORMS)
def test_arrays_are_a_column_or_the_columns_that_the_job_names(form: str) -> None:
    """R2."""
    assert columns(FORMS[form], (ARRAY,)) == columns(FORMS[form], (replace(ARRAY, width=None),)) == [ROWS]
    assert columns(FORMS[form], named((ARRAY,), ["all"], "m")) == [ROWS]
    assert columns(FORMS[form], NAMED) == PLACES


def test_a_frame_with_the_names_of_the_job_is_taken_by_them() -> None:
    assert columns(pd.DataFrame(MATRIX, columns=list("abc"))[list("cab")], NAMED) == PLACES


@pytest.mark.parametrize(
    ("outputs", "frame"),
    [
        ((replace(ARRAY, width=2),), pd.DataFrame(MATRIX)),
        (NAMED[:2], pd.DataFrame(MATRIX)),
        ((ARRAY,), pd.DataFrame(MATRIX, columns=[1, 2, 3])),
        ((NUMBER,), pd.DataFrame(MATRIX)),
    ],
)
def test_a_frame_with_other_columns_is_no_array(outputs: tuple[Output, ...], frame: pd.DataFrame) -> None:
    with pytest.raises(BadShape, match=r"^the model returned columns \['[01]', '[12]', '[23]'\], its signature says"):
        columns(frame, outputs)


def test_columns_of_a_frame_keep_their_own_numbers_in_arrays() -> None:
    frame = pd.DataFrame({0: [2**60 + 1, 2], 1: [0.5, 1.5]})

    assert columns(frame, (Output("prediction", "bigint[]", True, 2),), 2) == [["refused", "refused"]]
    frame[1] = np.array([3, 4], np.int8)
    assert columns(frame, (Output("prediction", "bigint[]", True, 2),), 2) == [[f'{{"{2**60 + 1}","3"}}', '{"2","4"}']]


SINGLE = {
    "(n,)": MATRIX[:, 0],
    "(n, 1)": MATRIX[:, :1],
    "masked": np.ma.array(MATRIX[:, :1]),
    "tensor": torch.tensor(MATRIX[:, :1]),
    "sparse": sparse.csc_array(MATRIX[:, :1]),
    "entry": {"output": MATRIX[:, :1]},
    "extension": pd.array(MATRIX[:, 0]),
    "categories": pd.Categorical(MATRIX[:, 0]),
    "sparse values": pd.arrays.SparseArray(MATRIX[:, 0]),
}


@pytest.mark.parametrize("form", SINGLE)
def test_one_value_for_each_row_is_a_scalar(form: str) -> None:
    assert columns(SINGLE[form], (Output("prediction", "double precision", True, 1),)) == PLACES[:1]


def test_what_is_masked_or_missing_is_missing_in_each_form() -> None:
    masked = np.ma.array(MATRIX, mask=np.eye(3))

    assert columns(masked, (ARRAY,))[0][0] == '{NULL,"1.0","2.0"}'
    assert [column[number] for number, column in enumerate(columns(masked, NAMED))] == ["NaN"] * 3
    assert columns([[1.0, 2.0, 3.0], None], NAMED, 2) == [["1.0", "NaN"], ["2.0", "NaN"], ["3.0", "NaN"]]
    assert columns(pd.array([1, None, 3], "Int64"), (Output("y", "bigint", True),)) == [["1", None, "3"]]


def test_rows_of_another_width_than_the_names_are_refused() -> None:
    with pytest.raises(BadShape, match=r"returned 2 values for each row, and model\.outputs names 3$"):
        columns(MATRIX[:, :2], NAMED)
    ragged = [[1.0, 2.0, 3.0], [1.0], 5]
    assert columns(ragged, NAMED) == [[number, "refused", "refused"] for number in ("1.0", "2.0", "3.0")]


class Table:
    """Of another library."""

    def __array__(self) -> None: ...


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (torch.ones(3, dtype=torch.bfloat16), BadKind, "returned Tensor, which NumPy cannot hold: .*BFloat16"),
        (torch.ones(3, 1).to_sparse(), BadKind, "returned Tensor, which NumPy cannot hold"),
        (Table(), BadKind, r"returned Table, its signature says columns \['score'\]"),
        ({"score": Table()}, BadKind, r"returned Table, its signature says columns \['score'\]"),
        ({"score": 0.5}, BadShape, r"returned float, its signature says columns \['score'\]"),
        (np.float64(1), BadShape, r"returned float64, its signature"),
        (np.array(1.0), BadShape, r"array of float64 and shape \(\), which has no rows"),
        (np.zeros(3, [("score", "f8")]), BadShape, "which has no rows"),
        (None, BadShape, "returned NoneType"),
        (Prediction(score=1, label="x"), BadShape, "returned Prediction"),
    ],
)
def test_what_has_no_rows_is_refused_as_what_it_is(answer: Any, kind: type[BadShape], message: str) -> None:
    """R2."""
    with pytest.raises(BadShape, match=message) as caught:
        columns(answer, (NUMBER,))
    assert type(caught.value) is kind


RECORD = st.fixed_dictionaries(
    {}, optional={"score": st.sampled_from([0.5, 3, 2**53 + 1, None, "x"]), "label": st.sampled_from(["x", None, 5]),
                  "other": st.just(1)}
)  # fmt: skip
LISTS = st.lists(st.sampled_from([0.5, 3, None, "x"]), min_size=2, max_size=4)


@settings(max_examples=300)
@given(
    st.one_of(
        st.tuples(st.just(LENIENT), st.lists(RECORD | st.sampled_from([None, 5]), min_size=2, max_size=5)),
        st.tuples(st.just((NUMBER, WORD)), st.lists(RECORD, min_size=2, max_size=5)),
        st.tuples(st.just((NUMBER,)), st.lists(RECORD | st.sampled_from([None, 5]), min_size=2, max_size=5)),
        st.tuples(st.just(LENIENT[:1]), st.lists(RECORD, min_size=2, max_size=5)),
        st.tuples(st.just(NAMED), st.lists(LISTS | st.sampled_from([None, 5]), min_size=2, max_size=5)),
    )
)
def test_what_becomes_of_a_dict_or_a_list_does_not_depend_on_its_batch(
    drawn: tuple[tuple[Output, ...], list[Any]],
) -> None:
    """F14: not on which keys its neighbours have, either."""
    outputs, answer = drawn
    together = list(zip(*columns(answer, outputs, len(answer)), strict=True))

    assert together == [tuple(value for (value,) in columns([row], outputs, 1)) for row in answer]


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
