"""Which of a job's input columns each input of a model is made of, and whether their types fit without a cast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ..errors import ModelError
from . import queries
from .mlmodel import leaves
from .signature import TENSOR, Input, Signature
from .source import Column

# What the driver makes values of inside an array; an array of anything else would arrive as one text.
_ITEMS = {
    "bool", "int2", "int4", "int8", "float4", "float8", "numeric", "text", "varchar", "bpchar", "name", "bytea", "uuid",
    "date", "timestamp", "timestamptz", "time", "interval", "json", "jsonb",
}  # fmt: skip
_JSON = {"json", "jsonb"}
_TEXTS = {"text", "varchar", "bpchar", "enum", "uuid", "name"}
# MLflow's type of an input -> the Postgres types whose every value it holds exactly.
_COLUMNS = {
    "boolean": {"bool"},
    "integer": {"int2", "int4"},
    "long": {"int2", "int4", "int8"},
    "float": {"float4"},
    "double": {"float4", "float8", "int2", "int4"},
    "string": _TEXTS,
    "binary": {"bytea"},
    "datetime": {"timestamp", "timestamptz", "date"},
    "array": _JSON | {"_" + item for item in _ITEMS},
    "object": _JSON,
    "map": _JSON,
    "any": _JSON,
}
# The same for the values of a tensor.
_TENSORS = {
    "bool": {"bool"},
    "int16": {"int2"},
    "int32": _COLUMNS["integer"],
    "int64": _COLUMNS["long"],
    "float32": _COLUMNS["float"],
    "float64": _COLUMNS["double"],
    "str": _TEXTS,
    "object": _TEXTS,
}
# What a column of another type can be converted to in a view, and at what price.
_CASTS = {
    "float32": ("real", "rounds to some 7 digits"),
    "float64": ("double precision", "rounds to some 15 digits"),
    "bool": ("boolean", "fails for other values than true and false"),
    "int16": ("smallint", "fails for larger numbers"),
    "int32": ("integer", "fails for larger numbers"),
    "int64": ("bigint", "fails for larger numbers"),
    "str": ("text", "keeps the text form"),
    "object": ("text", "keeps the text form"),
}
FLOATS = ("float32", "float64")
SQL = queries.load("base/matching")
SHOWN = 8  # positions of a tensor that a message names
LONGEST = 300  # characters of names that a message has


@dataclass(frozen=True)
class Feed:
    """An input of the model, and the columns that it is made of.

    columns: their positions among the job's inputs. names: their names. fields: whether they are the properties of an
    object, each by its name.
    """

    input: Input
    columns: tuple[int, ...]
    names: tuple[str, ...]
    fields: bool = False


def feeds(inputs: Sequence[Input], names: Sequence[str], model: str) -> list[Feed]:
    """How the model's inputs are made of the job's input columns `names`.

    Raises ModelError if an input has no column, or a column no input.
    """
    if len(inputs) == 1 and inputs[0].type == TENSOR:
        return [_one_tensor(inputs[0], names, model)]
    if inputs and not inputs[0].name:
        return _by_position(inputs, names, model)
    return _by_name(inputs, names, model)


def by_position(inputs: Sequence[Input]) -> bool:
    """Whether the order of the job's inputs decides which column goes where."""
    return (len(inputs) == 1 and inputs[0].type == TENSOR) or (bool(inputs) and not inputs[0].name)


def _one_tensor(item: Input, names: Sequence[str], model: str) -> Feed:
    """The columns of a tensor in the job's order, or one array column."""
    width = item.width
    if len(names) != 1 and width is not None and len(names) != width:
        array = " or one array column" if width > 1 else ""
        raise ModelError(
            f"{model}: takes a tensor of {width} value(s) a row, and source.inputs names {len(names)} columns. Name "
            f"{width} columns in the order of the tensor{array}"
        )
    return Feed(item, tuple(range(len(names))), tuple(names))


