"""What a model sees of a row's values, for every type of MLflow and of Postgres: run in environments of many versions.

Prints one line of JSON: the versions, how often each outcome was met, and whatever was not as this file says. The
values are those that the driver gives; they go through `predict.call` and `mlflow.pyfunc`. What is right is written
down here apart from `inference.given` and `inference.signature`. Needs nothing but the packages of a model.
"""

from __future__ import annotations

import collections
import datetime
import importlib.util
import json
import logging
import math
import os
import random
import shutil
import sys
import tempfile
import types
import uuid
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any, Iterator

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
warnings.simplefilter("ignore")  # MLflow's and pandas's own

import mlflow  # noqa: E402
import mlflow.pyfunc  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import yaml  # noqa: E402

from inference.base import matching, mlmodel  # noqa: E402
from inference.base.bisect import bisect  # noqa: E402
from inference.base.signature import Signature  # noqa: E402
from inference.base.source import Column  # noqa: E402
from inference.errors import ModelError  # noqa: E402
from inference.scoring.predict import Contract, call  # noqa: E402
from inference.scoring.rows import Rows  # noqa: E402
from inference.shard import copy_binary  # noqa: E402
from inference.shard.copy_binary import SENT  # noqa: E402
from tests.answers import ANSWERS, KST, MISSING, RETURNED, dependent  # noqa: E402

MODEL = """
import mlflow.models, pandas, value_cases_seen
from mlflow.pyfunc import PythonModel

class Model(PythonModel):
    def predict(self, context, model_input, params=None):
        value_cases_seen.values.update(zip(model_input["row"].tolist(), model_input["x"]))
        return pandas.DataFrame({"y": [""] * len(model_input)})

mlflow.models.set_model(Model())
"""
SEEN: Any = types.ModuleType("value_cases_seen")
SEEN.values = {}
sys.modules["value_cases_seen"] = SEEN
ROW = {"type": "long", "name": "row", "required": True}
RANDOM = random.Random(13)
# MLflow 2 does not know the type that pandas 3 gives texts, and refuses them inside of arrays and objects.
NO_TEXTS = mlflow.__version__ < "3" <= pd.__version__

# ---- what the driver gives of each kind of Postgres column ----

LAST = datetime.datetime(2262, 4, 11, 23, 47, 16, 854775)
SCALARS: dict[str, list[Any]] = {
    "bool": [True, False],
    "int2": [-(2**15), 0, 2**15 - 1],
    "int4": [-(2**31), 1, 2**31 - 1],
    "int8": [-(2**63), 2**53 + 1, 2**63 - 1],
    "float4": [0.1, -0.0, 3.4028235e38, 1e-45, math.inf, math.nan, 16777216.0],
    "float8": [0.1, 5e-324, 1.7976931348623157e308, -math.inf, math.nan],
    "numeric": [Decimal("1.5")],
    "text": ["", "abc", "한국어 😀", "nan", "None", " x ", "e\u0301"],
    "varchar": ["ab "],
    "bpchar": ["ab   "],
    "name": ["select"],
    "enum": ["so so"],
    "uuid": [uuid.UUID(int=7)],
    "bytea": [memoryview(b""), memoryview(b"\x00\xff"), memoryview(b"\x01\x00")],
    "date": [datetime.date(2024, 2, 29), datetime.date(1600, 1, 1), datetime.date(9999, 12, 31)],
    "timestamp": [datetime.datetime(2024, 1, 2, 3, 4, 5, 6), LAST, LAST + datetime.timedelta(microseconds=1)],
    "timestamptz": [
        datetime.datetime(2024, 1, 1, 3, tzinfo=KST),
        datetime.datetime(1, 1, 1, tzinfo=datetime.timezone.utc),
    ],
    "hstore": [],
}
JSON: list[Any] = [
    7, 0, 1, -1.5, 7.0, 0.1, 2**31, 2**53 + 1, 2**63, 10**400, 1e300, True, "a", "7", "2024-01-01", [], {},
    [1, 2], [1.0, 2], [0.1, None], [None], [None, 1], [2**53 + 1, 0.5], [16777217], [1e300], [True, 1], [True, None],
    [True, False], ["abc", "d"], ["abc", None], ["a", 1], ["a", ["b"]], ["2024-01-01"], [None, "nan"], [{"a": 1}, None],
    [[1, 2], [3]], [[1.5], None], [["a"], [None]], [["a", "bc"], []], [[True]], [[[1]]], {"a": 7}, {"a": 7.5},
    {"a": None}, {"a": "x"}, {"a": True}, {"a": [1, 2]}, {"a": [1.5, None]}, {"a": ["x", None]}, {"b": 1}, {"a": 2**31},
    {"a": 1, "b": 2}, {"a": 0.5, "b": None}, {"a": "x", "b": "y"}, {"a": 1, "c": 1}, [{"a": 1}, {"a": 2}], [{"a": "x"}],
    {"a": 2**53 + 1}, {"a": 1e300}, {"a": {"a": 1}},
]  # fmt: skip


