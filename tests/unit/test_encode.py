"""Values of a model as COPY text; what does not fit is refused with a message that names it."""

from __future__ import annotations

import contextlib
import datetime
import json
import math
import re
import struct
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.base.outputs import Output
from inference.scoring.answers import columns_of, typed
from inference.scoring.copy_text import BadOutput, encoder, escape

UTC = datetime.timezone.utc
KST = datetime.timezone(datetime.timedelta(hours=9))
FITS: list[tuple[str, Any, str | None]] = [
    ("boolean", True, "t"),
    ("boolean", np.bool_(False), "f"),
    ("integer", np.int64(-(2**31)), "-2147483648"),
    ("bigint", 2**63 - 1, "9223372036854775807"),
    ("integer", 7.0, "7"),
    ("bigint", np.float64(1 - 2**53), "-9007199254740991"),
    ("bigint", math.nan, None),
    ("boolean", 1.0, "t"),
    ("boolean", np.float32("nan"), None),
    ("jsonb", 7.0, "7"),
    ("jsonb", 0.5, "0.5"),
    ("jsonb", math.nan, None),
    ("bigint[]", np.array([7, math.nan]), '{"7",NULL}'),
    ("real", 0.5, "0.5"),
    ("real", np.float32(0.1), "0.10000000149011612"),
    ("real", math.inf, "Infinity"),
    ("double precision", 0.1, "0.1"),
    ("double precision", math.nan, "NaN"),
    ("double precision", -math.inf, "-Infinity"),
    ("double precision", 3, "3.0"),
    ("double precision", np.float32(0.25), "0.25"),
    ("text", "한국\ttab\\", "한국\ttab\\"),
    ("text", "", ""),
    ("text", math.nan, None),
    ("bytea", b"\x00\xff", "\\x00ff"),
    ("timestamp", datetime.datetime(2024, 1, 2, 3, 4, 5, 6), "2024-01-02 03:04:05.000006"),
    ("timestamp", datetime.datetime(2024, 1, 2, 3, tzinfo=KST), "2024-01-01 18:00:00"),
    ("timestamp", pd.Timestamp("2024-01-02"), "2024-01-02 00:00:00"),
    ("timestamp", np.datetime64("2024-01-02T03"), "2024-01-02 03:00:00"),
    ("timestamp", np.datetime64("NaT"), None),
    ("timestamp", datetime.date(2024, 1, 2), "2024-01-02 00:00:00"),
    ("jsonb", {"a": [1, None, np.float64(0.5)]}, '{"a": [1, null, 0.5]}'),
    ("jsonb", "\\u0000", '"\\\\u0000"'),
    ("jsonb", "😀", '"\\ud83d\\ude00"'),
    ("text[]", ["a", None, 'b"\\'], '{"a",NULL,"b\\"\\\\"}'),
    ("double precision[]", np.array([0.5, math.nan]), '{"0.5","NaN"}'),
    ("bigint[]", [], "{}"),
    ("bytea[]", [b"\x01"], '{"\\\\x01"}'),
]
BAD: list[tuple[str, Any, str]] = [
    ("boolean", 1, "int '1' where its signature says boolean"),
    ("integer", 2**31, "2147483648, which is out of range for integer"),
    ("bigint", -(2**63) - 1, "out of range for bigint"),
    ("integer", 7.5, "float '7.5' where its signature says integer"),
    ("bigint", math.inf, "float 'inf' where its signature says bigint"),
    ("bigint", 2.0**53, "9007199254740992.0 in floating point .* digits may be lost from 9007199254740992 on"),
    ("bigint", np.float32(2**24), "digits may be lost from 16777216 on"),
    ("boolean", 0.5, "float '0.5' where its signature says boolean"),
    ("integer", True, "bool 'True'"),
    ("integer", "1", "str '1'"),
    ("real", 0.1, "0.1 in double precision where its signature says float"),
    ("real", 1e300, "1e[+]300 in double precision"),
    ("double precision", "0.5", "str '0.5'"),
    ("double precision", True, "bool"),
    ("double precision", 10**400, "out of range for double precision"),
    ("text", 5, "int '5' where its signature says text"),
    ("text", b"a", "bytes"),
    ("text", "a\0b", "NUL character"),
    ("text", "\udc00", "half of a surrogate pair"),
    ("bytea", "text", "str 'text' where its signature says bytea"),
    ("timestamp", 5, "int '5' where its signature says timestamp"),
    ("timestamp", "2024-01-01", "str '2024-01-01' where its signature says timestamp"),
    ("jsonb", {"a": math.nan}, "is no JSON"),
    ("jsonb", {"a": {1, 2}}, "is no JSON"),
    ("jsonb", ["a\0"], "NUL character"),
    ("jsonb", {"k\ud800": 1}, "half of a surrogate pair"),
    ("double precision", 2**53 + 1, "int 9007199254740993, which double precision cannot hold exactly"),
    ("double precision", np.longdouble("0.1"), "longdouble 0.1, which double precision cannot hold exactly"),
    ("timestamp", pd.Timestamp("2024-01-01 00:00:00.123456789"), "Postgres holds microseconds: round it in the model"),
    ("jsonb", {"a": [{1: "x", "1": "y"}]}, r"a key twice, as text: \['1', '1'\]"),
    ("text[]", "abc", "str 'abc' where its signature says text"),
    ("text[]", ["a", 1], "int '1'"),
    ("bigint[]", [2**63], "out of range"),
]


