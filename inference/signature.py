"""An MLflow model signature: what it asks of the source's columns, and the columns it predicts.

Parsed from the JSON that MLflow writes, so that neither plan nor a shard needs MLflow for it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from inference.errors import ModelError
from inference.source import Column

# What the driver makes values of inside an array; an array of anything else would arrive as one text.
_ITEMS = (
    "bool", "int2", "int4", "int8", "float4", "float8", "numeric", "text", "varchar", "bpchar", "bytea", "uuid", "date",
    "timestamp", "timestamptz", "time", "interval", "json", "jsonb",
)  # fmt: skip
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
    "array": ({"json", "jsonb"} | {"_" + item for item in _ITEMS}, "object"),
    "object": ({"json", "jsonb"}, "object"),
    "map": ({"json", "jsonb"}, "object"),
    "any": ({"json", "jsonb"}, "object"),
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
    """A column that the model is given. `type`: MLflow's; `dtype`: NumPy's."""

    name: str
    type: str
    dtype: str
    required: bool


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
    return Input(item["name"], item["type"], _INPUTS[item["type"]][1], item.get("required", True))


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
        column, kinds = columns[item.name], _INPUTS[item.type][0]
        if column.kind not in kinds:
            raise ModelError(
                f"{model}: input {item.name!r} is {item.type}; the source's column is {column.type}, and nothing is "
                f"cast silently. It takes {_said(kinds)}: convert the column in a view."
            )
    unknown = set(inputs) - {item.name for item in signature.inputs}
    if unknown:
        known = ", ".join(item.name for item in signature.inputs)
        raise ModelError(f"{model}: source.inputs: {min(unknown)!r} is no input of the model, which has: {known}")


def _said(kinds: set[str]) -> str:
    """Types as people write them."""
    return ", ".join(sorted(kind[1:] + "[]" if kind.startswith("_") else kind for kind in kinds))