def values_of(kind: str) -> list[Any]:
    if kind in ("json", "jsonb"):
        return [None, *JSON]
    if not kind.startswith("_"):
        return [None, *SCALARS[kind], None]
    items = JSON if kind in ("_json", "_jsonb") else SCALARS[kind[1:]]
    found: list[Any] = [None, [], [None], *([item] for item in items), [*items, None], [None, *items]]
    for _ in range(6):
        drawn = [RANDOM.choice(items) for _ in range(RANDOM.randrange(1, 9))] if items else []
        found += [drawn, [None if RANDOM.random() < 0.3 else item for item in drawn]]
    return [*found, [items[:2], items[:2]], [items[:1], [None]], [[items[:1]]]]


# ---- what is right ----

TAKES = {
    "boolean": {"bool"},
    "integer": {"int2", "int4"},
    "long": {"int2", "int4", "int8"},
    "float": {"float4"},
    "double": {"float4", "float8", "int2", "int4"},
    "string": {"text", "varchar", "bpchar", "name", "enum", "uuid"},
    "binary": {"bytea"},
    "datetime": {"date", "timestamp", "timestamptz"},
}
NUMPY = {"integer": "int32", "long": "int64", "float": "float32", "double": "float64"}


def leaf(kind: dict[str, Any]) -> str:
    """What a type is made of in the end: each of `DECLARED` has one such type."""
    inner = kind.get("items") or kind.get("values") or (kind.get("properties") or {}).get("a")
    return leaf(inner) if inner else kind["type"]


def taken(kind: dict[str, Any], column: str) -> bool:
    """Whether plan takes such a column."""
    json_fits = leaf(kind) not in ("binary", "datetime")
    while kind["type"] == "array" and column not in ("json", "jsonb"):
        kind = kind["items"]
        if kind["type"] in TAKES:
            return column in {"_" + name for name in TAKES[kind["type"]] - {"enum"}}
        if kind["type"] == "any":
            return column.startswith("_") and column not in ("_enum", "_hstore")
        if kind["type"] != "array":
            return column in ("_json", "_jsonb") and json_fits
    if kind["type"] in TAKES:
        return column in TAKES[kind["type"]]
    return column in ("json", "jsonb") and json_fits


def fits(value: Any, kind: dict[str, Any], required: bool, place: str = "column") -> bool:
    """Whether MLflow can hand a value on as it is."""
    name = kind["type"]
    if name == "any":
        return place != "column" or type(value) is not int or abs(value) < 2**1023
    if value is None:
        if place == "item":
            return name in ("float", "double", "datetime")
        if place == "column" and name in TAKES:
            return name not in ("integer", "long") and (name != "boolean" or not required)
        return not required or (kind.get("items") or kind.get("values") or {}).get("type") == "any"
    if name == "array":
        place = "item" if kind["items"]["type"] in TAKES else "inner"
        return isinstance(value, list) and all(fits(item, kind["items"], required, place) for item in value)
    if name == "map":
        return isinstance(value, dict) and all(fits(item, kind["values"], required, "inner") for item in value.values())
    if name == "object":
        known = kind["properties"]
        return (
            isinstance(value, dict) and set(value) <= set(known)
            and set(value) >= {key for key in known if known[key]["required"]}
            and all(fits(item, known[key], known[key]["required"], "inner") for key, item in value.items())
        )  # fmt: skip
    return fits_plain(value, name, place)


