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
# Type of a result column -> the type of an array that fits it exactly.
EXACT = {
    "boolean": np.dtype(bool),
    "integer": np.dtype("int32"),
    "bigint": np.dtype("int64"),
    "real": np.dtype("float32"),
    "double precision": np.dtype("float64"),
}


@dataclass(frozen=True)
class Rows:
    """Rows with the values of some columns: the inputs that were read, or the outputs that are to be written."""

    ordinals: Array  # int64 [n]
    hashes: Optional[Array]  # HASH [n]; None where nothing is hashed
    columns: Sequence[
        Column
    ]  # [n] each; of outputs, an array is of its column's own type, and texts are as COPY has them

    def __len__(self) -> int:
        return len(self.ordinals)

    def __getitem__(self, part: Union[slice, Array]) -> Rows:
        """A slice, or the rows at these positions."""
        hashes = None if self.hashes is None else self.hashes[part]
        return Rows(self.ordinals[part], hashes, [_take(column, part) for column in self.columns])


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
    """A chunk's outcomes, how often the model was called for them, and the size of batch found so far."""

    after: int
    upto: int
    predicted: list[Rows]
    lost: list[Lost]
    calls: int
    batch_size: Optional[int]

    def __len__(self) -> int:
        return sum(map(len, self.predicted)) + len(self.lost)


def quarantined(ordinal: int, input_hash: Optional[bytes], error: BaseException) -> Lost:
    """A row that cannot be read, scored or written."""
    error = getattr(error, "orig", None) or error  # Postgres's own words, without the query
    try:
        said = str(error)
    except Exception:
        said = "an error that cannot be printed"
    message = " ".join(said.replace("\0", "").split())[:1000]
    message = message.encode("utf-8", "replace").decode("utf-8")
    return Lost(ordinal, "quarantined", input_hash, type(error).__name__, message)


def hash_of(rows: Rows) -> Optional[bytes]:
    """The hash of the first row."""
    return None if rows.hashes is None else bytes(rows.hashes[0])


def join(parts: Sequence[Rows]) -> Rows:
    """One after the other; a column is an array if it is one in all parts. `parts`: at least one."""
    if len(parts) == 1:
        return parts[0]
    hashes = None if parts[0].hashes is None else np.concatenate([part.hashes for part in parts])
    columns = [_concatenate(columns) for columns in zip(*(part.columns for part in parts))]
    return Rows(np.concatenate([part.ordinals for part in parts]), hashes, columns)


def plain(column: Column) -> list[Any]:
    """A column as Python's own values."""
    return column.tolist() if isinstance(column, np.ndarray) else column


def _take(column: Column, part: Union[slice, Array]) -> Column:
    if isinstance(column, np.ndarray) or isinstance(part, slice):
        return column[part]
    return [column[position] for position in part]


def _concatenate(columns: Sequence[Column]) -> Column:
    if all(isinstance(column, np.ndarray) for column in columns):
        return np.concatenate(columns)
    return [value for column in columns for value in plain(column)]