def _by_position(inputs: Sequence[Input], names: Sequence[str], model: str) -> list[Feed]:
    only = inputs[0]
    properties = (only.declared or {}).get("properties")
    if len(inputs) == 1 and properties and set(names) <= properties.keys():
        missing = {name for name, kind in properties.items() if kind.get("required", True)} - set(names)
        if missing:
            raise ModelError(f"{model}: needs a column {min(missing)!r} in source.inputs, or one jsonb column with all")
        return [Feed(only, tuple(range(len(names))), tuple(names), fields=True)]
    if len(names) != len(inputs):
        fields = f", or columns named like its fields: {', '.join(properties)}" if properties else ""
        raise ModelError(
            f"{model}: takes {len(inputs)} input(s) without names, and source.inputs names {len(names)}: "
            f"{_short(names)}. Name as many, in the order of the signature{fields}"
        )
    return [Feed(item, (number,), (names[number],)) for number, item in enumerate(inputs)]


def _by_name(inputs: Sequence[Input], names: Sequence[str], model: str) -> list[Feed]:
    for item in inputs:
        if item.required and item.name not in names:
            raise ModelError(
                f"{model}: needs input {item.name!r}, which is not in source.inputs ({_short(names)}). "
                "Add the column, or rename one in a view."
            )
    known = [item.name for item in inputs]
    unknown = set(names) - set(known)
    if unknown:
        raise ModelError(
            f"{model}: source.inputs: {min(unknown)!r} is no input of the model, which has: {_short(known)}"
        )
    of_name = {item.name: item for item in inputs}
    return [Feed(of_name[name], (number,), (name,)) for number, name in enumerate(names)]


def match(
    signature: Signature, columns: dict[str, Column], inputs: Sequence[str], model: str, nulls: str = "quarantine"
) -> list[Feed]:
    """How the model's inputs are made of the job's columns. Raises ModelError unless each type fits without a cast.

    nulls: `nan` if a NULL becomes NaN in a tensor.
    """
    made = feeds(signature.inputs, inputs, model)
    if nulls == "nan":
        _require_floats(made, model)
    for feed in made:
        named = [columns[inputs[number]] for number in feed.columns]
        if feed.input.shape is not None:
            _match_tensor(feed.input, named, inputs, model)
        elif feed.fields:
            properties = (feed.input.declared or {})["properties"]
            for name, column in zip(feed.names, named):
                _match_column(_property(name, properties[name]), column, model)
        else:
            _match_column(feed.input, named[0], model)
    return made


def _require_floats(made: Sequence[Feed], model: str) -> None:
    if not all(feed.input.shape is not None and feed.input.dtype in FLOATS for feed in made):
        raise ModelError(
            f"{model}: model.nulls: nan is for tensors of floats, and this model has other inputs. In a named column "
            "of floats a NULL is NaN in any case; elsewhere there is no NaN. Remove model.nulls"
        )


def _property(name: str, kind: dict[str, Any]) -> Input:
    return Input(name, kind["type"], "object", kind.get("required", True), kind)


def _match_tensor(item: Input, named: Sequence[Column], inputs: Sequence[str], model: str) -> None:
    kinds = _TENSORS[item.dtype]
    array = len(named) == 1 and len(item.shape or ()) == 2 and named[0].kind.startswith("_")
    if len(named) == 1 and not array and named[0].kind.startswith("_"):
        raise ModelError(
            f"{model}: column {named[0].name!r} is {named[0].type}, and the model takes one {item.dtype} a row. Name a "
            "column with single values"
        )
    for column in named:
        if (column.kind[1:] if array else column.kind) not in kinds:
            raise ModelError(_refused_tensor(item, column, named, inputs, model, array))
    if len(named) == 1 and not array and item.width != 1:
        count = "several" if item.width is None else item.width
        raise ModelError(
            f"{model}: takes a tensor of {count} values a row, and {named[0].name!r} is one {named[0].type}. Name "
            f"{count} columns in source.inputs, in the order of the tensor, or one column of type "
            f"{' or '.join(sorted(kinds))} with [] behind it"
        )