def fits_plain(value: Any, name: str, place: str) -> bool:
    if name in ("integer", "long"):
        bits = 31 if name == "integer" else 63
        return type(value) is int and -(2**bits) <= value < 2**bits
    if name in ("float", "double"):
        if type(value) is int:
            return abs(value) < 2**1000 and int(np.dtype(NUMPY[name]).type(value)) == value
        return type(value) is float and (name == "double" or math.isinf(value) or not abs(value) > 3.5e38)
    if name == "binary":
        return isinstance(value, memoryview) and not (place == "item" and bytes(value).endswith(b"\0"))
    if name == "datetime":
        return isinstance(value, datetime.date) and utc(value).year >= 1678 and utc(value) <= LAST
    return isinstance(value, {"boolean": bool, "string": (str, uuid.UUID)}[name])  # type: ignore[arg-type]


def utc(value: Any) -> datetime.datetime:
    if not isinstance(value, datetime.datetime):
        return datetime.datetime(value.year, value.month, value.day)
    return value.astimezone(datetime.timezone.utc).replace(tzinfo=None) if value.tzinfo else value


def same(seen: Any, value: Any, kind: dict[str, Any]) -> bool:
    """Whether the model saw what the row holds, in the type that its signature names."""
    name = kind["type"]
    if name == "array" and value is not None:
        if kind["items"]["type"] in NUMPY and not (
            isinstance(seen, np.ndarray) and seen.dtype == NUMPY[kind["items"]["type"]]
        ):
            return False
        return len(seen) == len(value) and all(same(one, other, kind["items"]) for one, other in zip(seen, value))
    if name in ("map", "object") and value is not None:
        inner = kind.get("properties") or dict.fromkeys(value, kind["values"])
        return set(seen) == set(value) and all(same(seen[key], value[key], inner[key]) for key in value)
    if name in ("float", "double"):
        if value is None or value != value:
            return seen is None or bool(np.isnan(seen))
        exact = float(np.float32(value)) if name == "float" else value
        return (
            isinstance(seen, (float, np.floating))
            and float(seen) == exact
            and math.copysign(1, seen) == math.copysign(1, value)
        )
    if name == "datetime":
        return bool(pd.isna(seen) if value is None else pd.Timestamp(seen) == pd.Timestamp(utc(value)))
    return identical(seen, value)


def identical(seen: Any, value: Any) -> bool:
    seen = seen.item() if isinstance(seen, np.generic) else seen
    if isinstance(value, memoryview):
        value = bytes(value)
    if isinstance(value, uuid.UUID):
        value = str(value)
    if isinstance(value, list):
        return isinstance(seen, list) and len(seen) == len(value) and all(map(identical, seen, value))
    if isinstance(value, (float, Decimal)) and value != value:
        return type(seen) is type(value) and bool(seen != seen)
    return type(seen) is type(value) and bool(seen == value)


# ---- inputs ----


def declared() -> Iterator[dict[str, Any]]:
    """Every type of an input."""
    for name in [*TAKES, "any"]:
        plain = {"type": name}
        both = {"a": {**plain, "required": True}, "b": {**plain, "required": False}}
        thing = {"type": "object", "properties": both}
        array = {"type": "array", "items": plain}
        yield from (plain, array, {"type": "array", "items": array}, {"type": "map", "values": plain}, thing)
        yield from ({"type": "array", "items": thing}, {"type": "map", "values": array})
        yield {"type": "object", "properties": {"a": {**array, "required": False}}}


