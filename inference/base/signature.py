"""An MLflow model signature: what it asks of the source's columns, and the columns it predicts.

Parsed from the JSON that MLflow writes, so that neither plan nor a shard needs MLflow for it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Optional

from ..errors import ModelError
from .source import Column

# What the driver makes values of inside an array; an array of anything else would arrive as one text.
_ITEMS = {
    "bool", "int2", "int4", "int8", "float4", "float8", "numeric", "text", "varchar", "bpchar", "name", "bytea", "uuid",
    "date", "timestamp", "timestamptz", "time", "interval", "json", "jsonb",
}  # fmt: skip
_JSON = {"json", "jsonb"}
# MLflow type of an input -> Postgres types whose every value it holds exactly, and the NumPy type.
_INPUTS = {
    "boolean": ({"bool"}, "bool"),
    "integer": ({"int2", "int4"}, "int32"),
    "long": ({"int2", "int4", "int8"}, "int64"),
    "float": ({"float4"}, "float32"),
    "double": ({"float4", "float8", "int2", "int4"}, "float64"),
    "string": ({"text", "varchar", "bpchar", "enum", "uuid", "name"}, "object"),
    "binary": ({"bytea"}, "object"),
    "datetime": ({"timestamp", "timestamptz", "date"}, "datetime64[us]"),
    "array": (_JSON | {"_" + item for item in _ITEMS}, "object"),
    "object": (_JSON, "object"),
    "map": (_JSON, "object"),
    "any": (_JSON, "object"),
}
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
_TENSORS = {
    "bool": "boolean",
    "int32": "integer",
    "int64": "bigint",
    "float32": "real",
    "float64": "double precision",
    "str": "text",
    "object": "text",
}
UNNAMED = "prediction"  # what a single output without a name is called


@dataclass(frozen=True)
class Input:
    """A column that the model is given. `type`: MLflow's; `dtype`: NumPy's.

    declared: the whole type of an array, object or map, as the signature writes it; None where older code stored it.
    """

    name: str
    type: str
    dtype: str
    required: bool
    declared: Optional[dict[str, Any]] = None


@dataclass(frozen=True)
class Output:
    """A column that the model predicts. `type`: the Postgres type of its column in the result."""

    name: str
    type: str
    required: bool


@dataclass(frozen=True)
class Signature:
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]

    def to_json(self) -> tuple[str, str]:
        """Inputs and outputs, as kept in `prediction.model`."""
        return (
            json.dumps([asdict(item) for item in self.inputs]),
            json.dumps([asdict(item) for item in self.outputs]),
        )

    @classmethod
    def from_json(cls, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> Signature:
        return cls(tuple(Input(**item) for item in inputs), tuple(Output(**item) for item in outputs))


def parse(signature: dict[str, Any] | None, model: str) -> Signature:
    """Read the `signature` of an MLmodel file. Raises ModelError that names the model and the column."""
    if not signature or not signature.get("inputs") or not signature.get("outputs"):
        raise ModelError(
            f"{model}: has no signature with inputs and outputs. Log it with "
            "signature=mlflow.models.infer_signature(inputs, outputs), and register it again."
        )
    inputs = [_input(item, model) for item in json.loads(signature["inputs"])]
    columns = json.loads(signature["outputs"])
    outputs = [_output(item, model, alone=len(columns) == 1) for item in columns]
    return Signature(tuple(inputs), tuple(outputs))


def _input(item: dict[str, Any], model: str) -> Input:
    if item.get("type") not in _INPUTS or not item.get("name"):
        raise ModelError(
            f"{model}: input {item.get('name') or '(unnamed)'} of type {item.get('type')!r}: inputs must be named "
            f"columns of type {', '.join(_INPUTS)}. Log the model with a DataFrame as its input example."
        )
    declared = _declared(item)
    unknown = _leaves(declared or {}) - set(_INPUTS)
    if unknown:
        raise ModelError(f"{model}: input {item['name']!r} holds {min(unknown)}, which is not supported")
    return Input(item["name"], item["type"], _INPUTS[item["type"]][1], item.get("required", True), declared)


def _declared(item: dict[str, Any]) -> Optional[dict[str, Any]]:
    """The whole type of an array, object or map."""
    inner: dict[str, Any] = {key: item[key] for key in ("items", "properties", "values") if key in item}
    return {"type": item["type"], **inner} if inner else None


def _leaves(kind: dict[str, Any]) -> set[str]:
    """The types that a type is made of in the end."""
    inner = [*kind.get("properties", {}).values(), *(kind[key] for key in ("items", "values") if key in kind)]
    if inner:
        return set().union(*map(_leaves, inner))
    return {kind["type"]} if "type" in kind else set()


def _output(item: dict[str, Any], model: str, alone: bool) -> Output:
    name = item.get("name") or (UNNAMED if alone else None)
    if name is None:
        raise ModelError(f"{model}: outputs: several without names; return a DataFrame with named columns")
    if len(name.encode()) > 63 or "\0" in name:
        raise ModelError(f"{model}: output {name!r}: longer than 63 bytes, which Postgres would cut")
    kind = _column_type(item, model, name)
    return Output(name, kind, item.get("required", True))


def _column_type(item: dict[str, Any], model: str, name: str) -> str:
    if item["type"] == "tensor":
        spec = item["tensor-spec"]
        if spec["dtype"] in _TENSORS and len(spec["shape"]) <= 2:
            return _TENSORS[spec["dtype"]] + ("[]" if len(spec["shape"]) == 2 else "")
    elif item["type"] == "array":
        inner = item["items"]["type"]
        return _OUTPUTS[inner] + "[]" if inner in _OUTPUTS and _OUTPUTS[inner] != "jsonb" else "jsonb"
    elif item["type"] in _OUTPUTS:
        return _OUTPUTS[item["type"]]
    raise ModelError(f"{model}: output {name!r}: there is no column type for {json.dumps(item)}")


def complete(inputs: Sequence[Input], model: Any) -> list[Input]:
    """Inputs that older code stored without what their arrays, objects and maps hold: the loaded model says it."""
    nested = {item.name for item in inputs if item.type in ("array", "object", "map") and item.declared is None}
    schema = getattr(getattr(model, "metadata", None), "signature", None)
    if not nested or schema is None:
        return list(inputs)
    declared = {item["name"]: _declared(item) for item in json.loads(schema.inputs.to_json())}
    return [replace(item, declared=declared.get(item.name)) if item.name in nested else item for item in inputs]


def match(signature: Signature, columns: dict[str, Column], inputs: list[str], model: str) -> None:
    """Raise ModelError unless the job's input columns are what the model asks for, without a cast."""
    for item in signature.inputs:
        if item.name not in inputs:
            if item.required:
                raise ModelError(
                    f"{model}: needs input {item.name!r}, which is not in source.inputs ({', '.join(inputs)}). "
                    "Add the column, or rename one in a view."
                )
            continue
        column, (said, kinds) = columns[item.name], _taken(item)
        if column.kind not in kinds:
            raise ModelError(
                f"{model}: input {item.name!r} is {said}; the source's column is {column.type}, and nothing is "
                f"cast silently. It takes {_said(kinds)}: convert the column in a view."
            )
        outside = {"binary", "datetime"} & _leaves(item.declared or {})
        if outside and column.kind.lstrip("_") in _JSON:
            raise ModelError(
                f"{model}: input {item.name!r} holds {min(outside)}, which JSON has not. Let the model take a string "
                "there, or the value as a column of its own."
            )
    unknown = set(inputs) - {item.name for item in signature.inputs}
    if unknown:
        known = ", ".join(item.name for item in signature.inputs)
        raise ModelError(f"{model}: source.inputs: {min(unknown)!r} is no input of the model, which has: {known}")


def _taken(item: Input) -> tuple[str, set[str]]:
    """What an input is, in words, and the Postgres types that it takes. Items follow the same table as columns.

    Postgres has one type for arrays of any number of dimensions: that is judged row by row.
    """
    if item.type != "array" or item.declared is None:
        return item.type, _INPUTS[item.type][0]
    inner, said = item.declared, ""
    while inner["type"] == "array":
        inner, said = inner["items"], said + "array of "
    if inner["type"] == "any":
        return said + "any", _INPUTS["array"][0]
    items = {"_" + kind for kind in _INPUTS[inner["type"]][0] & _ITEMS}
    return said + inner["type"], items if inner["type"] in ("binary", "datetime") else items | _JSON


def _said(kinds: set[str]) -> str:
    """Types as people write them."""
    return ", ".join(sorted(kind[1:] + "[]" if kind.startswith("_") else kind for kind in kinds))
