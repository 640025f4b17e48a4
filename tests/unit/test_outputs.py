"""The columns that a signature's outputs become, and the names that a job gives them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from inference.base.outputs import Output, named, outputs_of
from inference.base.signature import Signature
from inference.errors import ModelError
from tests.stub import job

TENSOR = Output("prediction", "real[]", True, 3)


def tensor(dtype: str, *shape: int, name: Any = None) -> dict[str, Any]:
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}, "name": name}


@pytest.mark.parametrize(
    ("item", "output"),
    [
        (tensor("float32", -1), Output("prediction", "real", True)),
        (tensor("float32", -1, 1), Output("prediction", "real", True, 1)),
        (tensor("float64", -1, 3), Output("prediction", "double precision[]", True, 3)),
        (tensor("bool", -1, -1), Output("prediction", "boolean[]", True)),
        (tensor("str", -1, 2, name="words"), Output("words", "text[]", True, 2)),
        (tensor("int8", -1, name=0), Output("0", "integer", True)),
        (tensor("int16", -1, 1700), Output("prediction", "integer[]", True, 1700)),
    ],
)
def test_a_tensor_is_one_column_of_scalars_or_of_arrays(item: dict[str, Any], output: Output) -> None:
    assert outputs_of([item], "m") == (output,)


@pytest.mark.parametrize(
    ("labels", "names"),
    [([1, 2, 3], ["1", "2", "3"]), ([True, False], ["True", "False"]), ([0], ["0"]), ([0.5], ["0.5"])],
)
def test_labels_of_classes_are_names(labels: list[Any], names: list[str]) -> None:
    """F15."""
    items = [{"type": "double", "name": label} for label in labels]

    assert [item.name for item in outputs_of(items, "m")] == names


def test_labels_that_are_one_text_are_refused() -> None:
    """F15."""
    with pytest.raises(ModelError, match=r"^m: outputs: two are called '1' as text; give each a name of its own$"):
        outputs_of([{"type": "double", "name": 1}, {"type": "double", "name": "1"}], "m")


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            tensor("float16", -1),
            "'prediction': there is no column type for a tensor of float16. Let the model",
        ),
        (
            tensor("uint8", -1, 2),
            "'prediction': there is no column type for a tensor of uint8. Let the model",
        ),
        (tensor("complex128", -1, name="z"), "'z': there is no column type for a tensor of complex128. Let the model"),
        (
            tensor("float32", -1, 3, 4, name="z"),
            r"'z': there is no column type for a tensor of shape \(-1, 3, 4\)",
        ),
        (
            tensor("float32"),
            r"'prediction': there is no column type for a tensor of shape \(\)",
        ),
    ],
)
def test_a_tensor_that_is_no_column_is_refused_in_words(item: dict[str, Any], message: str) -> None:
    """R2."""
    with pytest.raises(ModelError, match=f"^m: output {message}"):
        outputs_of([item], "m")


@pytest.mark.parametrize(
    ("output", "names", "columns"),
    [
        (TENSOR, [], [TENSOR]),
        (TENSOR, ["chances"], [Output("chances", "real[]", True, 3, "prediction")]),
        (TENSOR, ["a", "b", "c"], [Output(name, "real", True, part_of="prediction") for name in "abc"]),
        (
            Output("logits", "text[]", False),
            ["a", "b"],
            [Output(name, "text", False, part_of="logits") for name in "ab"],
        ),
        (Output("0", "real", True, 1), ["price"], [Output("price", "real", True, 1, "0")]),
        (Output("prediction", "jsonb", True), ["answer"], [Output("answer", "jsonb", True, part_of="prediction")]),
    ],
)
def test_a_job_names_a_single_output(output: Output, names: list[str], columns: list[Output]) -> None:
    assert named((output,), names, "m") == tuple(columns)
    signature = Signature((), (output,)).named(names, "m")
    assert signature.outputs == tuple(columns)
    assert Signature.from_json(*map(json.loads, signature.to_json())) == signature


@pytest.mark.parametrize(
    ("outputs", "names", "message"),
    [
        (
            (TENSOR,),
            ["a", "b"],
            r"2 names \(a, b\), and the model returns 3 values for each row. Name all 3, or give one name",
        ),
        (
            (TENSOR,),
            list("abcdefgh"),
            r"8 names \(a, b, c, d, e, ... and 3 more\), and the model returns 3 values for each row",
        ),
        (
            (Output("y", "real", True, 1),),
            ["a", "b"],
            r"2 names \(a, b\), and the model returns 1 value for each row. Give it one name$",
        ),
    ],
)
def test_names_of_another_number_are_refused(outputs: tuple[Output, ...], names: list[str], message: str) -> None:
    with pytest.raises(ModelError, match=rf"^m: model\.outputs: {message}"):
        named(outputs, names, "m")


def test_outputs_that_have_names_are_given_no_others() -> None:
    outputs = (Output("label", "text", True), Output("score", "real", True))

    with pytest.raises(ModelError, match=r"has 2 outputs with names of their own: label, score\. Remove"):
        named(outputs, ["a", "b"], "m")


@pytest.mark.parametrize(
    ("names", "message"),
    [(["a", "a"], r"outputs: 'a' is listed twice"), ([""], r"model\.outputs\.0"), (["x" * 64], r"model\.outputs\.0")],
)
def test_names_in_the_file_are_columns_that_postgres_can_have(names: list[str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        job(model__outputs=names)
