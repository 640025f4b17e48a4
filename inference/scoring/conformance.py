"""`python -m inference conformance DIGEST TOLERANCE PARAMS`: does the model in this image keep its contract?

Runs inside the image. PARAMS: a JSON list of dicts, the parameters that each job gives the model. Each check has a
name, which begins its error:

load             the model loads
outputs          the logged input example is scored, one row for each, in the types of the signature
costs            what the model says that rows cost, if it does: a positive number for each, of that row alone
state            the same rows get the same answers when they are asked twice
order            ... in another order
batch statistics ... beside other rows of the same length
padding          ... beside longer rows
batch size       ... alone, and in a larger batch

and after the line READY it scores until SIGTERM: `signal` is judged from outside
(inference/images/conformance_check.py).
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

import numpy as np
import pandas as pd

from ..base import state_folder
from ..base.matching import Feed
from ..base.mlmodel import complete
from ..base.process_protocol import CONFORMANCE_READY
from ..base.signature import Input, Signature
from ..errors import ModelError
from . import load as loading
from .copy_text import BadOutput, encoder
from .predict import Contract, Predictor, call, cost_method, costs_of
from .rows import plain
from .stopping import stopping

EXAMPLES = 8  # rows of the example that are tried
LARGE = 64  # rows of a batch
Row = tuple[Any, ...]


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Returns 0 after SIGTERM, 65 with the name of a check that failed."""
    digest, tolerance, params = arguments if arguments is not None else sys.argv[2:]
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    declared = json.loads((state_folder.folder() / "signature.json").read_text(encoding="utf-8"))
    signature = Signature.from_json(declared["inputs"], declared["outputs"], declared.get("params"))
    with stopping() as stop:
        try:
            check(digest, signature, float(tolerance), json.loads(params), stop)
        except ModelError as error:
            print(f"error: {error}", flush=True)
            return error.exit_code
    return 0


def check(
    digest: str, signature: Signature, tolerance: float, params: Sequence[dict[str, Any]], stop: threading.Event
) -> None:
    """Raises ModelError: the name of the first check that fails, and what was seen."""
    try:
        model = loading.load(digest, allow_pickle=True)  # the environment says what is allowed
    except ModelError as error:
        raise ModelError(f"load: {error}") from None
    example = read_example(model, digest, signature.inputs)
    for given in params:
        asked = Asked(model, signature, tolerance, given)
        asked.check(example)
    print(CONFORMANCE_READY, flush=True)
    while not stop.wait(0.01):
        asked.answers(example)


def read_example(model: Any, digest: str, inputs: Sequence[Input]) -> list[Row]:
    """The first rows of the input example that was logged with the model, in the order of `inputs`."""
    example = model.metadata.load_input_example(str(state_folder.model_folder(digest)))
    if example is None:
        raise ModelError(
            "outputs: the model has no input example to score. Log it with input_example=, several rows of real data"
        )
    columns = _columns_of(example, inputs)
    missing = [item.name for item in inputs if item.required and item.name not in columns]
    if missing:
        raise ModelError(f"outputs: the input example has no column {missing[0]!r}; log one that fits the signature")
    rows = max(map(len, columns.values()))
    return list(zip(*(columns.get(item.name, [None] * rows) for item in inputs)))


def _columns_of(example: Any, inputs: Sequence[Input]) -> dict[str, list[Any]]:
    """The example's first rows by the names of the inputs; one that is unnamed has the empty name."""
    if isinstance(example, dict) and inputs[0].shape is not None:
        return {str(name): np.asarray(values)[:EXAMPLES].tolist() for name, values in example.items()}
    if len(inputs) == 1 and (isinstance(example, np.ndarray) or (isinstance(example, list) and not inputs[0].name)):
        return {
            inputs[0].name: np.asarray(example).tolist()[:EXAMPLES] if inputs[0].shape else list(example)[:EXAMPLES]
        }
    frame = pd.DataFrame(example).head(EXAMPLES)
    if len(inputs) == 1 and inputs[0].shape is not None:
        return {inputs[0].name: frame.to_numpy().tolist()}
    if not inputs[0].name:
        return {"": list(_values(frame.iloc[:, 0]))} if len(inputs) == 1 else _unnamed(frame)
    return {str(label): list(_values(frame[label])) for label in frame.columns}


def _unnamed(frame: pd.DataFrame) -> dict[str, list[Any]]:
    raise ModelError(f"outputs: the model takes {len(frame.columns)} columns without names; log it with names")


