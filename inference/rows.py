"""Rows on their way through a shard, as columns: read, scored, lost on the way.

A column is an array where its values have one fixed-size type and none is missing, else a list. n is a number of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np

Column = Union["np.ndarray[Any, Any]", list[Any]]
Array = Any  # of numpy, whose types are not the same in all the versions that models bring
HASH = np.dtype("V16")  # the 128 bits of an input hash


@dataclass(frozen=True)
class Rows:
    """Rows with the inputs that they were read with."""

    ordinals: Array  # int64 [n]
    hashes: Optional[Array]  # HASH [n]; None where nothing is hashed
    inputs: Sequence[Column]  # [n] for each of the job's inputs

    def __len__(self) -> int:
        return len(self.ordinals)

    def __getitem__(self, part: slice) -> Rows:
        hashes = self.hashes if self.hashes is None else self.hashes[part]
        return Rows(self.ordinals[part], hashes, [column[part] for column in self.inputs])


@dataclass(frozen=True)
class Predicted:
    """Rows with their predictions."""

    ordinals: Array  # int64 [n]
    hashes: Optional[Array]  # HASH [n]
    outputs: Sequence[Column]  # [n] for each output: an array of its column's own type, or text as Postgres reads it

    def __len__(self) -> int:
        return len(self.ordinals)

    def __getitem__(self, part: slice) -> Predicted:
        hashes = self.hashes if self.hashes is None else self.hashes[part]
        return Predicted(self.ordinals[part], hashes, [column[part] for column in self.outputs])


@dataclass(frozen=True)
class Lost:
    """A row without a prediction: `vanished` from the source, or `quarantined` with the error."""

    ordinal: int
    outcome: str
    input_hash: Optional[bytes] = None
    error: Optional[str] = None
    message: Optional[str] = None


@dataclass(frozen=True)
class Chunk:
    """Rows with ordinals after `after` up to `upto`: the unit of commit."""

    after: int
    upto: int
    rows: Rows
    lost: list[Lost]


@dataclass(frozen=True)
class Scored:
    """A chunk's outcomes, how often the model was called for them, and the rows of a call that it can take."""

    after: int
    upto: int
    predicted: list[Predicted]
    lost: list[Lost]
    calls: int
    batch_rows: int

    def __len__(self) -> int:
        return sum(map(len, self.predicted)) + len(self.lost)


def quarantined(ordinal: int, input_hash: Optional[bytes], error: BaseException) -> Lost:
    """A row that cannot be read, scored or written."""
    error = getattr(error, "orig", None) or error  # Postgres's own words, without the query
    message = " ".join(str(error).replace("\0", "").split())[:1000]
    message = message.encode("utf-8", "replace").decode("utf-8")
    return Lost(ordinal, "quarantined", input_hash, type(error).__name__, message)


def hash_of(rows: Union[Rows, Predicted]) -> Optional[bytes]:
    """The hash of the first row."""
    return None if rows.hashes is None else bytes(rows.hashes[0])


def concatenate(columns: Sequence[Column]) -> Column:
    """One column of several: an array if all are."""
    if len(columns) == 1:
        return columns[0]
    if all(isinstance(column, np.ndarray) for column in columns):
        return np.concatenate(columns)
    return [value for column in columns for value in plain(column)]


def plain(column: Column) -> list[Any]:
    """A column as Python's own values."""
    return column.tolist() if isinstance(column, np.ndarray) else column
