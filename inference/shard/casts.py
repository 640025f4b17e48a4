"""What the driver makes of moments and of JSON: the values that are there, or an error."""

from __future__ import annotations

import json
import math
from typing import Any

from psycopg2 import extensions, extras
from sqlalchemy.engine import Connection

_MOMENTS = {1082: extensions.PYDATE, 1114: extensions.PYDATETIME, 1184: extensions.PYDATETIMETZ}


def read_exactly(connection: Connection) -> None:
    """The driver would make `infinity` the last moment that Python has, and `1e400` in JSON infinite: other values."""
    raw: Any = connection.connection.dbapi_connection
    for oid, cast in _MOMENTS.items():
        extensions.register_type(_finite(oid, cast), raw)
    extras.register_default_json(raw, loads=_json)
    extras.register_default_jsonb(raw, loads=_json)


def _json(text: str) -> Any:
    return json.loads(text, parse_float=_number)


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:80]} is out of range for the double precision that numbers in JSON are read in")
    return number


def _finite(oid: int, cast: Any) -> Any:
    def read(value: Any, cursor: Any) -> Any:
        if value in ("infinity", "-infinity"):
            raise ValueError(f"{value} is no moment that a model can be given")
        return cast(value, cursor)

    return extensions.new_type((oid,), "MOMENT", read)
