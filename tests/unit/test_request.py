"""Trigger parameters: what is wrong is answered with field, value and what is allowed; nothing is SQL."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import RequestError
from inference.jobs.request import Request, parse

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"mode": "all"}, "mode: 'all': Input should be 'pending', 'rescore', 'key_range' or 'replay'"),
    ({"mode": "pending; DROP TABLE x"}, "mode: 'pending; DROP TABLE x': Input should be"),
    ({"row_limit": 0}, "row_limit: 0: Input should be greater than or equal to 1"),
    ({"row_limit": 10**30}, "Input should be less than or equal to 1000000000000000"),
    ({"row_limit": "10"}, "row_limit: '10': Input should be a valid integer"),
    ({"row_limit": "1 OR 1=1"}, "row_limit: '1 OR 1=1': Input should be a valid integer"),
    ({"row_limit": True}, "row_limit: True: Input should be a valid integer"),
    ({"model": "a b"}, "model: 'a b': an alias consists of letters"),
    ({"model": "'; --"}, 'model: "\'; --": an alias consists of letters'),
    ({"model": "../x"}, "model: '../x': an alias consists of letters"),
    ({"model": 3}, "model: 3: Input should be a valid string"),
    ({"model": "0"}, "model: '0': a version is a number from 1 on"),
    ({"key_from": "1"}, "key_from, key_to: belong to mode key_range, and it needs at least one of them"),
    ({"mode": "key_range"}, "key_from, key_to: belong to mode key_range, and it needs at least one of them"),
    ({"mode": "key_range", "key_from": 5}, "key_from: 5: Input should be a valid string"),
    ({"mode": "key_range", "key_from": "x" * 1001}, "String should have at most 1000 characters"),
    ({"mode": "key_range", "key_from": "a\0b"}, "key_from: 'a\\x00b': contains a NUL character"),
    ({"publish": "now"}, "publish: 'now': Input should be 'publish' or 'hold'"),
    ({"dry_run": "yes"}, "dry_run: 'yes': Input should be a valid boolean"),
    ({"rows": 5}, "rows: is no"),
    ({"%(x)s": 5}, "%(x)s: is no"),
]


@pytest.mark.parametrize(("values", "wanted"), WRONG)
def test_a_wrong_parameter_is_named(values: dict[str, Any], wanted: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse(values)
    assert str(caught.value).startswith("this run's parameters: 1 error(s)\n  ")
    assert wanted in str(caught.value)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(list(Request.model_fields)) | st.text() | st.integers(), ANYTHING, max_size=4))
def test_anything_is_taken_as_it_is_or_refused_in_words(values: dict[Any, Any]) -> None:
    with contextlib.suppress(RequestError):
        request = parse(values)
        assert {name: getattr(request, name) for name in values} == values


def test_all_errors_come_at_once() -> None:
    with pytest.raises(RequestError, match=r"2 error\(s\)"):
        parse({"mode": "x", "row_limit": 0})


def test_without_parameters_a_run_does_what_a_scheduled_one_does() -> None:
    assert parse({}) == Request()
    assert Request().model_dump() == {
        "mode": "pending", "model": None, "row_limit": None, "key_from": None, "key_to": None, "dry_run": False,
        "publish": "publish",
    }  # fmt: skip


def test_values_of_a_key_range_are_taken_as_they_are() -> None:
    values = {"mode": "key_range", "key_from": "'; DROP TABLE x; -- %(y)s {z} :w", "key_to": ""}
    assert {name: value for name, value in parse(values).model_dump().items() if name in values} == values
