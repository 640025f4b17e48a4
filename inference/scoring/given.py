"""What a model is given of rows: exactly the values that they hold, or an error that names the input and the reason.

Between us and the model stands `mlflow.pyfunc`, which makes a NumPy array of an Array's items and a NumPy scalar of
each value in an Object or Map (`mlflow.models.utils._enforce_type`). A value that this would change is given in a form
that passes unchanged, or refused here.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..base.matching import Feed
from ..base.signature import Input
from .rows import Array, Column
from .tensor import tensor

_MISSING = type(None)
# Python types that an item of an array, or a value in JSON, may have for MLflow's type.
_FITS: dict[str, set[type]] = {
    "boolean": {bool},
    "integer": {int},
    "long": {int},
    "float": {float, int, _MISSING},
    "double": {float, int, _MISSING},
    "string": {str, uuid.UUID},
    "binary": {bytes, memoryview},
    "datetime": {datetime.date, datetime.datetime, _MISSING},
}
# MLflow makes nanoseconds of every moment; these are the first and the last microsecond that they reach.
_FIRST, _LAST = np.datetime64("1677-09-21T00:12:43.145225", "us"), np.datetime64("2262-04-11T23:47:16.854775", "us")


def argument(columns: Sequence[Column], feeds: Sequence[Feed], nulls: str) -> Any:
    """What `predict` is called with: a DataFrame, an array, or a dict of arrays.

    columns: values of the job's inputs, n of each. nulls: what a NULL means in a tensor, `quarantine` or `nan`.
    Raises ValueError, which names the column, for a value that the model cannot be given as it is.
    """
    if feeds[0].input.shape is not None:
        arrays = {
            feed.input.name: tensor([columns[at] for at in feed.columns], feed.input, nulls, feed.names)
            for feed in feeds
        }
        return arrays if feeds[0].input.name else arrays[""]
    frame = {}
    for number, feed in enumerate(feeds):
        item = feed.input
        label = item.name if item.label is None else item.label
        given = [columns[at] for at in feed.columns]
        # A list without names becomes a DataFrame whose columns are numbered, in MLflow as well.
        frame[label if item.name else number] = _object_of(given, feed) if feed.fields else series(given[0], item)
    return pd.DataFrame(frame)


def _object_of(columns: Sequence[Column], feed: Feed) -> pd.Series[Any]:
    """A column of dicts, one field for each of the job's columns."""
    plain = [column.tolist() if isinstance(column, np.ndarray) else column for column in columns]
    rows = [dict(zip(feed.names, values)) for values in zip(*plain)]
    return series(rows, feed.input)


def series(values: Column, item: Input) -> pd.Series[Any]:
    """A column of the model's input, in the signature's type."""
    if isinstance(values, np.ndarray):  # a copy: a model may write into what it is given, and a batch may come again
        return pd.Series(np.array(values, dtype=item.dtype))
    where = f"input {item.name!r}" if item.name else "the input"
    if item.dtype == "object":
        return pd.Series(_objects(values, item, where), dtype=object)
    if item.type == "datetime":
        return pd.Series(_moments(values, where))
    if item.type in ("float", "double"):
        return pd.Series(np.array([np.nan if value is None else value for value in values], dtype=item.dtype))
    if any(value is None for value in values):
        if item.type == "boolean" and not item.required:
            return pd.Series(values, dtype=object)
        raise ValueError(
            f"{where} is NULL, and the model's signature says {item.type}, which has no NULL in MLflow"
            + ("" if item.required else ", though it is optional: say double there, which has NaN")
        )
    return pd.Series(np.array(values, dtype=item.dtype))


def _objects(values: Sequence[Any], item: Input, where: str) -> Any:
    """One Python object for each row."""
    if item.type == "any":
        _refuse_what_pandas_changes(values, where)
    if item.declared is None:
        return [_plain(value) for value in values]
    found = np.empty(len(values), dtype=object)
    for number, value in enumerate(values):
        exact = _value(value, item.declared, item.required, where)
        found[number] = _python(exact) if item.hinted else exact
    return found


def _python(value: Any) -> Any:
    """Plain values of Python, which type hints are about."""
    if isinstance(value, dict):
        return {name: _python(one) for name, one in value.items()}
    if isinstance(value, np.ndarray):
        return pd.Series(value).tolist()
    if isinstance(value, list):
        return [_python(one) for one in value]
    return (
        pd.Timestamp(value).to_pydatetime()
        if isinstance(value, np.datetime64)
        else getattr(value, "item", lambda: value)()
    )


def _refuse_what_pandas_changes(values: Sequence[Any], where: str) -> None:
    """MLflow lets pandas find one type for a column of any, where 1 beside a NULL would become 1.0: so such rows are
    scored apart. Beside an object or a list, pandas leaves all as they are."""
    kinds = set(map(type, values))
    if int in kinds and any(type(value) is int and abs(value) >= 2**1023 for value in values):
        raise ValueError(f"{where} is an integer that is out of range for what pandas can hold in a column")
    if len(kinds) > 1 and not kinds & {dict, list}:
        raise ValueError(f"{where} has values of several types in one batch")


