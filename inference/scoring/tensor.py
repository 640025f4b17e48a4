"""A tensor that a model is given, made of the columns of a job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..base.signature import Input
from .rows import Array, Column

_FLOATS = ("float32", "float64")
_WAY_OUT = "Leave such rows out with source.where, or fill them in a view"
_NAN = "Leave such rows out with source.where, fill them in a view, or set model.nulls: nan"


def tensor(columns: Sequence[Column], item: Input, nulls: str, names: Sequence[str]) -> Array:
    """An array of the tensor's type and shape: [n], or [n, k] with the rows in C order.

    columns: the k columns in the order of the tensor, n values of each; or one column of n arrays of k values. nulls:
    `nan` if a NULL becomes NaN. names: of the columns. Raises ValueError for a NULL otherwise, and for an array of
    another length.
    """
    assert item.shape is not None
    if len(item.shape) == 1:
        return np.array(_flat(columns[0], item, nulls, names[0]))
    if len(columns) == 1 and (item.width != 1 or any(isinstance(value, list) for value in columns[0])):
        return _rows_of_arrays(list(columns[0]), item, nulls, names[0])
    flat = [_flat(column, item, nulls, name) for column, name in zip(columns, names)]
    dtype = np.result_type(*flat) if item.dtype == "str" else np.dtype(item.dtype)
    made = np.empty((len(flat[0]), len(flat)), dtype)
    for number, column in enumerate(flat):
        made[:, number] = column
    return made


def _rows_of_arrays(values: Sequence[Any], item: Input, nulls: str, name: str) -> Array:
    where = f"{_where(item)} of column {name!r}"
    lengths = {len(value) for value in values if value is not None}
    if any(value is None for value in values):
        raise ValueError(f"{where} is made of an array that is NULL, which says no length. {_WAY_OUT}")
    if any(isinstance(one, list) for value in values for one in value):
        raise ValueError(f"{where} is made of an array of several dimensions, and takes one a row")
    if item.width is not None and lengths != {item.width}:
        raise ValueError(f"{where} takes {item.width} values a row, and the array has {min(lengths - {item.width})}")
    if len(lengths) > 1:  # the rows are then scored apart
        raise ValueError(f"{where} is made of arrays of several lengths in one batch: {sorted(lengths)}")
    every = [one for value in values for one in value]
    return _flat(every, item, nulls, name).reshape(len(values), lengths.pop())


def _flat(values: Column, item: Input, nulls: str, name: str) -> Array:
    """Values as an array of the tensor's type, exactly."""
    dtype = np.dtype("str" if item.dtype == "str" else item.dtype)
    if isinstance(values, np.ndarray):
        return values.astype(dtype)
    if any(value is None for value in values):
        if nulls != "nan" or item.dtype not in _FLOATS:
            way_out = _NAN if item.dtype in _FLOATS else _WAY_OUT
            raise ValueError(f"a value of column {name!r} is NULL, and a tensor has no NULL. {way_out}")
        values = [np.nan if value is None else value for value in values]
    if item.dtype in ("str", "object"):
        return np.array([value if isinstance(value, str) else str(value) for value in values], dtype)
    return np.array(values, dtype)


def _where(item: Input) -> str:
    return f"the tensor {item.name!r}" if item.name else "the tensor"
