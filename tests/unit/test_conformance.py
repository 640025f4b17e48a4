"""The conformance check names what a model does wrong; no container is needed to see that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from inference.base.outputs import Output
from inference.base.signature import Input, Signature
from inference.errors import ModelError
from inference.scoring.conformance import Asked, equal, longer, same_length

TEXT = Signature((Input("text", "string", "object", True),), (Output("score", "double precision", True),))
NUMBER = Signature((Input("amount", "double", "float64", True),), (Output("score", "double precision", True),))
EXAMPLE: list[tuple[Any, ...]] = [("where is it",), ("thanks",)]


class Model:
    """Scores by a function of all values of a call."""

    def __init__(self, score: Callable[[list[Any]], Any]) -> None:
        self._score = score

    def predict(self, data: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"score": np.array(self._score(data.iloc[:, 0].tolist()), dtype=np.float64)})


def check(score: Callable[[list[Any]], Any], signature: Signature = TEXT, tolerance: float = 1e-5) -> None:
    example = EXAMPLE if signature is TEXT else [(2.5,), (-1.0,)]
    Asked(Model(score), signature, tolerance, {}).check(example)


def standardised(values: list[float]) -> Any:
    return (np.array(values) - np.mean(values)) / (np.std(values) + 1e-5)


def lengths(texts: list[str]) -> list[int]:
    return [len(text) for text in texts]


def test_a_model_that_looks_at_each_row_alone_conforms() -> None:
    check(lengths)
    check(lambda values: np.array(values) * 3, NUMBER)


def test_a_model_that_refuses_odd_rows_is_asked_without_them() -> None:
    def strict(texts: list[str]) -> list[int]:
        if any(text not in ("where is it", "thanks") for text in texts):
            raise ValueError("unknown text")
        return lengths(texts)

    check(strict)


COUNTER = iter(range(10_000))


@pytest.mark.parametrize(
    ("name", "signature", "score"),
    [
        ("state", TEXT, lambda texts: [next(COUNTER) for _ in texts]),
        ("order", TEXT, lambda texts: np.cumsum(lengths(texts))),
        ("batch statistics", NUMBER, standardised),
        ("batch statistics", TEXT, lambda texts: standardised([ord(text[0]) for text in texts])),
        ("padding", TEXT, lambda texts: np.array(lengths(texts)) / max(lengths(texts))),
        ("batch size", TEXT, lambda texts: np.array(lengths(texts)) + (len(texts) == 1)),
        ("batch size", TEXT, lambda texts: np.array(lengths(texts)) + (len(texts) > 60)),
        ("outputs", TEXT, lambda texts: lengths(texts)[1:]),
    ],
)
def test_what_a_model_does_wrong_is_named(name: str, signature: Signature, score: Callable[[list[Any]], Any]) -> None:
    with pytest.raises(ModelError, match=rf"^{name}: "):
        check(score, signature)


class Costly(Model):
    """Tells what rows cost."""

    def __init__(self, costs: Callable[[list[Any]], Any]) -> None:
        super().__init__(lengths)
        self._costs = costs

    def costs(self, data: pd.DataFrame) -> Any:
        return self._costs(data.iloc[:, 0].tolist())


def test_costs_of_each_row_alone_conform() -> None:
    Asked(Costly(lengths), TEXT, 1e-5, {}).check(EXAMPLE)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (lambda texts: [max(lengths(texts))] * len(texts), "costs: alone, row 0 of the input example is answered"),
        (lambda texts: lengths(texts)[1:], "costs: BadShape: the model's costs for 6 rows are not as many positive"),
        (lambda texts: [0] * len(texts), "costs: BadShape: the model's costs for 6 rows are not as many positive"),
        (lambda texts: {}[0], "costs: KeyError: 0"),
    ],
)
def test_costs_that_are_not_of_each_row_are_named(told: Callable[[list[Any]], Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Asked(Costly(told), TEXT, 1e-5, {}).check(EXAMPLE)


def test_numbers_may_differ_by_the_declared_tolerance() -> None:
    def noisy(texts: list[str]) -> Any:
        return np.array(lengths(texts)) + 1e-4 * (len(texts) > 2)

    check(noisy, tolerance=1e-3)
    with pytest.raises(ModelError, match=r"batch size: .* \(tolerance 1e-06\)"):
        check(noisy, tolerance=1e-6)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1.0, 1.000001, True),
        (1.0, 1.1, False),
        (1e9, 1e9 + 100, True),
        (float("nan"), float("nan"), True),
        (float("nan"), 1.0, False),
        (float("inf"), float("inf"), True),
        ("a", "a", True),
        ("a", "b", False),
        ([0.5, "x"], [0.5000001, "x"], True),
        ([0.5], [0.5, 0.5], False),
        ({"a": [1.0]}, {"a": [1.0000001]}, True),
        ({"a": 1}, {"b": 1}, False),
        (np.array([1.0]), np.array([1.0000001]), True),
        (None, None, True),
        (None, 0.0, False),
    ],
)
def test_answers_are_equal_within_the_tolerance(one: Any, other: Any, same: bool) -> None:
    assert equal(one, other, 1e-5) is same


def test_variations_take_as_much_room_or_more() -> None:
    row = ("abc", 2, 1.5, True, None, ["x y", 3])

    assert same_length(row) == ("cba", 5, 4.0, False, None, ["y x", 7])
    assert len(longer(row)[0]) > len(row[0])
