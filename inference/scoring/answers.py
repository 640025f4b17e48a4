"""What a model answers, as the columns that its signature declares.

What becomes of a row depends on its own part of the answer. Where one row's part does not fit, its value is the
BadOutput that says why; the neighbours keep theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Optional

import numpy as np
import pandas as pd

from ..base.outputs import UNNAMED, Output
from .copy_text import BadKind, BadOutput, BadShape, exact_below, missing
from .rows import EXACT, Column

# What tables and arrays of other libraries have. A model that answers with one does so whatever the rows.
_TABLES = ("__array__", "__dataframe__", "__arrow_c_stream__")


def columns_of(result: Any, outputs: Sequence[Output], rows: int) -> list[Any]:
    """The model's answer as columns in the order of `outputs`, each of `rows` values.

    Raises BadShape if the answer is none for these rows, BadKind if the model answers with something else altogether.
    """
    result = _simple(result)
    if isinstance(result, pd.DataFrame):
        _refuse_another_order(result.index)
        columns = _of_frame([(label, result.iloc[:, at]) for at, label in enumerate(result.columns)], outputs)
    elif isinstance(result, dict):
        columns = _of_frame([(label, _values(values, outputs)) for label, values in result.items()], outputs)
    elif outputs[0].part_of is not None or len(outputs) == 1:
        columns = _of_values(_unwrapped(_values(result, outputs), outputs), outputs)
    elif isinstance(result, np.ndarray) and result.ndim == 2 and result.shape[1] == len(outputs):
        columns = [result[:, at] for at in range(len(outputs))]
    elif isinstance(result, np.ndarray) and result.dtype != object:
        raise BadShape(
            f"the model returned an array of shape {('n', *result.shape[1:])}, its signature says columns "
            f"{_names(outputs)}"
        )
    else:
        columns = _of_records(_values(result, outputs), outputs)
    wrong = {len(column) for column in columns} - {rows}
    if wrong:
        raise BadShape(f"the model returned {wrong.pop()} rows for {rows}; it must return one for each")
    return columns


def _simple(result: Any) -> Any:
    """The same values in a form of NumPy, pandas or Python, if they can be had without a change."""
    library = type(result).__module__.partition(".")[0]
    if library == "torch" and hasattr(result, "detach"):
        result = _of_tensor(result.detach().cpu())
    elif library == "scipy" and hasattr(result, "toarray"):
        result = result.toarray()
    if isinstance(result, np.matrix):
        result = np.asarray(result)
    if isinstance(result, pd.api.extensions.ExtensionArray):
        result = pd.Series(result)
    if isinstance(result, np.ndarray) and (result.ndim == 0 or result.dtype.names):
        raise BadShape(f"the model returned an array of {result.dtype} and shape {result.shape}, which has no rows")
    return result


def _of_tensor(tensor: Any) -> Any:
    try:
        return tensor.numpy()
    except TypeError as error:  # a type of number that NumPy has not, or a layout that is not dense
        raise BadKind(f"the model returned {type(tensor).__name__}, which NumPy cannot hold: {error}") from None


def _values(result: Any, outputs: Sequence[Output]) -> Any:
    """One value for each row, as a list, a Series or an array."""
    result = _simple(result)
    if isinstance(result, pd.Series):
        _refuse_another_order(result.index)
    if isinstance(result, (list, tuple, pd.Series, pd.Index, np.ndarray)):
        return result
    always = not isinstance(result, np.generic) and any(hasattr(type(result), name) for name in _TABLES)
    raise (BadKind if always else BadShape)(
        f"the model returned {type(result).__name__}, its signature says columns {_names(outputs)}. Return a "
        "DataFrame, an array of NumPy, a list with an item for each row, or a dict of those"
    )


def _of_frame(columns: list[tuple[Any, Any]], outputs: Sequence[Output]) -> list[Any]:
    """The columns that the outputs are, by their names as text."""
    declared = list(dict.fromkeys(item.part_of or item.name for item in outputs))
    if len(declared) == 1 and len(columns) == 1 and _may_be(columns[0][0], declared[0]):
        return _of_values(columns[0][1], outputs)
    labels = [str(label) for label, _ in columns]
    by_name = {label: column for label, (_, column) in zip(labels, columns)}
    for names in (declared, [item.name for item in outputs]):
        if all(labels.count(name) == 1 for name in names):
            found = [by_name[name] for name in names]
            return list(map(_one_each, found, outputs)) if len(names) > 1 else _of_values(found[0], outputs)
    count = len(outputs) if len(outputs) > 1 else outputs[0].width or len(columns)
    arrays = len(declared) == 1 and (len(outputs) > 1 or outputs[0].type.endswith("[]"))
    if arrays and labels == [str(number) for number in range(count)]:
        found = [column for _, column in columns]
        return list(map(_one_each, found, outputs)) if len(outputs) > 1 else [_rows_of(found)]
    raise BadShape(f"the model returned columns {_short(labels)}, its signature says {_short(declared)}")


def _rows_of(columns: list[Any]) -> list[list[Any]]:
    """Arrays of what stands beside one another. Each column keeps its own type of numbers."""
    return [list(row) for row in zip(*(pd.Series(column).tolist() for column in columns))]


def _of_values(values: Any, outputs: Sequence[Output]) -> list[Any]:
    """The values of a single output, or of each place in its arrays."""
    if len(outputs) > 1:
        return _split(values, len(outputs))
    return [_one_each(values, outputs[0])]


def _one_each(values: Any, output: Output) -> Any:
    """An array of one column as its values, where they are to be single ones."""
    if isinstance(values, np.ndarray) and values.ndim == 2 and values.shape[1] == 1:
        single = not output.type.endswith("[]") and output.type != "jsonb"
        return values[:, 0] if single else values
    return values


def _unwrapped(values: Any, outputs: Sequence[Output]) -> Any:
    """The values of a single output, which may stand in a dict for each row. In a column of JSON, that is the value."""
    objects = isinstance(values, (list, tuple)) or (values.dtype.kind == "O" and values.ndim == 1)
    if len(outputs) > 1 or outputs[0].type == "jsonb" or not objects:
        return values
    records = any(map(_is_record, set(map(type, values))))
    return [_only(value, outputs[0]) for value in values] if records else values


def _only(value: Any, output: Output) -> Any:
    """A row's value, or the one of its dict, if that has no other."""
    record = _record(value)
    if record is None:
        return value
    name = output.part_of or output.name
    if len(record) == 1 and name == UNNAMED:
        return next(iter(record.values()))
    return _fields(value, [replace(output, name=name)])[0]


