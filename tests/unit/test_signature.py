"""Signatures as MLflow writes them: the columns that they mean, and the refusals."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from inference.base.matching import match
from inference.base.mlmodel import complete, parse
from inference.base.outputs import Output
from inference.base.signature import Input, Signature
from inference.base.source import Column
from inference.errors import ModelError

TEXT = [{"type": "string", "name": "text", "required": True}]


def parsed(outputs: list[dict[str, Any]], inputs: list[dict[str, Any]] = TEXT) -> Signature:
    return parse({"inputs": json.dumps(inputs), "outputs": json.dumps(outputs)}, "intent version 3")


def tensor(dtype: str, *shape: int, name: str | None = None) -> dict[str, Any]:
    spec = {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}}
    return {**spec, "name": name} if name else spec


def array(items: dict[str, Any], name: str = "values") -> dict[str, Any]:
    return {"type": "array", "items": items, "name": name, "required": True}


@pytest.mark.parametrize(
    ("output", "column"),
    [
        ({"type": "boolean", "name": "spam"}, Output("spam", "boolean", True)),
        ({"type": "integer", "name": "n"}, Output("n", "integer", True)),
        ({"type": "long", "name": "n"}, Output("n", "bigint", True)),
        ({"type": "float", "name": "p"}, Output("p", "real", True)),
        ({"type": "double", "name": "p", "required": False}, Output("p", "double precision", False)),
        ({"type": "binary", "name": "image"}, Output("image", "bytea", True)),
        ({"type": "datetime", "name": "due"}, Output("due", "timestamp", True)),
        ({"type": "string"}, Output("prediction", "text", True)),
        (array({"type": "string"}), Output("values", "text[]", True)),
        (array({"type": "double"}), Output("values", "double precision[]", True)),
        (array({"type": "array", "items": {"type": "double"}}), Output("values", "jsonb", True)),
        (array({"type": "object", "properties": {"a": {"type": "long"}}}), Output("values", "jsonb", True)),
        (array({"type": "any"}), Output("values", "jsonb", True)),
        (
            {"type": "object", "properties": {"a": {"type": "long", "required": True}}, "name": "found"},
            Output("found", "jsonb", True),
        ),
        ({"type": "map", "values": {"type": "double"}, "name": "chances"}, Output("chances", "jsonb", True)),
        ({"type": "any", "name": "answer"}, Output("answer", "jsonb", True)),
        (tensor("float64", -1), Output("prediction", "double precision", True)),
        (tensor("float32", -1, 384, name="embedding"), Output("embedding", "real[]", True, 384)),
        (tensor("int64", -1), Output("prediction", "bigint", True)),
        (tensor("float64", -1, 1), Output("prediction", "double precision", True, 1)),
        (tensor("float32", -1, -1), Output("prediction", "real[]", True)),
        ({"type": "double", "name": 0}, Output("0", "double precision", True)),
        ({"type": "double", "name": True}, Output("True", "double precision", True)),
        (tensor("bool", -1, 2), Output("prediction", "boolean[]", True, 2)),
        (tensor("str", -1), Output("prediction", "text", True)),
    ],
    ids=lambda value: value.type if isinstance(value, Output) else value["type"],
)
def test_a_single_output_becomes_a_column(output: dict[str, Any], column: Output) -> None:
    assert parsed([output]) == Signature((Input("text", "string", "object", True),), (column,))


def test_several_outputs_and_optional_inputs_keep_their_order_and_names() -> None:
    inputs = [
        {"type": "string", "name": "body", "required": True},
        {"type": "long", "name": "customer"},
        {"type": "datetime", "name": "sent", "required": False},
        array({"type": "double"}, "weights"),
    ]
    outputs = [{"type": "string", "name": "Intent des Kunden"}, {"type": "double", "name": 'con"fidence'}]

    signature = parsed(outputs, inputs)

    assert signature == Signature(
        (
            Input("body", "string", "object", True),
            Input("customer", "long", "int64", True),
            Input("sent", "datetime", "datetime64[us]", False),
            Input("weights", "array", "object", True, {"type": "array", "items": {"type": "double"}}),
        ),
        (Output("Intent des Kunden", "text", True), Output('con"fidence', "double precision", True)),
    )
    assert Signature.from_json(*map(json.loads, signature.to_json())) == signature


def test_inputs_that_older_code_stored_are_completed_by_the_loaded_model() -> None:
    """F1: without the type of its items, an array could not be judged."""
    chances = {"type": "map", "values": {"type": "long"}, "name": "chances", "required": True}
    inputs = [*TEXT, array({"type": "double"}, "weights"), chances]
    whole = parsed([{"type": "string"}], inputs)
    stored, outputs, _ = map(json.loads, whole.to_json())
    old = [{key: value for key, value in item.items() if key != "declared"} for item in stored]
    model = SimpleNamespace(metadata=SimpleNamespace(signature=SimpleNamespace(inputs=Schema(json.dumps(inputs)))))

    found = Signature.from_json(old, outputs)

    assert [item.declared for item in found.inputs] == [None, None, None]
    assert complete(found.inputs, model) == list(whole.inputs)
    assert complete(found.inputs, object()) == list(found.inputs)


class Schema:
    """Of MLflow."""

    def __init__(self, text: str) -> None:
        self.to_json = lambda: text


@pytest.mark.parametrize(
    ("kind", "taken", "refused"),
    [
        ({"type": "float"}, ["_float4", "jsonb"], ["_float8", "_int2", "_text", "float4", "text"]),
        ({"type": "double"}, ["_float4", "_float8", "_int2", "_int4", "json"], ["_int8", "_numeric", "_text"]),
        ({"type": "array", "items": {"type": "long"}}, ["_int2", "_int8", "jsonb"], ["_float8"]),
        ({"type": "string"}, ["_text", "_varchar", "_name", "_uuid", "jsonb"], ["_enum", "_int4", "_jsonb"]),
        ({"type": "datetime"}, ["_date", "_timestamp", "_timestamptz"], ["jsonb", "_text", "_time"]),
        ({"type": "binary"}, ["_bytea"], ["jsonb", "_text"]),
        ({"type": "any"}, ["_numeric", "_interval", "_jsonb", "json"], ["_hstore", "text"]),
        ({"type": "map", "values": {"type": "long"}}, ["jsonb", "_jsonb", "_json"], ["_text", "_hstore"]),
    ],
    ids=json.dumps,
)
def test_items_of_an_array_follow_the_table_of_columns(
    kind: dict[str, Any], taken: list[str], refused: list[str]
) -> None:
    """F13."""
    signature = parsed([{"type": "string"}], [array(kind, "text")])

    for name in taken:
        match(signature, {"text": column(name)}, ["text"], "m")
    for name in refused:
        with pytest.raises(ModelError, match=rf"^m: input 'text' is array of .*; the source's column is {name}, and"):
            match(signature, {"text": column(name)}, ["text"], "m")


def test_json_that_would_have_to_hold_bytes_or_moments_is_refused() -> None:
    """F33."""
    due = {"type": "object", "properties": {"due": {"type": "datetime", "required": True}}, "name": "text"}

    with pytest.raises(ModelError, match=r"^m: input 'text' holds datetime, which JSON has not"):
        match(parsed([{"type": "string"}], [due]), {"text": column("jsonb")}, ["text"], "m")


@pytest.mark.parametrize("signature", [None, {}, {"inputs": json.dumps(TEXT)}, {"outputs": json.dumps(TEXT)}])
def test_a_model_without_a_whole_signature_is_refused(signature: dict[str, Any] | None) -> None:
    with pytest.raises(
        ModelError,
        match=r"^intent version 3: has no (outputs in its )?signature, .*models sign intent .*infer_sig",
    ):
        parse(signature, "intent version 3")


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ([{"type": "string"}, {"type": "long"}], "outputs: several without names; return a DataFrame"),
        ([{"type": "string", "name": "é" * 32}], "longer than 63 bytes, which Postgres would cut"),
        ([{"type": "string", "name": "a\0b"}], "longer than 63 bytes|no name"),
        (
            [tensor("float32", -1, 3, 224, name="image")],
            "output 'image': there is no column type for a tensor of shape",
        ),
        ([tensor("complex64", -1)], "output 'prediction': there is no column type for a tensor of complex64"),
        ([tensor("uint8", -1)], "output 'prediction': there is no column type for a tensor of uint8"),
        ([tensor("float16", -1, 3, name="p")], "output 'p': there is no column type for a tensor of float16"),
        ([{"type": "sparkml_vector", "name": "v"}], "output 'v': there is no column type for"),
    ],
)
def test_an_output_that_is_no_column_is_refused_by_name(outputs: list[dict[str, Any]], message: str) -> None:
    """R2, where the model was logged with `uint8` or `float16`."""
    with pytest.raises(ModelError, match=f"^intent version 3: .*(?:{message})"):
        parsed(outputs)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"type": "sparkml_vector", "name": "v"}, "input 'v' is of type 'sparkml_vector', which is not supported"),
        (tensor("float16", -1, 4), r"input \(unnamed\) is a tensor of float16, which no column holds"),
        (tensor("uint8", -1, 28, 28, name="image"), "input 'image' is a tensor of uint8, which no column holds"),
        (
            tensor("float32", -1, 3, 224, 224),
            r"is a tensor of shape \(-1, 3, 224, 224\), and a row of a table can give",
        ),
        (tensor("float32", 1, 4), r"is a tensor of shape \(1, 4\): it takes 1 rows at a time and no other number"),
    ],
)
def test_an_input_that_no_column_is_is_refused(item: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError, match=f"^intent version 3: .*{words}"):
        parsed([{"type": "string"}], [item])


def test_several_inputs_of_which_one_has_no_name_are_refused() -> None:
    with pytest.raises(ModelError, match="inputs: some have no name"):
        parsed([{"type": "string"}], [*TEXT, {"type": "double"}])


def column(kind: str) -> Column:
    return Column("text", kind, kind, None, False)


@pytest.mark.parametrize(
    ("asked", "kind"),
    [("string", "text"), ("string", "enum"), ("long", "int4"), ("double", "float4"), ("datetime", "timestamptz"),
     ("array", "_text"), ("array", "jsonb"), ("map", "json"), ("binary", "bytea"), ("boolean", "bool")],
)  # fmt: skip
def test_a_column_that_the_input_holds_exactly_is_taken(asked: str, kind: str) -> None:
    match(parsed([{"type": "string"}], [{"type": asked, "name": "text"}]), {"text": column(kind)}, ["text"], "m")


@pytest.mark.parametrize(
    ("asked", "kind"),
    [("string", "int8"), ("integer", "int8"), ("float", "float8"), ("double", "numeric"), ("double", "int8"),
     ("array", "text"), ("map", "hstore"), ("boolean", "int2")],
)  # fmt: skip
def test_a_column_that_would_be_cast_is_refused(asked: str, kind: str) -> None:
    signature = parsed([{"type": "string"}], [{"type": asked, "name": "text"}])

    with pytest.raises(ModelError, match=rf"^m: input 'text' is {asked}; the source's column is {kind}, and nothing"):
        match(signature, {"text": column(kind)}, ["text"], "m")


def test_inputs_that_are_missing_or_too_many_are_named() -> None:
    signature = parsed([{"type": "string"}], [*TEXT, {"type": "long", "name": "age", "required": False}])
    columns = {"text": column("text"), "title": column("text")}

    match(signature, columns, ["text"], "m")  # an optional input may be left out
    with pytest.raises(ModelError, match=r"^m: needs input 'text', which is not in source\.inputs \(title\)"):
        match(signature, columns, ["title"], "m")
    with pytest.raises(ModelError, match=r"'title' is no input of the model, which has: text, age"):
        match(signature, columns, ["text", "title"], "m")
