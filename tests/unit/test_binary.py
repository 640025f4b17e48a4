"""COPY's binary format, against a writer and a reader of it that go field by field."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.shard.copy_binary import HEADER, TRAILER, Layout

CODES = {">i8": ">q", ">i4": ">i", ">i2": ">h", ">f8": ">d", ">f4": ">f", "?": ">?"}
VALUES = {
    **{f">i{size}": st.integers(-(2 ** (8 * size - 1)), 2 ** (8 * size - 1) - 1) for size in (2, 4, 8)},
    ">f8": st.floats(),
    ">f4": st.floats(width=32),
    "?": st.booleans(),
}


def record(codes: list[str | None], values: list[Any]) -> bytes:
    """One row, as the documentation of COPY describes it."""
    fields = [struct.pack(">h", len(codes))]
    for code, value in zip(codes, values, strict=True):
        data = b"" if value is None else struct.pack(CODES[code or ""], value)
        fields += [struct.pack(">i", -1 if value is None else len(data)), data]
    return b"".join(fields)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str | None], list[list[Any]]]:
    codes: list[str | None] = draw(st.lists(st.sampled_from([*CODES, None]), min_size=1, max_size=6))
    row = st.tuples(*(st.none() if code is None else VALUES[code] for code in codes)).map(list)
    return codes, draw(st.lists(row, max_size=20))


@given(tables())
def test_what_postgres_sends_is_decoded_to_the_bit(table: tuple[list[str | None], list[list[Any]]]) -> None:
    codes, rows = table
    columns = Layout(codes).decode(HEADER + b"".join(record(codes, row) for row in rows) + TRAILER)

    assert columns is not None
    numbers = [number for number, code in enumerate(codes) if code]
    assert len(columns) == len(numbers)
    for column, number in zip(columns, numbers, strict=True):
        code = codes[number] or ""
        assert column.dtype == np.dtype(code).newbyteorder("=")
        assert [struct.pack(CODES[code], value) for value in column.tolist()] == [
            struct.pack(CODES[code], row[number]) for row in rows
        ]


@given(tables())
def test_what_is_encoded_is_what_postgres_would_send(table: tuple[list[str | None], list[list[Any]]]) -> None:
    codes, rows = table
    numbers = [number for number, code in enumerate(codes) if code]
    if not rows or not numbers:
        return
    columns = [np.array([row[number] for row in rows], np.dtype(codes[number]).newbyteorder("=")) for number in numbers]

    assert Layout(codes).encode(columns) == HEADER + b"".join(record(codes, row) for row in rows) + TRAILER


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_row_with_a_null_is_not_decoded_by_guessing(at: int) -> None:
    rows: list[list[Any]] = [[1, 1.5], [2, 2.5], [3, 3.5]]
    rows[at][1] = None
    data = HEADER + b"".join(record([">i8", ">f8"], row) for row in rows) + TRAILER

    assert Layout([">i8", ">f8"]).decode(data) is None


def test_nulls_that_add_up_to_whole_records_are_seen() -> None:
    """Two records of 8 bytes less, each with one field of 8 bytes NULL, and then one more: the size alone is right."""
    codes: list[str | None] = [">i8", ">i8"]
    whole, short = record(codes, [1, 2]), record(codes, [1, None])
    for count in range(1, len(whole) + 1):
        data = short * count
        if len(data) % len(whole) == 0:
            assert Layout(codes).decode(HEADER + data + TRAILER) is None


def test_a_cut_answer_is_not_decoded() -> None:
    data = HEADER + record([">i8"], [1]) * 2 + TRAILER
    assert Layout([">i8"]).decode(data[: -len(TRAILER)]) is None


def test_one_value_serves_all_rows() -> None:
    assert Layout([">i4", "S2"]).encode([np.array([7, 8]), b"ok"]) == (
        HEADER + b"".join(struct.pack(">hiiih", 2, 4, n, 2, 0)[:-2] + b"ok" for n in (7, 8)) + TRAILER
    )