def _refused_tensor(
    item: Input, column: Column, named: Sequence[Column], inputs: Sequence[str], model: str, array: bool
) -> str:
    target, price = _CASTS[item.dtype]
    target += "[]" if array else ""
    cast = ", ".join(
        f"{_quoted(name)}::{target} AS {_quoted(name)}" if name in {one.name for one in named} else _quoted(name)
        for name in inputs
    )
    view = SQL["view"].format(view="...", columns=f"<key>, {cast}", relation="...")
    if len(inputs) > SHOWN:
        view = f"with ::{target} behind the column"
    return (
        f"{model}: column {column.name!r} is {column.type}, and the model takes a tensor of {item.dtype}, which holds "
        f"{said(_TENSORS[item.dtype])} exactly; nothing is cast silently. If that will do (it {price}), read a view: "
        f"{view}"
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _match_column(item: Input, column: Column, model: str) -> None:
    words, kinds = taken(item)
    shown = repr(item.name) if item.name else f"(unnamed, from column {column.name!r})"
    if column.kind not in kinds:
        raise ModelError(
            f"{model}: input {shown} is {words}; the source's column is {column.type}, and nothing is "
            f"cast silently. It takes {said(kinds)}: convert the column in a view."
        )
    outside = {"binary", "datetime"} & leaves(item.declared or {})
    if outside and column.kind.lstrip("_") in _JSON:
        raise ModelError(
            f"{model}: input {shown} holds {min(outside)}, which JSON has not. Let the model take a string "
            "there, or the value as a column of its own."
        )


def taken(item: Input) -> tuple[str, set[str]]:
    """What an input is, in words, and the Postgres types that it takes. Items follow the same table as columns.

    Postgres has one type for arrays of any number of dimensions: that is judged row by row.
    """
    if item.shape is not None:
        kinds = _TENSORS[item.dtype]
        return f"a tensor of {item.dtype}", kinds | {"_" + kind for kind in kinds & _ITEMS}
    if item.type != "array" or item.declared is None:
        return item.type, _COLUMNS[item.type]
    inner, words = item.declared, ""
    while inner["type"] == "array":
        inner, words = inner["items"], words + "array of "
    if inner["type"] == "any":
        return words + "any", _COLUMNS["array"]
    items = {"_" + kind for kind in _COLUMNS[inner["type"]] & _ITEMS}
    return words + inner["type"], items if inner["type"] in ("binary", "datetime") else items | _JSON


def said(kinds: set[str]) -> str:
    """Types as people write them."""
    return ", ".join(sorted(kind[1:] + "[]" if kind.startswith("_") else kind for kind in kinds))


def dtypes(made: Sequence[Feed], count: int) -> list[Optional[str]]:
    """NumPy's type of each of the job's input columns; None for one that is a part of something else."""
    found: list[Optional[str]] = [None] * count
    for feed in made:
        for number in feed.columns:
            found[number] = None if feed.fields else feed.input.dtype
    return found


def positions(made: Sequence[Feed]) -> str:
    """Which column goes where, in words; empty where names decide."""
    if not by_position([feed.input for feed in made]):
        return ""
    order = [name for feed in made for name in feed.names]
    if made[0].fields or len(order) == 1:
        return f"inputs from {_short(order)}"
    numbered = [f"{number} {name}" for number, name in enumerate(order, 1)]
    more = f", ... {numbered[-1]}" if len(order) > SHOWN else ""
    return f"inputs by position: {_short(numbered[:SHOWN])}{more}"


def _short(names: Sequence[str]) -> str:
    """Names for a message: not a thousand of them."""
    shown = list(names)
    while len(", ".join(shown)) > LONGEST and len(shown) > 1:
        shown.pop()
    return ", ".join(shown) + (f", ... ({len(names)} in all)" if len(shown) < len(names) else "")
