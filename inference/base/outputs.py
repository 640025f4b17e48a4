"""The outputs that an MLflow model signature declares, and the columns of the result that they become."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional

from ..errors import ModelError

_OUTPUTS = {
    "boolean": "boolean",
    "integer": "integer",
    "long": "bigint",
    "float": "real",
    "double": "double precision",
    "string": "text",
    "binary": "bytea",
    "datetime": "timestamp",
    "object": "jsonb",
    "map": "jsonb",
    "any": "jsonb",
}
# NumPy type of a tensor -> the Postgres type that holds each of its values exactly.
_TENSORS = {
    "bool": "boolean",
    "int8": "integer",
    "int16": "integer",
    "int32": "integer",
    "int64": "bigint",
    "float32": "real",
    "float64": "double precision",
    "str": "text",
    "object": "text",
}
UNNAMED = "prediction"  # what a single output without a name is called


@dataclass(frozen=True)
class Output:
    """A column that the model predicts. `type`: the Postgres type of its column in the result.

    width: how many values one row of a tensor has, where the signature fixes it.
    part_of: the signature's name of the output that the column is taken from, where the job names its columns.
    """

    name: str
    type: str
    required: bool
    width: Optional[int] = None
    part_of: Optional[str] = None


def outputs_of(columns: Sequence[dict[str, Any]], model: str) -> tuple[Output, ...]:
    """The outputs of a signature. Raises ModelError that names the model and the output."""
    found = tuple(_output(item, model, alone=len(columns) == 1) for item in columns)
    names = [item.name for item in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ModelError(f"{model}: outputs: two are called {min(twice)!r} as text; give each a name of its own")
    return found


def named(outputs: tuple[Output, ...], names: Sequence[str], model: str) -> tuple[Output, ...]:
    """The columns that a single output becomes under these names, of the job's `model.outputs`; without names, itself.

    One name is the name of the output. Several are the names of the values in each row of an array. Raises ModelError
    if the output has another number of values.
    """
    if not names:
        return outputs
    if len(outputs) > 1:
        raise ModelError(
            f"{model}: model.outputs names the values of a single output, and this model has {len(outputs)} outputs "
            f"with names of their own: {_short(item.name for item in outputs)}. Remove model.outputs from the job file"
        )
    (output,) = outputs
    if len(names) == 1:
        return (replace(output, name=names[0], part_of=output.name),)
    array = output.type.endswith("[]")
    count = output.width if array else 1
    if count is not None and count != len(names):
        way_out = f"Name all {count}, or give one name for the whole array" if array else "Give it one name"
        raise ModelError(
            f"{model}: model.outputs: {len(names)} names ({_short(names)}), and the model returns {count} "
            f"{'values' if count != 1 else 'value'} for each row. {way_out}"
        )
    item = output.type[:-2] if array else output.type
    return tuple(Output(name, item, output.required, part_of=output.name) for name in names)


def _output(item: dict[str, Any], model: str, alone: bool) -> Output:
    name = item.get("name")
    if name is None or name == "":
        if not alone:
            raise ModelError(f"{model}: outputs: several without names; return a DataFrame with named columns")
        name = UNNAMED
    name = str(name)  # labels of classes, as 1 or True, are names too
    if len(name.encode()) > 63 or "\0" in name:
        raise ModelError(f"{model}: output {name!r}: longer than 63 bytes, which Postgres would cut")
    required = item.get("required", True)
    if item["type"] == "tensor":
        return _tensor(item["tensor-spec"], name, required, model)
    return Output(name, _column_type(item, model, name), required)


def _tensor(spec: dict[str, Any], name: str, required: bool, model: str) -> Output:
    """One value for each row is a column of them; several are a column of arrays."""
    kind, shape = _TENSORS.get(spec["dtype"]), spec["shape"]
    if kind is None:
        raise ModelError(
            f"{model}: output {name!r}: there is no column type for a tensor of {spec['dtype']}. Let the model return "
            f"one of {', '.join(_TENSORS)}"
        )
    if len(shape) not in (1, 2):
        raise ModelError(
            f"{model}: output {name!r}: there is no column type for a tensor of shape {tuple(shape)}: a row may have "
            "one value or one list of values. Let the model reshape it to two dimensions"
        )
    if len(shape) == 1:
        return Output(name, kind, required)
    width = None if shape[1] < 0 else shape[1]
    return Output(name, kind if width == 1 else kind + "[]", required, width)


def _column_type(item: dict[str, Any], model: str, name: str) -> str:
    if item["type"] == "array":
        inner = item["items"]["type"]
        return _OUTPUTS[inner] + "[]" if inner in _OUTPUTS and _OUTPUTS[inner] != "jsonb" else "jsonb"
    if item["type"] in _OUTPUTS:
        return _OUTPUTS[item["type"]]
    raise ModelError(f"{model}: output {name!r}: there is no column type for {json.dumps(item)}")


def _short(names: Iterable[str]) -> str:
    """Names for a message, which may be thousands."""
    first = list(names)
    return ", ".join(first[:5]) + (f", ... and {len(first) - 5} more" if len(first) > 5 else "")
