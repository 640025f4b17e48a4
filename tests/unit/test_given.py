"""What is said of a row whose value no model can be given."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from inference.base.signature import Input
from inference.scoring import given


def plain(kind: str, dtype: str, required: bool = True) -> Input:
    return Input("n", kind, dtype, required)


def of(declared: dict[str, Any]) -> Input:
    return Input("n", declared["type"], "object", True, declared)


LATE = datetime.datetime(2262, 4, 12)
SAID: list[tuple[Input, Any, str]] = [
    (
        plain("long", "int64"), None,
        "input 'n' is NULL, and the model's signature says long, which has no NULL in MLflow",
    ),
    (
        plain("integer", "int32", False), None,
        "input 'n' is NULL, and the model's signature says integer, which has no NULL in MLflow, though it is "
        "optional: say double there, which has NaN",
    ),
    (
        plain("datetime", "datetime64[us]"), LATE,
        "input 'n' is 2262-04-12T00:00:00.000000: MLflow gives a model nanoseconds, which reach from 1677-09-21 to "
        "2262-04-11. Leave such rows out with source.where, or make NULL of them in a view",
    ),
    (
        of({"type": "array", "items": {"type": "string"}}), ["a", None],
        "an item of input 'n' is NULL, and MLflow has no NULL in an array of string: it would change the item",
    ),
    (
        of({"type": "map", "values": {"type": "array", "items": {"type": "long"}}}), {"k": [1, 2.5]},
        "an item of 'k' of input 'n' is of type float where the model's signature says long",
    ),
    (of({"type": "map", "values": {"type": "long"}}), None, "input 'n' is NULL, and the model's signature requires it"),
    (
        of({"type": "object", "properties": {"a": {"type": "double"}}}), {"b": 1},
        "input 'n' has 'b', which the model's signature does not know",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("item", "value", "message"), SAID, ids=[message[:40] for *_, message in SAID])
def test_the_reason_names_the_input(item: Input, value: Any, message: str) -> None:
    """F1, F30, F33, R1."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its whole text is below
        given.series([value], item)

    assert str(caught.value) == message