@pytest.mark.parametrize(("kind", "value", "wanted"), FITS)
def test_a_value_becomes_the_text_that_postgres_reads(kind: str, value: Any, wanted: str | None) -> None:
    assert encoder(kind)(value) == wanted


@pytest.mark.parametrize(("kind", "value", "wanted"), BAD)
def test_a_value_that_does_not_fit_is_refused_and_named(kind: str, value: Any, wanted: str) -> None:
    with pytest.raises(BadOutput, match=wanted):
        encoder(kind)(value)


@pytest.mark.parametrize("kind", sorted({kind for kind, *_ in FITS}))
@pytest.mark.parametrize("missing", [None, pd.NA, pd.NaT])
def test_what_is_missing_is_null_or_in_a_column_of_floats_nan(kind: str, missing: Any) -> None:
    assert encoder(kind)(missing) == ("NaN" if kind in ("real", "double precision") else None)


def test_fields_of_copy() -> None:
    assert escape(None) == "\\N"
    assert escape("\\N") == "\\\\N"
    assert escape("a\tb\nc\rd\\e") == "a\\tb\\nc\\rd\\\\e"


RESULTS: list[tuple[Any, list[str], list[list[Any]]]] = [
    (pd.DataFrame({"a": [1, 2], "extra": [0, 0], "b": ["x", "y"]}), ["b", "a"], [["x", "y"], [1, 2]]),
    (pd.DataFrame({0: [1, 2]}), ["prediction"], [[1, 2]]),
    ({"a": [1, 2], "b": [3, 4]}, ["a", "b"], [[1, 2], [3, 4]]),
    (pd.Series([1.5, 2.5]), ["a"], [[1.5, 2.5]]),
    (np.array([1, 2]), ["a"], [[1, 2]]),
    (np.array([[1, 2], [3, 4]]), ["a", "b"], [[1, 3], [2, 4]]),
    (np.array([[1, 2], [3, 4]]), ["a"], [[[1, 2], [3, 4]]]),
    (["x", "y"], ["a"], [["x", "y"]]),
    (
        np.array(["2024-01-01", "2024-01-02"], dtype="datetime64[ns]"),
        ["a"],
        [[pd.Timestamp("2024-01-01"), pd.Timestamp("2024-01-02")]],
    ),
]


def outputs(names: list[str]) -> list[Output]:
    return [Output(name, "jsonb", True) for name in names]


