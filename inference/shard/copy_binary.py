"""COPY's binary format as arrays, for rows whose columns all have a fixed size and no NULL.

Each row is then a record of the same layout: the number of fields, and for each field its length and its bytes, in
network order (PostgreSQL documentation, COPY, "Binary Format").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np

Array = Any
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # no flags, no extension
TRAILER = b"\xff\xff"

# Base type of a source column -> how Postgres sends it.
SENT = {"bool": "?", "int2": ">i2", "int4": ">i4", "int8": ">i8", "float4": ">f4", "float8": ">f8"}
# Type of a result column -> how Postgres sends it.
RESULTS = {"boolean": "?", "integer": ">i4", "bigint": ">i8", "real": ">f4", "double precision": ">f8"}

# Type of a source column and NumPy type of the model's input, where every value means the same in both. The driver
# reads a float4 by its shortest decimal form, which is another number in double precision: that pair is not here.
AS_SENT = {
    ("bool", "bool"), ("int2", "int16"), ("int2", "int32"), ("int2", "int64"), ("int2", "float64"), ("int4", "int32"),
    ("int4", "int64"), ("int4", "float64"), ("int8", "int64"), ("float4", "float32"), ("float8", "float64"),
}  # fmt: skip


class Layout:
    """Records of fields with these codes of NumPy; None is a field that is always NULL."""

    def __init__(self, codes: Sequence[Optional[str]]) -> None:
        fields: list[tuple[str, str]] = [("fields", ">i2")]
        self._lengths: dict[str, int] = {"fields": len(codes)}
        for number, code in enumerate(codes):
            fields.append((f"length{number}", ">i4"))
            self._lengths[f"length{number}"] = -1 if code is None else np.dtype(code).itemsize
            if code is not None:
                fields.append((f"value{number}", code))
        self._record = np.dtype(fields)

    def decode(self, data: bytes) -> Optional[list[Array]]:
        """The columns of what COPY sent, in this machine's byte order; None if some record has another layout.

        A record that fits begins where the one before it ends, so one look at all lengths proves the whole.
        """
        size = len(data) - len(HEADER) - len(TRAILER)
        if size % self._record.itemsize or not data.endswith(TRAILER):
            return None
        records = np.frombuffer(data, self._record, size // self._record.itemsize, len(HEADER))
        if any((records[name] != length).any() for name, length in self._lengths.items()):
            return None
        names = [name for name in self._record.names or () if name.startswith("value")]
        return [np.ascontiguousarray(_native(records[name])) for name in names]

    def encode(self, columns: Sequence[Any]) -> bytes:
        """What COPY reads. `columns`: of the fields that are not NULL; arrays, or one value for all rows."""
        records = np.empty(max(np.size(column) for column in columns), self._record)
        for name, length in self._lengths.items():
            records[name] = length
        names = [name for name in self._record.names or () if name.startswith("value")]
        for name, column in zip(names, columns):
            records[name] = column
        return HEADER + records.tobytes() + TRAILER


def of_inputs(kinds: Sequence[str], dtypes: Sequence[Optional[str]], hashed: bool) -> Optional[Layout]:
    """How a page of numbers is sent; None unless each input is one that the model is given as it is sent.

    kinds: of the source's columns; dtypes: NumPy's, of the model's inputs; hashed: whether an input hash is sent too.
    """
    if any(pair not in AS_SENT for pair in zip(kinds, dtypes)):
        return None
    return Layout([">i8", "?", "V16" if hashed else None, *(SENT[kind] for kind in kinds)])


def _native(values: Array) -> Array:
    return values if values.dtype.kind == "V" else values.astype(values.dtype.newbyteorder("="))