def _split(values: Any, count: int) -> list[Any]:
    """Columns of the places in each row's array."""
    if isinstance(values, np.ndarray) and values.ndim == 2:
        if values.shape[1] != count:
            raise BadShape(f"the model returned {values.shape[1]} values for each row, and model.outputs names {count}")
        return [values[:, at] for at in range(count)]
    rows = [_places(value, count) for value in values]
    return [[row[at] for row in rows] for at in range(count)]


def _places(value: Any, count: int) -> list[Any]:
    if missing(value):
        return [None] * count
    if isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim == 1):
        if len(value) == count:
            return list(value)
        error = BadOutput(f"the model returned {len(value)} values, and model.outputs names {count}")
    else:
        error = BadOutput(f"the model returned {type(value).__name__}, and model.outputs names {count} values")
    return [error] * count


def _of_records(records: Iterable[Any], outputs: Sequence[Output]) -> list[Any]:
    """Columns of what is a dict for each row."""
    rows = [_fields(record, outputs) for record in records]
    return [[row[at] for row in rows] for at in range(len(outputs))]


def _fields(value: Any, outputs: Sequence[Output]) -> list[Any]:
    """A row's values by name, or for each of them why there is none."""
    try:
        texts = _by_text(value, outputs)
    except BadOutput as error:
        return [error] * len(outputs)
    return [
        texts[item.name]
        if item.name in texts
        else BadOutput(f"the model returned no {item.name!r} for this row, which its signature requires")
        if item.required
        else None
        for item in outputs
    ]


def _by_text(value: Any, outputs: Sequence[Output]) -> dict[str, Any]:
    """A row's dict, whose keys may be labels of classes. Raises BadOutput if it is none, or about something else."""
    record = _record(value)
    if record is None:
        raise BadOutput(f"the model returned {type(value).__name__} where its signature says columns {_names(outputs)}")
    texts = {str(name): value for name, value in record.items()}
    if len(texts) < len(record):
        raise BadOutput(f"the model returned a key twice, as text: {_short(sorted(map(str, record)))}")
    if texts and not any(item.name in texts for item in outputs):
        raise BadOutput(
            f"the model returned a dict of {_short(list(texts))} where its signature says columns {_names(outputs)}"
        )
    return texts


def _record(value: Any) -> Optional[dict[Any, Any]]:
    """What a row's dict holds, or its pydantic model."""
    if not _is_record(type(value)):
        return None
    return value if isinstance(value, dict) else value.model_dump()


def _is_record(kind: type) -> bool:
    return issubclass(kind, dict) or hasattr(kind, "model_dump")


def typed(values: Any, kind: str) -> Column:
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


def _may_be(label: Any, name: str) -> bool:
    """Whether a single column is the one of the signature: by its name, unless one of them has none."""
    return str(label) == name or name == UNNAMED or not (isinstance(label, str) or name.isdigit())


def _refuse_another_order(index: pd.Index[Any]) -> None:
    """A model that sorts its rows gives them back with the index that says so; they are taken in order."""
    order = pd.RangeIndex(len(index))
    if not index.equals(order) and set(index) == set(order):
        raise BadShape("the model returned its rows in another order than it was given them; sort them back")


def _names(outputs: Sequence[Output]) -> str:
    return _short([item.name for item in outputs])


def _short(names: Sequence[str]) -> str:
    """Names for a message, which may be thousands."""
    return str(list(names) if len(names) <= 20 else [*names[:20], f"{len(names) - 20} more"])
