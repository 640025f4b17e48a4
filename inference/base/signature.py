"""A model version's signature: what it is given, what it answers, and the parameters that it takes.

The records here are read from an MLmodel file by `mlmodel.py` and kept as JSON in `prediction.model`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Optional, Union

from .outputs import Output, named

TENSOR = "tensor"


@dataclass(frozen=True)
class Input:
    """Something that the model is given: a column, or a tensor.

    name: empty if the signature gives none. type: MLflow's. dtype: NumPy's. declared: the whole type of an array,
    object or map, as the signature writes it; None where older code stored the input. shape: of a tensor, -1 for a
    dimension that is free. label: the column's name in a DataFrame, where it is no text. hinted: whether the model's
    type hints are its signature: MLflow then validates plain values of Python.
    """

    name: str
    type: str
    dtype: str
    required: bool
    declared: Optional[dict[str, Any]] = None
    shape: Optional[tuple[int, ...]] = None
    label: Union[int, float, None] = None
    hinted: bool = False

    @property
    def width(self) -> Optional[int]:
        """Values that one row of a tensor has; None if any number will do."""
        assert self.shape is not None
        if len(self.shape) == 1:
            return 1
        return None if self.shape[1] == -1 else self.shape[1]


@dataclass(frozen=True)
class Param:
    """A parameter of the signature. type: MLflow's. shape: (-1,) for a list, None for a single value."""

    name: str
    type: str
    shape: Optional[tuple[int, ...]] = None


@dataclass(frozen=True)
class Signature:
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    params: tuple[Param, ...] = ()

    def to_json(self) -> tuple[str, str, str]:
        """Inputs, outputs and parameters, as kept in `prediction.model`."""
        inputs, outputs, params = (
            json.dumps([asdict(item) for item in items]) for items in (self.inputs, self.outputs, self.params)
        )
        return inputs, outputs, params

    @classmethod
    def from_json(
        cls, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]], params: Optional[list[dict[str, Any]]] = None
    ) -> Signature:
        return cls(
            tuple(Input(**_with_shape(item)) for item in inputs),
            tuple(Output(**item) for item in outputs),
            tuple(Param(**_with_shape(item)) for item in params or []),
        )

    def named(self, names: Sequence[str], model: str) -> Signature:
        """With the outputs under the names that the job's `model.outputs` gives them.

        Raises ModelError where the model has another number of outputs.
        """
        return replace(self, outputs=named(self.outputs, names, model))


def _with_shape(item: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists only."""
    shape = item.get("shape")
    return {**item, "shape": None if shape is None else tuple(shape)}
