"""Predict: call the model on batches of a chunk's rows, dearest first; bisect a batch that fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Optional, Protocol

import numpy as np
import pandas as pd

from ..base.bisect import bisect
from ..base.signature import UNNAMED, Input, Output, Signature, complete
from ..errors import ProcessDied
from . import given, memory
from .batch_size import BatchSize
from .copy_text import BadOutput, BadShape, encoder, exact_below
from .deadline import Deadline
from .rows import EXACT, Array, Chunk, Column, Lost, Rows, Scored, hash_of, join, quarantined

CostMethod = Callable[[pd.DataFrame], Any]


class Predictor(Protocol):
    """What an MLflow pyfunc model offers."""

    def predict(self, data: pd.DataFrame) -> Any: ...


class Suspects(Protocol):
    """What a shard knows of rows that may have ended the model's process."""

    @property
    def needless(self) -> bool:
        """Whether no process of this shard has ended by its model."""

    def before(self, ordinals: Sequence[int]) -> tuple[int, Optional[ProcessDied]]:
        """How many of the first rows go into one call, and why the first must not go into any."""


class Scorer:
    """Calls one model. `inputs`: the job's input columns in the order of a row's values.

    A model whose Python object has a method `costs(frame)` says what each row costs (n positive numbers, such as counts
    of tokens): rows of like cost then share a batch.
    """

    def __init__(
        self,
        model: Predictor,
        signature: Signature,
        inputs: Sequence[str],
        size: BatchSize,
        deadline: Deadline,
        suspects: Suspects,
    ) -> None:
        self._model = model
        # Of a model that has died, nothing is asked but what has to be.
        self._costs = cost_method(model) if suspects.needless else None
        declared = {item.name: item for item in complete(signature.inputs, model)}
        self._inputs = [declared[name] for name in inputs]
        self._outputs = signature.outputs
        self._encoders = [encoder(item.type) for item in signature.outputs]
        self._size = size
        self._deadline = deadline
        self._suspects = suspects
        self._calls = 0
        self._heap = memory.Heap()

    def score(self, chunk: Chunk) -> Scored:
        """Every row of the chunk gets exactly one outcome."""
        self._calls = 0
        predicted: list[Rows] = []
        lost = list(chunk.lost)
        with self._deadline:
            rows, costs = self._ordered(chunk.rows, lost)
            for batch, cost in self._batches(rows, costs, lost):
                for part, result in bisect(batch, partial(self._call, cost), (Exception,)):
                    if isinstance(result, BaseException):
                        lost.append(quarantined(int(part.ordinals[0]), hash_of(part), result))
                    else:
                        fit, refused = self._encode(part, result)
                        predicted.append(fit)
                        lost += refused
        return Scored(chunk.after, chunk.upto, predicted, lost, self._calls, self._size.value)

    def _ordered(self, rows: Rows, lost: list[Lost]) -> tuple[Rows, Optional[Array]]:
        """The rows by falling cost, with their costs, where the model tells them; a row that has none is lost."""
        if self._costs is None or not len(rows):
            return rows, None
        known: list[Rows] = []
        costs: list[Array] = []
        for part, result in bisect(rows, self._ask_costs, (Exception,)):
            if isinstance(result, BaseException):
                lost.append(quarantined(int(part.ordinals[0]), hash_of(part), result))
            else:
                known.append(part)
                costs.append(result)
        if not known:
            return rows[:0], None
        rows, found = join(known), np.concatenate(costs)
        order = np.argsort(-found, kind="stable")
        return rows[order], found[order]

    def _ask_costs(self, rows: Rows) -> Array:
        assert self._costs is not None
        self._deadline.start()
        return costs_of(self._costs, rows.columns, self._inputs)

    def _batches(self, rows: Rows, costs: Optional[Array], lost: list[Lost]) -> Iterator[tuple[Rows, float]]:
        """Slices of the rows, each with the cost of its dearest row; how large the next is depends on the last."""
        position = 0
        while position < len(rows):
            dearest = 1.0 if costs is None else float(costs[position])
            batch = rows[position : position + self._size.rows(dearest)]
            together, culprit = self._suspects.before(batch.ordinals)
            if culprit:
                lost.append(quarantined(int(batch.ordinals[0]), hash_of(batch), culprit))
                position += together
                continue
            batch = batch[:together]
            started, calls = time.perf_counter(), self._calls
            yield batch, dearest
            if self._calls == calls + 1:  # not bisected
                cost = len(batch) if costs is None else float(costs[position : position + len(batch)].sum())
                self._size.observe(len(batch), dearest, cost, time.perf_counter() - started)
            position += len(batch)
            self._heap.tidy()

    def _call(self, dearest: float, rows: Rows) -> list[Column]:
        """One call of the model: its outputs, by column."""
        self._calls += 1
        self._deadline.start()
        try:
            return call(self._model, rows.columns, self._inputs, self._outputs)
        except SystemExit as error:
            raise BadOutput(f"the model called sys.exit({error.code!r})") from None
        except Exception as error:
            if len(rows) > 1 and _out_of_memory(error):
                self._size.halve(len(rows), dearest)
            raise

    def _encode(self, rows: Rows, columns: Sequence[Column]) -> tuple[Rows, list[Lost]]:
        """The rows whose outputs fit their columns, as what is written, and those that do not."""
        bad: dict[int, Exception] = {}
        encoded = [
            values if isinstance(values, np.ndarray) else _texts(values, encode, bad)
            for values, encode in zip(columns, self._encoders)
        ]
        if not bad:
            return Rows(rows.ordinals, rows.hashes, encoded), []
        lost = [quarantined(int(rows.ordinals[at]), hash_of(rows[at : at + 1]), bad[at]) for at in sorted(bad)]
        keep = np.array([number for number in range(len(rows)) if number not in bad], np.int64)
        return Rows(rows.ordinals, rows.hashes, encoded)[keep], lost