@pytest.mark.parametrize(("result", "names", "wanted"), RESULTS)
def test_every_shape_of_answer_becomes_columns(result: Any, names: list[str], wanted: list[list[Any]]) -> None:
    assert [typed(column, "jsonb") for column in columns_of(result, outputs(names), 2)] == wanted


# Answers of a model with these outputs for two rows, and what is said of them.
NO_ANSWERS: list[tuple[Any, list[str], str]] = [
    ("ab", ["a"], "returned str, its signature says columns"),
    (b"ab", ["a"], "returned bytes"),
    ({"a"}, ["a"], "returned set"),
    (iter(["x", "y"]), ["a"], "returned list_iterator"),
    (5, ["a"], "returned int"),
    (pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]), ["a"], r"columns \['a', 'a'\]"),
    (pd.DataFrame([[1, 2, 3], [4, 5, 6]], columns=["a", "a", "b"]), ["a", "b"], r"columns \['a', 'a', 'b'\]"),
    (pd.DataFrame({"score": [1, 2]}), ["a"], r"columns \['score'\], its signature says \['a'\]"),
    (pd.DataFrame({"a": [1, 2]}, index=[1, 0]), ["a"], "its rows in another order"),
    (pd.Series([1, 2])[::-1], ["a"], "its rows in another order"),
    (pd.DataFrame({"a": [1, 2, 3]}), ["a"], "returned 3 rows for 2"),
    (
        np.array([[1, 2, 3], [4, 5, 6]]),
        ["a", "b"],
        r"shape \('n', 3\), its signature says columns \['a', 'b'\]",
    ),
]


@pytest.mark.parametrize(("result", "names", "wanted"), NO_ANSWERS, ids=lambda item: repr(item)[:20])
def test_an_answer_that_could_be_read_in_two_ways_is_refused(result: Any, names: list[str], wanted: str) -> None:
    with pytest.raises(BadOutput, match=wanted):
        columns_of(result, outputs(names), 2)


def test_what_is_masked_is_null_and_not_what_lies_under_the_mask() -> None:
    assert typed(np.ma.array([1, 2], mask=[False, True]), "bigint") == [1, None]


def copied(field: str) -> str | None:
    """A field of COPY's text format, read as Postgres's documentation says."""
    if field == "\\N":
        return None
    marks = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
    return re.sub(r"\\(.)", lambda match: marks.get(match[1], match[1]), field, flags=re.DOTALL)


@given(st.text(st.characters(exclude_categories=[])))
def test_any_text_is_copied_as_it_is_or_refused(text: str) -> None:
    try:
        encoded = encoder("text")(text)
    except BadOutput:
        assert "\0" in text or any("\ud800" <= character <= "\udfff" for character in text)
        return
    field = escape(encoded)
    assert not set(field) & {"\t", "\n", "\r"}
    assert copied(field) == text


@given(st.floats(width=64))
def test_any_float_is_the_same_after_copy(value: float) -> None:
    read = encoder("double precision")(value)
    assert read is not None
    assert struct.pack("d", float(read)) == struct.pack("d", value) or math.isnan(value)


@given(st.integers() | st.floats())
def test_a_number_fits_its_column_exactly_or_is_refused(value: float) -> None:
    for kind in ("integer", "bigint", "real", "double precision"):
        with contextlib.suppress(BadOutput):
            read = encoder(kind)(value)
            if read is None:
                assert math.isnan(value)
                continue
            assert math.isnan(value) or (int(read) if kind in ("integer", "bigint") else float(read)) == value


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=10,
)


@given(JSON)
def test_any_json_is_the_same_after_copy_or_refused(value: Any) -> None:
    try:
        encoded = encoder("jsonb")(value)
    except BadOutput:
        return
    assert encoded is not None or value is None
    assert json.loads(copied(escape(encoded)) or "null") == texts(value)


def texts(value: Any) -> Any:
    """A JSON value with its keys as text."""
    if isinstance(value, dict):
        return {str(key): texts(item) for key, item in value.items()}
    return [texts(item) for item in value] if isinstance(value, list) else value