def _value(value: Any, kind: dict[str, Any], required: bool, where: str) -> Any:
    """A value of the type that the signature declares, which MLflow passes on as it is."""
    name = kind["type"]
    inner = kind.get("items") or kind.get("values") or {}
    if name == "any" or (value is None and (not required or inner.get("type") == "any")):
        return _plain(value)
    if value is None:
        raise ValueError(f"{where} is NULL, and the model's signature requires it")
    if name == "array":
        return _array(value, inner, required, where)
    if name == "map":
        _refuse_other(value, dict, "map", where)
        return {key: _value(one, inner, required, f"{key!r} of {where}") for key, one in value.items()}
    if name == "object":
        return _object(value, kind["properties"], where)
    return _items([value], name, where)[0]


def _array(values: Any, kind: dict[str, Any], required: bool, where: str) -> Any:
    _refuse_other(values, list, "array", where)
    where = f"an item of {where}"
    if kind["type"] in _FITS:
        return _items(values, kind["type"], where)
    return [_value(value, kind, required, where) for value in values]


def _object(value: Any, properties: dict[str, Any], where: str) -> dict[str, Any]:
    _refuse_other(value, dict, "object", where)
    unknown = value.keys() - properties.keys()
    missing = {name for name, kind in properties.items() if kind.get("required", True)} - value.keys()
    if unknown or missing:
        said = f"{min(unknown)!r}" if unknown else f"no {min(missing)!r}"
        verb = "does not know" if unknown else "requires"
        raise ValueError(f"{where} has {said}, which the model's signature {verb}")
    return {
        name: _value(one, properties[name], properties[name].get("required", True), f"{name!r} of {where}")
        for name, one in value.items()
    }


def _items(values: Sequence[Any], name: str, where: str) -> Any:
    """Items of one of MLflow's plain types: numbers and moments as an array of that type, others as a list."""
    for kind in sorted(set(map(type, values)) - _FITS[name], key=lambda kind: kind.__name__):
        if kind is _MISSING:
            raise ValueError(f"{where} is NULL, and MLflow has no NULL in an array of {name}: it would change the item")
        raise ValueError(f"{where} is of type {kind.__name__} where the model's signature says {name}")
    if name in ("float", "double"):
        return _floats(values, name, where)
    if name in ("integer", "long"):
        return _integers(values, name, where)
    if name == "datetime":
        return _moments(values, where)
    found = [_plain(value) for value in values]
    if name == "binary" and any(value.endswith(b"\0") for value in found):
        raise ValueError(f"{where} ends with a zero byte, which MLflow cuts off in an array of binary")
    return found


def _floats(values: Sequence[Any], name: str, where: str) -> Array:
    """A missing one is NaN. A fraction becomes the nearest number of the type; a whole number must be there exactly."""
    with np.errstate(over="ignore"):
        try:
            wide = np.array(values, np.float64)
        except OverflowError:
            raise ValueError(f"{where} is out of range for {name}") from None
        found = wide.astype(np.float32) if name == "float" else wide
    if (np.isinf(found) & np.isfinite(wide)).any():
        raise ValueError(f"{where} is out of range for {name}")
    if any(type(value) is int and value != number for value, number in zip(values, found.tolist())):
        raise ValueError(f"{where} is an integer that {name} cannot hold exactly")
    return found


def _integers(values: Sequence[Any], name: str, where: str) -> Array:
    kind = np.int32 if name == "integer" else np.int64
    try:
        wide = np.array(values, np.int64)
    except OverflowError:
        raise ValueError(f"{where} is out of range for {name}") from None
    found = wide.astype(kind)
    if (found != wide).any():
        raise ValueError(f"{where} is out of range for {name}")
    return found


def _moments(values: Iterable[Any], where: str) -> Array:
    found = np.array([_utc(value) for value in values], dtype="datetime64[us]")
    outside = found[(found < _FIRST) | (found > _LAST)]
    if len(outside):
        raise ValueError(
            f"{where} is {outside[0]}: MLflow gives a model nanoseconds, which reach from {str(_FIRST)[:10]} to "
            f"{str(_LAST)[:10]}. Leave such rows out with source.where, or make NULL of them in a view"
        )
    return found


def _refuse_other(value: Any, kind: type, name: str, where: str) -> None:
    if not isinstance(value, kind):
        raise ValueError(f"{where} is of type {type(value).__name__} where the model's signature says {name}")


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, memoryview):
        return bytes(value)
    return str(value) if isinstance(value, uuid.UUID) else value


def _utc(value: Any) -> Any:
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return value
