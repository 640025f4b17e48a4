"""Predict: call the model on batches of a chunk's rows; bisect a batch that fails."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, Protocol

import numpy as np
import pandas as pd

from inference.bisect import bisect
from inference.encode import BadOutput, encoder
from inference.read import Chunk, Row
from inference.signature import Input, Signature


class Predictor(Protocol):
    """What an MLflow pyfunc model offers."""

    def predict(self, data: pd.DataFrame) -> Any: ...


@dataclass(frozen=True)
class Outcome:
    """What became of one row: `predicted` with `outputs` as text, `quarantined` with the error, `vanished`."""

    ordinal: int
    outcome: str
    input_hash: Optional[str] = None
    error: Optional[str] = None
    message: Optional[str] = None
    outputs: Sequence[Optional[str]] = ()


@dataclass(frozen=True)
class Scored:
    """A chunk's outcomes, how often the model was called for them, and the rows of a call that it can take."""

    after: int
    upto: int
    outcomes: list[Outcome]
    calls: int
    batch_rows: int


class Scorer:
    """Calls one model. `inputs`: the job's input columns in the order of a row's values."""

    def __init__(self, model: Predictor, signature: Signature, inputs: Sequence[str], batch_rows: int) -> None:
        self._model = model
        declared = {item.name: item for item in signature.inputs}
        self._inputs = [declared[name] for name in inputs]
        self._outputs = [item.name for item in signature.outputs]
        self._encoders = [encoder(item.type) for item in signature.outputs]
        self._batch_rows = batch_rows
        self._calls = 0

    def score(self, chunk: Chunk) -> Scored:
        """Every row of the chunk gets exactly one outcome, in order."""
        self._calls = 0
        outcomes: dict[int, Outcome] = {}
        present = []
        for row in chunk.rows:
            if row.fault is not None:
                outcomes[row.ordinal] = _quarantined(row, row.fault)
            elif row.inputs is None:
                outcomes[row.ordinal] = Outcome(row.ordinal, "vanished")
            else:
                present.append(row)
        position = 0
        while position < len(present):
            batch = present[position : position + self._batch_rows]
            position += len(batch)
            for outcome in self._batch(batch):
                outcomes[outcome.ordinal] = outcome
        ordered = [outcomes[row.ordinal] for row in chunk.rows]
        return Scored(chunk.after, chunk.upto, ordered, self._calls, self._batch_rows)

    def _batch(self, batch: Sequence[Row]) -> list[Outcome]:
        found: list[Outcome] = []
        for part, result in bisect(batch, self._call, (Exception,)):
            if isinstance(result, BaseException):
                found.append(_quarantined(part[0], result))
            else:
                found.extend(self._encode(row, values) for row, values in zip(part, zip(*result)))
        return found

    def _call(self, rows: Sequence[Row]) -> list[list[Any]]:
        """One call of the model: its outputs, by column."""
        self._calls += 1
        try:
            return call(self._model, [_inputs(row) for row in rows], self._inputs, self._outputs)
        except Exception as error:
            if len(rows) > 1 and _out_of_memory(error):
                self._batch_rows = max(1, min(self._batch_rows, len(rows)) // 2)
            raise

    def _encode(self, row: Row, values: Sequence[Any]) -> Outcome:
        try:
            outputs = [encode(value) for encode, value in zip(self._encoders, values)]
        except BadOutput as error:
            return _quarantined(row, error)
        return Outcome(row.ordinal, "predicted", row.input_hash, outputs=outputs)


def call(
    model: Predictor, rows: Sequence[Sequence[Any]], inputs: Sequence[Input], outputs: Sequence[str]
) -> list[list[Any]]:
    """One call of the model: its outputs, by column. `rows`: values in the order of `inputs`."""
    frame = pd.DataFrame(
        {item.name: _series([row[number] for row in rows], item) for number, item in enumerate(inputs)}
    )
    return _columns(model.predict(frame), outputs, len(rows))


def _inputs(row: Row) -> tuple[Any, ...]:
    assert row.inputs is not None
    return row.inputs


def _quarantined(row: Row, error: BaseException) -> Outcome:
    error = getattr(error, "orig", None) or error  # Postgres's own words, without the query
    message = " ".join(str(error).replace("\0", "").split())[:1000]
    message = message.encode("utf-8", "replace").decode("utf-8")
    return Outcome(row.ordinal, "quarantined", row.input_hash, type(error).__name__, message)


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower()


def _series(values: list[Any], item: Input) -> pd.Series[Any]:
    """A column of the model's input, in the signature's type; a NULL where it has none is an error."""
    if item.dtype == "object":
        return pd.Series([_plain(value) for value in values], dtype=object)
    if item.dtype.startswith("datetime"):
        return pd.Series(np.array([_naive(value) for value in values], dtype=item.dtype))
    if item.dtype.startswith("float"):
        return pd.Series(np.array([np.nan if value is None else value for value in values], dtype=item.dtype))
    if any(value is None for value in values):
        if item.required:
            raise ValueError(
                f"input {item.name!r} is NULL, and the model's signature says {item.type}, which has no NULL"
            )
        return pd.Series(values, dtype=object)
    return pd.Series(np.array(values, dtype=item.dtype))


def _plain(value: Any) -> Any:
    if isinstance(value, memoryview):
        return bytes(value)
    return str(value) if isinstance(value, uuid.UUID) else value


def _naive(value: Any) -> Any:
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return value


def _values(array: Any) -> list[Any]:
    # NumPy makes plain integers of nanoseconds; pandas keeps what they are.
    moments = isinstance(array, np.ndarray) and array.dtype.kind == "M"
    found: list[Any] = pd.Series(array).tolist() if moments else array.tolist()
    return found


def _columns(result: Any, names: Sequence[str], rows: int) -> list[list[Any]]:
    """The model's answer as columns in the order of `names`, each of `rows` values."""
    if isinstance(result, dict):
        result = pd.DataFrame(result)
    if isinstance(result, pd.DataFrame):
        if len(names) == 1 and len(result.columns) == 1:
            columns = [result.iloc[:, 0].tolist()]
        elif set(names) <= set(result.columns):
            columns = [result[name].tolist() for name in names]
        else:
            raise BadOutput(f"the model returned columns {list(result.columns)}, its signature says {list(names)}")
    elif len(names) == 1:
        columns = [_values(result) if isinstance(result, (pd.Series, np.ndarray)) else list(result)]
    elif isinstance(result, np.ndarray) and result.ndim == 2 and result.shape[1] == len(names):
        columns = [_values(result[:, number]) for number in range(len(names))]
    else:
        raise BadOutput(f"the model returned {type(result).__name__}, its signature says columns {list(names)}")
    wrong = {len(column) for column in columns} - {rows}
    if wrong:
        raise BadOutput(f"the model returned {wrong.pop()} rows for {rows}; it must return one for each")
    return columns