class Asked:
    """A model, and what it answers."""

    def __init__(self, model: Predictor, signature: Signature, tolerance: float, params: Mapping[str, Any]) -> None:
        self._model = model
        alone = [Feed(item, (number,), (item.name,)) for number, item in enumerate(complete(signature.inputs, model))]
        self._contract = Contract(alone, signature.outputs, params=params)
        self._encoders = [encoder(item.type) for item in signature.outputs]
        self._tolerance = tolerance

    def answers(self, rows: Sequence[Row]) -> list[Row]:
        """One call of the model; its answer for each row."""
        columns = [list(values) for values in zip(*rows)]
        return list(zip(*map(plain, call(self._model, columns, self._contract))))

    def check(self, example: list[Row]) -> None:
        self._outputs_fit(example)
        rows = self._scored([*example, *(other for row in example for other in (same_length(row), longer(row)))])
        self._costs_fit(rows)
        first = self.answers(rows)
        self._same("state", "asked a second time", first, self.answers(rows))
        self._same("order", "in the reverse order", first, self.answers(rows[::-1])[::-1])
        for row in rows[:EXAMPLES]:
            alike = self.answers([row, row])[:1]
            for name, other in (("batch statistics", same_length(row)), ("padding", longer(row))):
                if self._scored([other]):
                    what = f"beside {_short(other)}"
                    self._same(name, what, alike, self.answers([row, other])[:1])
        alone = [answer for row in rows for answer in self.answers([row])]
        self._same("batch size", "alone", first, alone)
        many = (rows * LARGE)[:LARGE]
        self._same("batch size", f"in a batch of {LARGE}", (first * LARGE)[:LARGE], self.answers(many))

    def _outputs_fit(self, example: Sequence[Row]) -> None:
        try:
            for answer in self.answers(example):
                for encode, value in zip(self._encoders, answer):
                    encode(value)
        except BadOutput as error:
            raise ModelError(f"outputs: {error}") from None
        except Exception as error:
            raise ModelError(f"outputs: the input example is not scored: {type(error).__name__}: {error}") from None

    def _costs_fit(self, rows: Sequence[Row]) -> None:
        ask = cost_method(self._model)
        if ask is None:
            return

        def told(asked: Sequence[Row]) -> list[Row]:
            columns = [list(values) for values in zip(*asked)]
            return [(cost,) for cost in costs_of(ask, columns, self._contract).tolist()]

        try:
            together, alone = told(rows), [told([row])[0] for row in rows]
        except Exception as error:
            raise ModelError(f"costs: {type(error).__name__}: {error}") from None
        self._same("costs", "alone", together, alone)

    def _scored(self, rows: Sequence[Row]) -> list[Row]:
        """Those that the model takes: not every variation of a row makes sense to it."""
        found = []
        for row in rows:
            try:
                self.answers([row, row])
            except Exception:
                continue
            found.append(row)
        return found

    def _same(self, name: str, what: str, expected: Sequence[Row], seen: Sequence[Row]) -> None:
        for number, (one, other) in enumerate(zip(expected, seen)):
            if not equal(one, other, self._tolerance):
                raise ModelError(
                    f"{name}: {what}, row {number} of the input example is answered {_short(other)} instead of "
                    f"{_short(one)} (tolerance {self._tolerance:g}). A row's answer may depend on nothing but the row."
                )


def equal(one: Any, other: Any, tolerance: float) -> bool:
    """Numbers within the tolerance, relative to their size above 1; everything else exactly."""
    if hasattr(one, "tolist") and hasattr(other, "tolist"):
        one, other = one.tolist(), other.tolist()
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key], tolerance) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(lambda a, b: equal(a, b, tolerance), one, other))
    if isinstance(one, float) and isinstance(other, float):
        both_nan = one != one and other != other
        return both_nan or one == other or abs(one - other) <= tolerance * max(1.0, abs(one))
    return bool(one == other)


def same_length(row: Row) -> Row:
    """Another row that takes as much room: text backwards, other numbers."""
    return tuple(_varied(value, lambda text: text[::-1]) for value in row)


def longer(row: Row) -> Row:
    """Another row that takes more room."""
    return tuple(_varied(value, lambda text: f"{text} {text} {text}") for value in row)


def _varied(value: Any, vary: Any) -> Any:
    if isinstance(value, str):
        return vary(value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value * 2 + 1
    if isinstance(value, list):
        return [_varied(item, vary) for item in value]
    return value


def _values(column: Any) -> Iterator[Any]:
    """Plain Python values; None for what is missing."""
    for value in column.tolist():
        yield None if pd.api.types.is_scalar(value) and pd.isna(value) else value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
