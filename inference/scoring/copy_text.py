"""Model outputs as the text that COPY reads: one function for each kind of column."""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Callable
from typing import Any, Optional

import numpy as np
import pandas as pd

_LIMITS = {"integer": 2**31, "bigint": 2**63}
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_SPECIAL = re.compile(r"[\\\t\n\r]")
NULL = "\\N"
_FLOATS = ("real", "double precision")


class BadOutput(ValueError):
    """A value that its column cannot hold; the message names both."""


class BadShape(BadOutput):
    """The model's answer as a whole is not what its signature says. The message says nothing of any row."""


class BadKind(BadShape):
    """The model answers with a type that has no rows: whatever the rows, every call would end alike."""


def encoder(kind: str) -> Callable[[Any], Optional[str]]:
    """A function from a value to Postgres's text form of `kind` (None is NULL); raises BadOutput.

    In pandas it depends on a value's neighbours whether it is missing as None, NaN or pd.NA: all are one here.
    """
    if kind.endswith("[]"):
        item = _encoder(kind[:-2], None)
        return lambda value: None if missing(value) else _array(value, item, kind)
    return _encoder(kind, "NaN" if kind in _FLOATS else None)


def _encoder(kind: str, missing: Optional[str]) -> Callable[[Any], Optional[str]]:
    function, floats = _ENCODERS[kind], kind in _FLOATS
    return lambda value: missing if _missing(value) or (not floats and _nan(value)) else function(value, kind)


def escape(text: Optional[str]) -> str:
    """A field of COPY's text format."""
    if text is None:
        return NULL
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], text)


def missing(value: Any) -> bool:
    """Whether pandas would call the value missing."""
    return _missing(value) or _nan(value)


def _missing(value: Any) -> bool:
    return value is None or value is pd.NaT or value is pd.NA


def _nan(value: Any) -> bool:
    """What pandas makes of a missing value, in any column."""
    return isinstance(value, (float, np.floating)) and bool(value != value)


def exact_below(kind: Any) -> float:
    """From where on a floating point number of this type may stand for several integers."""
    return float(2 ** (int(np.finfo(kind).nmant) + 1))


def _integral(value: Any) -> Any:
    """A whole number in floating point as an integer: pandas makes floats of integers where one is missing."""
    whole = isinstance(value, (float, np.floating)) and float(value).is_integer()
    return int(value) if whole and abs(float(value)) < exact_below(type(value)) else value


def _wrong(value: Any, kind: str) -> BadOutput:
    if isinstance(value, BadOutput):  # in place of a value that the row has not
        return value
    return BadOutput(f"the model returned {type(value).__name__} {str(value)[:80]!r} where its signature says {kind}")


def _boolean(value: Any, kind: str) -> str:
    if isinstance(value, (float, np.floating)) and value in (0, 1):
        return "t" if value else "f"
    if not isinstance(value, (bool, np.bool_)):
        raise _wrong(value, kind)
    return "t" if value else "f"


def _integer(value: Any, kind: str) -> str:
    value = _integral(value)
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        raise BadOutput(
            f"the model returned {value!r} in floating point where its signature says {kind}: digits may be lost from "
            f"{exact_below(type(value)):.0f} on. Return integers; where some are missing, as objects or pandas's Int64"
        )
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise _wrong(value, kind)
    if not -_LIMITS[kind] <= int(value) < _LIMITS[kind]:
        raise BadOutput(f"the model returned {value}, which is out of range for {kind}")
    return str(int(value))


def _float(value: Any, kind: str) -> str:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (float, int, np.floating, np.integer)):
        raise _wrong(value, kind)
    whole = isinstance(value, (int, np.integer))
    try:
        number = float(value)
    except OverflowError:
        raise BadOutput(f"the model returned an integer that is out of range for {kind}") from None
    if number != (int(value) if whole else value) and not math.isnan(number):
        raise BadOutput(f"the model returned {type(value).__name__} {value}, which {kind} cannot hold exactly")
    if kind == "real" and math.isfinite(number) and _single(number) != number:
        raise BadOutput(f"the model returned {number!r} in double precision where its signature says float")
    return repr(number).replace("inf", "Infinity").replace("nan", "NaN")


def _single(number: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.float32(number))


def _text(value: Any, kind: str) -> str:
    if not isinstance(value, str):
        raise _wrong(value, kind)
    if "\0" in value:
        raise BadOutput(f"the model returned text with a NUL character, which Postgres cannot hold: {value[:80]!r}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise BadOutput(f"the model returned text with half of a surrogate pair: {value[:80]!r}") from None
    return value


def _bytes(value: Any, kind: str) -> str:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise _wrong(value, kind)
    return "\\x" + bytes(value).hex()


def _timestamp(value: Any, kind: str) -> Optional[str]:
    if not isinstance(value, (datetime.date, np.datetime64)):
        raise _wrong(value, kind)
    try:
        moment = pd.Timestamp(value)
    except ValueError:  # out of pandas's bounds
        raise _wrong(value, kind) from None
    if pd.isna(moment):
        return None
    if moment.nanosecond:
        raise BadOutput(f"the model returned {moment}, and Postgres holds microseconds: round it in the model")
    if moment.tzinfo is not None:
        moment = moment.tz_convert("UTC").tz_localize(None)
    return str(moment.isoformat(sep=" "))


def _json(value: Any, kind: str) -> str:
    if isinstance(value, BadOutput):
        raise value
    try:
        text = json.dumps(_integral(value), ensure_ascii=True, allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise BadOutput(f"the model returned {str(value)[:80]!r}, which is no JSON: {error}") from None
    json.loads(text, object_pairs_hook=_distinct)
    if re.search(r"\\u(0000|d[89a-f])", text):
        _text(_joined(json.loads(text)), kind)
    return text


def _distinct(pairs: list[tuple[str, Any]]) -> None:
    """JSON's keys are texts: 1 and "1" would be one key, and the last value would win."""
    if len(dict(pairs)) < len(pairs):
        raise BadOutput(f"the model returned a key twice, as text: {sorted(key for key, _ in pairs)}")


def _joined(value: Any) -> str:
    """All strings inside a JSON value."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "".join(str(key) + _joined(item) for key, item in value.items())
    if isinstance(value, (list, tuple, np.ndarray)):
        return "".join(_joined(item) for item in value)
    return ""


def _plain(value: Any) -> Any:
    dump = getattr(type(value), "model_dump", None)  # of pydantic
    if dump is not None:
        return dump(value)
    if isinstance(value, (np.generic, np.ndarray)) and value.dtype.kind not in "mM":  # of which it makes integers
        found = value.tolist()
        if not isinstance(found, np.generic):  # as it leaves a longdouble
            return found
    raise TypeError(f"a value of type {type(value).__name__}")


def _array(value: Any, item: Callable[[Any], Optional[str]], kind: str) -> str:
    if not isinstance(value, (list, tuple, np.ndarray)):
        raise _wrong(value, kind)
    fields = []
    for element in value:
        text = item(element)
        quoted = "NULL" if text is None else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        fields.append(quoted)
    return "{" + ",".join(fields) + "}"


_ENCODERS: dict[str, Callable[[Any, str], Optional[str]]] = {
    "boolean": _boolean,
    "integer": _integer,
    "bigint": _integer,
    "real": _float,
    "double precision": _float,
    "text": _text,
    "bytea": _bytes,
    "timestamp": _timestamp,
    "jsonb": _json,
}
