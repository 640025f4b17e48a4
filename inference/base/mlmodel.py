"""The signature in an MLmodel file, parsed from the JSON that MLflow writes: neither plan nor a shard needs MLflow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Optional

from ..errors import ModelError
from .outputs import outputs_of
from .signature import TENSOR, Input, Param, Signature

# MLflow's type of a column -> NumPy's.
DTYPES = {
    "boolean": "bool", "integer": "int32", "long": "int64", "float": "float32", "double": "float64", "string": "object",
    "binary": "object", "datetime": "datetime64[us]", "array": "object", "object": "object", "map": "object",
    "any": "object",
}  # fmt: skip
# Types of tensors that a column can hold. MLflow calls a tensor of texts `str` or `object`.
_TENSORS = ("bool", "int16", "int32", "int64", "float32", "float64", "str", "object")


def parse(signature: dict[str, Any] | None, model: str, hinted: bool = False) -> Signature:
    """Read the `signature` of an MLmodel file; `hinted`: whether it is made of type hints.

    Raises ModelError that names the model and the column.
    """
    if not signature or not signature.get("inputs") or not signature.get("outputs"):
        missing = "outputs in its signature" if signature and signature.get("inputs") else "signature"
        name = model.partition(" version ")[0]
        raise ModelError(
            f"{model}: has no {missing}, and the columns of the predictions are taken from there. Add one with: "
            f"python -m inference models sign {name} --example FILE (rows that the model takes, as JSON or CSV); or "
            "log the model with signature=mlflow.models.infer_signature(inputs, outputs)"
        )
    inputs = [replace(_input(item, model), hinted=hinted) for item in json.loads(signature["inputs"])]
    _refuse_mixed(inputs, model)
    outputs = outputs_of(json.loads(signature["outputs"]), model)
    params = json.loads(signature.get("params") or "null") or []
    return Signature(tuple(inputs), outputs, tuple(map(_param, params)))


def _param(item: dict[str, Any]) -> Param:
    shape = item.get("shape")
    return Param(item["name"], item.get("type") or item["dtype"], None if shape is None else tuple(shape))


def _input(item: dict[str, Any], model: str) -> Input:
    given = item.get("name")
    name, label = _name(item), given if isinstance(given, (int, float)) else None
    shown = repr(name) if name else "(unnamed)"
    if item.get("type") == TENSOR:
        return _tensor(item, name, f"{model}: input {shown}")
    if item.get("type") not in DTYPES:
        raise ModelError(
            f"{model}: input {shown} is of type {item.get('type')!r}, which is not supported: inputs are tensors, or "
            f"columns of type {', '.join(DTYPES)}"
        )
    declared = _declared(item)
    unknown = leaves(declared or {}) - set(DTYPES)
    if unknown:
        raise ModelError(f"{model}: input {shown} holds {min(unknown)}, which is not supported")
    return Input(name, item["type"], DTYPES[item["type"]], item.get("required", True), declared, label=label)


def _name(item: dict[str, Any]) -> str:
    """A column's name as text: pandas allows numbers as names, such as the labels of classes."""
    name = item.get("name")
    return "" if name is None else str(name)


def _tensor(item: dict[str, Any], name: str, where: str) -> Input:
    """A tensor of one or two dimensions, of which the first is the number of rows."""
    dtype, shape = item["tensor-spec"]["dtype"], tuple(item["tensor-spec"]["shape"])
    if dtype not in _TENSORS:
        raise ModelError(
            f"{where} is a tensor of {dtype}, which no column holds: it may be of {', '.join(_TENSORS)}. Let the model "
            "take one of these and convert it"
        )
    if len(shape) not in (1, 2):
        raise ModelError(
            f"{where} is a tensor of shape {shape}, and a row of a table can give one or two dimensions, rows "
            "included. Let the model take the values of a row in a flat array and reshape them"
        )
    if shape[0] != -1:
        raise ModelError(
            f"{where} is a tensor of shape {shape}: it takes {shape[0]} rows at a time and no other number. Log it "
            "with -1 as its first dimension"
        )
    return Input(name, TENSOR, dtype, item.get("required", True), shape=shape)


def _refuse_mixed(inputs: Sequence[Input], model: str) -> None:
    names = [item.name for item in inputs]
    if len(inputs) > 1 and "" in names and (any(names) or inputs[0].shape is not None):
        raise ModelError(f"{model}: inputs: some have no name. Give each of several inputs a name")


def _declared(item: dict[str, Any]) -> Optional[dict[str, Any]]:
    """The whole type of an array, object or map."""
    inner: dict[str, Any] = {key: item[key] for key in ("items", "properties", "values") if key in item}
    return {"type": item["type"], **inner} if inner else None


def leaves(kind: dict[str, Any]) -> set[str]:
    """The types that a type is made of in the end."""
    inner = [*kind.get("properties", {}).values(), *(kind[key] for key in ("items", "values") if key in kind)]
    if inner:
        return set().union(*map(leaves, inner))
    return {kind["type"]} if "type" in kind else set()


def complete(inputs: Sequence[Input], model: Any) -> list[Input]:
    """Inputs that older code stored without what their arrays, objects and maps hold: the loaded model says it."""
    nested = {item.name for item in inputs if item.type in ("array", "object", "map") and item.declared is None}
    schema = getattr(getattr(model, "metadata", None), "signature", None)
    if not nested or schema is None:
        return list(inputs)
    declared = {_name(item): _declared(item) for item in json.loads(schema.inputs.to_json())}
    return [replace(item, declared=declared.get(item.name)) if item.name in nested else item for item in inputs]
