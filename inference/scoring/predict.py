"""Predict: call the model on batches of a chunk's rows, dearest first; bisect a batch that fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Optional, Protocol, Union

import numpy as np

from ..base.bisect import bisect
from ..base.matching import Feed
from ..base.outputs import Output
from ..errors import ModelError, ProcessDied
from . import given, memory
from .answers import columns_of, typed
from .batch_size import BatchSize
from .copy_text import BadKind, BadOutput, BadShape, encoder
from .deadline import Deadline
from .rows import Array, Chunk, Column, Lost, Rows, Scored, hash_of, join, quarantined

CostMethod = Callable[[Any], Any]


class Predictor(Protocol):
    """What an MLflow pyfunc model offers."""

    def predict(self, data: Any) -> Any: ...


@dataclass(frozen=True)
class Contract:
    """How a model is called for one job, and what it answers.

    feeds: how its inputs are made of the job's columns. nulls: what a NULL means in a tensor, `quarantine` or `nan`.
    params: values for the parameters of its signature; the others have their defaults.
    """

    feeds: Sequence[Feed]
    outputs: Sequence[Output]
    nulls: str = "quarantine"
    params: Mapping[str, Any] = field(default_factory=dict)


class Suspects(Protocol):
    """What a shard knows of rows that may have ended the model's process."""

    @property
    def needless(self) -> bool:
        """Whether no process of this shard has ended by its model."""

    def before(self, ordinals: Sequence[int]) -> tuple[int, Optional[ProcessDied]]:
        """How many of the first rows go into one call, and why the first must not go into any."""


class Scorer:
    """Calls one model.

    A model whose Python object has a method `costs(frame)` says what each row costs (n positive numbers, such as counts
    of tokens): rows of like cost then share a batch.
    """

    def __init__(
        self,
        model: Predictor,
        contract: Contract,
        size: BatchSize,
        deadline: Deadline,
        suspects: Suspects,
    ) -> None:
        self._model = model
        # Of a model that has died, nothing is asked but what has to be.
        self._costs = cost_method(model) if suspects.needless else None
        self._contract = contract
        self._encoders = [encoder(item.type) for item in contract.outputs]
        self._size = size
        self._deadline = deadline
        self._suspects = suspects
        self._calls = 0
        self._heap = memory.Heap()

    def score(self, chunk: Chunk) -> Scored:
        """Every row of the chunk gets exactly one outcome. Raises ModelError if the model's answers have no rows."""
        self._calls = 0
        predicted: list[Rows] = []
        lost = list(chunk.lost)
        with self._deadline:
            rows, costs = self._ordered(chunk.rows, lost)
            for batch, cost in self._batches(rows, costs, lost):
                for part, result in bisect(batch, partial(self._call, cost), (Exception,)):
                    if isinstance(result, BadKind):
                        raise ModelError(str(result))
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
        return costs_of(self._costs, rows.columns, self._contract)

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

    def _call(self, dearest: float, rows: Rows) -> Union[list[Column], BadKind]:
        """One call of the model: its outputs, by column; BadKind is given back, since no part would do better."""
        self._calls += 1
        self._deadline.start()
        try:
            return call(self._model, rows.columns, self._contract)
        except BadKind as error:
            return error
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


def call(model: Predictor, columns: Sequence[Column], contract: Contract) -> list[Column]:
    """One call of the model: its outputs, by column. `columns`: the values of the job's inputs, n of each."""
    data = given.argument(columns, contract.feeds, contract.nulls)
    # Versions of MLflow before 2.6 know no parameters.
    params: dict[str, Any] = {"params": dict(contract.params)} if contract.params else {}
    found = columns_of(model.predict(data, **params), contract.outputs, len(columns[0]))
    return [typed(values, item.type) for values, item in zip(found, contract.outputs)]


def costs_of(ask: CostMethod, columns: Sequence[Column], contract: Contract) -> Array:
    """What the model says that each row costs: n positive numbers."""
    found = np.asarray(ask(given.argument(columns, contract.feeds, contract.nulls)), np.float64)
    rows = len(columns[0])
    if found.shape != (rows,) or not (np.isfinite(found) & (found > 0)).all():
        raise BadShape(f"the model's costs for {rows} rows are not as many positive numbers")
    return found


def cost_method(model: Any) -> Optional[CostMethod]:
    """`costs` of the Python object that MLflow wraps, if it is one and has it."""
    with suppress(Exception):  # another flavor of MLflow's has no such object
        model = model.unwrap_python_model()
    found: Optional[CostMethod] = getattr(model, "costs", None)
    return found


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower()
