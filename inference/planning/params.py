"""The values that a job gives for the parameters of its model's signature."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from typing import Any

from inference.base.signature import Param
from inference.errors import ModelError

_INTEGERS = {"integer": 2**31, "long": 2**63}
_FLOATS = {"float": 3.4028234663852886e38, "double": math.inf}
_EXACT = 2**53  # integers from here on have no exact floating point number of their own


def check(values: Mapping[str, Any], params: tuple[Param, ...], model: str) -> None:
    """Raise ModelError unless each value is one that its parameter takes as it is."""
    known = {param.name: param for param in params}
    for name, value in values.items():
        where = f"{model}: model.params.{name}"
        if name not in known:
            names = f"which has: {', '.join(known)}" if known else "which has none"
            raise ModelError(f"{where}: is no parameter of the model's signature, {names}")
        _check_shape(known[name], value, where)


def _check_shape(param: Param, value: Any, where: str) -> None:
    if param.shape is None:
        if isinstance(value, list):
            raise ModelError(f"{where}: {value!r} is a list, and the parameter is one {param.type}")
        _check_value(param, value, where)
        return
    if not isinstance(value, list):
        raise ModelError(f"{where}: {value!r} is one value, and the parameter is a list of {param.type}")
    if len(param.shape) != 1 or param.shape[0] not in (-1, len(value)):
        raise ModelError(f"{where}: the list has {len(value)} values, and the parameter has the shape {param.shape}")
    for number, item in enumerate(value):
        _check_value(param, item, f"{where}.{number}")


def _check_value(param: Param, value: Any, where: str) -> None:
    kind = param.type
    fits = {
        "boolean": isinstance(value, bool),
        "string": isinstance(value, str),
        "datetime": isinstance(value, str) and _is_moment(value),
    }
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind in _INTEGERS:
        right = number and isinstance(value, int) and -_INTEGERS[kind] <= value < _INTEGERS[kind]
    elif kind in _FLOATS:
        right = number and _exact(value) and math.isfinite(value) and abs(value) <= _FLOATS[kind]
    elif kind in fits:
        right = fits[kind]
    else:
        raise ModelError(f"{where}: the parameter is of type {kind}, for which a job file has no values")
    if not right:
        raise ModelError(f"{where}: {value!r} is {type(value).__name__}, and the parameter takes {_said(kind)}")


def _exact(value: float) -> bool:
    return not isinstance(value, int) or abs(value) <= _EXACT


def _is_moment(text: str) -> bool:
    """Whether it is a date with a time and without an offset, which MLflow's moments do not have."""
    try:
        return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").isoformat() == text
    except ValueError:
        return False


def _said(kind: str) -> str:
    return {
        "boolean": "true or false",
        "string": "a text",
        "datetime": "a moment in quotes, such as '2026-01-31T09:00:00'",
        "integer": "a whole number of 32 bits",
        "long": "a whole number of 64 bits",
        "float": "a number that single precision can hold",
        "double": "a number",
    }[kind]