class Models:
    """One model of MLflow's, under many signatures."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "model.py").write_text(MODEL)
        mlflow.pyfunc.save_model(folder / "model", python_model=str(folder / "model.py"), pip_requirements=["pandas"])
        self._content = yaml.safe_load((folder / "model" / "MLmodel").read_text())

    def load(self, inputs: list[dict[str, Any]]) -> tuple[Any, Signature]:
        outputs = [{"type": "string", "name": "y", "required": True}]
        self._content["signature"] = {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs), "params": None}
        (self._folder / "model" / "MLmodel").write_text(yaml.safe_dump(self._content))
        return mlflow.pyfunc.load_model(str(self._folder / "model")), mlmodel.parse(self._content["signature"], "m")


def outcomes_of_inputs(models: Models, count: dict[str, int]) -> Iterator[str]:
    columns = [*SCALARS, *("_" + kind for kind in SCALARS), "jsonb", "_jsonb"]
    for kind in declared():
        for required in (True, False):
            try:
                model, parsed = models.load([ROW, {**kind, "name": "x", "required": required}])
            except mlflow.exceptions.MlflowException as error:
                yield f"{kind}: {error}"
                continue
            for column in columns:
                yield from outcomes_of_column(model, parsed, kind, required, column, count)


def outcomes_of_column(
    model: Any, parsed: Signature, kind: dict[str, Any], required: bool, column: str, count: dict[str, int]
) -> Iterator[str]:
    what = f"{column} for {json.dumps(kind)}{'' if required else ', optional'}"
    described = {name: Column(name, of, of, None, False) for name, of in (("row", "int8"), ("x", column))}
    try:
        made = matching.match(parsed, described, ["row", "x"], "m")
    except ModelError as error:
        count["refused by plan"] += 1
        if taken(kind, column) or "input 'x'" not in str(error):
            yield f"{what}: refused by plan: {error}"
        return
    if not taken(kind, column):
        yield f"{what}: taken by plan"
        return
    values = values_of(column)
    contract = Contract(made, parsed.outputs)
    yield from compare(model, contract, kind, required, what, values, values, count)
    if (column, parsed.inputs[1].dtype) in copy_binary.AS_SENT:
        numbers = np.array(SCALARS[column], np.dtype(SENT[column]).newbyteorder("="))
        held = (
            [float(str(one)) if column == "float4" else one for one in numbers]
            if column == "float4"
            else SCALARS[column]
        )
        yield from compare(model, contract, kind, required, what + ", as an array", numbers, held, count)


def compare(
    model: Any, contract: Contract, kind: dict[str, Any], required: bool, what: str, given: Any, values: list[Any],
    count: dict[str, int],
) -> Iterator[str]:  # fmt: skip
    SEEN.values = {}
    ordinals = np.arange(len(values))
    rows, lost = Rows(ordinals, None, [ordinals, given]), {}
    for part, result in bisect(rows, lambda part: call(model, part.columns, contract), (Exception,)):
        if isinstance(result, BaseException):
            lost[int(part.ordinals[0])] = result
    for number, value in enumerate(values):
        if number in lost and NO_TEXTS and leaf(kind) == "string" and "Failed to enforce schema" in str(lost[number]):
            count["refused by MLflow"] += 1
        elif number in lost:
            count["quarantined"] += 1
            if "input 'x'" not in str(lost[number]) or "schema" in str(lost[number]) or fits(value, kind, required):
                yield f"{what}: {value!r} is lost: {lost[number]!r}"
        else:
            count["given"] += 1
            seen = SEEN.values[number]
            if not fits(value, kind, required) or not same(seen, value, kind):
                yield f"{what}: {value!r} is seen as {seen!r} ({type(seen).__name__})"


# ---- outputs ----


def outcomes_of_outputs(count: dict[str, int]) -> Iterator[str]:
    for kind, returned in RETURNED.items():
        for answer in ANSWERS:
            for _ in range(40):
                values = [RANDOM.choice(returned + MISSING) for _ in range(RANDOM.randrange(2, 7))]
                count["batches"] += 1
                found = dependent(answer, kind, values)
                if found:
                    yield found


def main() -> None:
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    folder, count = Path(tempfile.mkdtemp()), collections.Counter[str]()
    try:
        wrong = [*outcomes_of_inputs(Models(folder), count), *outcomes_of_outputs(count)]
    finally:
        shutil.rmtree(folder)
    arrow = importlib.util.find_spec("pyarrow") is not None
    versions = [mlflow.__version__, pd.__version__, np.__version__, arrow]
    print(json.dumps({"versions": versions, "count": count, "wrong": wrong[:50], "wrongs": len(wrong)}))


if __name__ == "__main__":
    main()