def _texts(values: Sequence[Any], encode: Any, bad: dict[int, Exception]) -> list[Any]:
    """Values as Postgres reads them; what does not fit is noted in `bad`, the first fault of each row."""
    texts: list[Any] = []
    for number, value in enumerate(values):
        try:
            texts.append(encode(value))
        except Exception as error:  # a value may fail in ways of its own: nested too deep, unable to print itself
            bad.setdefault(number, error)
            texts.append(None)
    return texts


def call(
    model: Predictor, columns: Sequence[Column], inputs: Sequence[Input], outputs: Sequence[Output]
) -> list[Column]:
    """One call of the model: its outputs, by column. `columns`: of values in the order of `inputs`."""
    found = _columns(model.predict(_frame(columns, inputs)), [item.name for item in outputs], len(columns[0]))
    return [_typed(values, item.type) for values, item in zip(found, outputs)]


def costs_of(ask: CostMethod, columns: Sequence[Column], inputs: Sequence[Input]) -> Array:
    """What the model says that each row costs: n positive numbers."""
    found, rows = np.asarray(ask(_frame(columns, inputs)), np.float64), len(columns[0])
    if found.shape != (rows,) or not (np.isfinite(found) & (found > 0)).all():
        raise BadShape(f"the model's costs for {rows} rows are not as many positive numbers")
    return found


def _frame(columns: Sequence[Column], inputs: Sequence[Input]) -> pd.DataFrame:
    return pd.DataFrame({item.name: given.series(values, item) for item, values in zip(inputs, columns)})


def cost_method(model: Any) -> Optional[CostMethod]:
    """`costs` of the Python object that MLflow wraps, if it is one and has it."""
    with suppress(Exception):  # another flavor of MLflow's has no such object
        model = model.unwrap_python_model()
    found: Optional[CostMethod] = getattr(model, "costs", None)
    return found


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower()


def _typed(values: Any, kind: str) -> Column:
    """An array where its type is the one of the result's column; else plain values.

    A copy in any case: a model may give back the same array at each call, with other values.
    """
    array = values.to_numpy() if isinstance(values, pd.Series) else values
    exact = isinstance(array, np.ndarray) and kind in EXACT and array.dtype == EXACT[kind] and array.ndim == 1
    if exact and not isinstance(array, np.ma.MaskedArray):
        return np.array(array)
    _refuse_blurred(array, kind)
    # NumPy makes plain integers of nanoseconds; pandas keeps what they are.
    moments = isinstance(array, np.ndarray) and array.dtype.kind == "M"
    return list(pd.Series(array).tolist() if moments else values.tolist() if hasattr(values, "tolist") else values)


def _refuse_blurred(array: Any, kind: str) -> None:
    """Large integers that pandas made floats of, since a neighbour is missing, lose digits that they keep apart."""
    floats = isinstance(array, np.ndarray) and array.dtype.kind == "f" and len(array) > 1
    if floats and kind.partition("[")[0] in ("integer", "bigint", "jsonb"):
        with np.errstate(invalid="ignore"):
            if (np.abs(array) >= exact_below(array.dtype)).any():
                raise BadOutput("the model returned large numbers in floating point where its signature says integers")


def _columns(result: Any, names: Sequence[str], rows: int) -> list[Any]:
    """The model's answer as columns in the order of `names`, each of `rows` values."""
    if isinstance(result, dict):
        result = pd.DataFrame(result)
    if isinstance(result, (pd.DataFrame, pd.Series)):
        _refuse_another_order(result.index)
    if isinstance(result, pd.DataFrame):
        if len(names) == 1 and len(result.columns) == 1 and _may_be(result.columns[0], names[0]):
            columns: list[Any] = [result.iloc[:, 0]]
        elif set(names) <= set(result.columns) and not result.columns.duplicated().any():
            columns = [result[name] for name in names]
        else:
            raise BadShape(f"the model returned columns {list(result.columns)}, its signature says {list(names)}")
    elif len(names) == 1 and isinstance(result, (list, tuple, pd.Series, pd.Index, np.ndarray)):
        columns = [result]
    elif isinstance(result, np.ndarray) and result.ndim == 2 and result.shape[1] == len(names):
        columns = [result[:, number] for number in range(len(names))]
    else:
        raise BadShape(f"the model returned {type(result).__name__}, its signature says columns {list(names)}")
    wrong = {len(column) for column in columns} - {rows}
    if wrong:
        raise BadShape(f"the model returned {wrong.pop()} rows for {rows}; it must return one for each")
    return columns


def _may_be(found: Any, name: str) -> bool:
    """Whether a single column is the one of the signature: by its name, unless one of them has none."""
    return found == name or not isinstance(found, str) or name == UNNAMED


def _refuse_another_order(index: pd.Index[Any]) -> None:
    """A model that sorts its rows gives them back with the index that says so; they are taken in order."""
    order = pd.RangeIndex(len(index))
    if not index.equals(order) and set(index) == set(order):
        raise BadShape("the model returned its rows in another order than it was given them; sort them back")
