"""What an entry of the matrix of flavours says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Entry:
    """A model that is logged as its flavour's documentation shows it, and the job that scores rows with it.

    `name` is that of its script in training/, of its model, its job and its table.
    """

    name: str
    flavour: str
    logged: str  # how, for the table of the README
    form: str  # what the model is called with, as direct.py makes it
    columns: dict[str, str]  # the job's inputs, with the types of Postgres
    outputs: tuple[str, ...]  # columns of the result
    pins: tuple[str, ...]
    tested: str  # the package whose version the table shows
    required: tuple[str, ...] = ()  # columns whose NULL sends a row to the quarantine; of others the model is asked
    heavy: bool = True  # too heavy for CI
    docker: bool = False  # also runs in its image
    model: dict[str, Any] = field(default_factory=dict)  # more of the job's section `model`
    params: dict[str, Any] = field(default_factory=dict)  # those that the model is called with

    @property
    def allow_pickle(self) -> bool:
        return bool(self.model.get("allow_pickle"))

    @property
    def runners(self) -> tuple[str, ...]:
        return ("venv", "docker") if self.docker else ("venv",)

    @property
    def mlflow(self) -> str:
        return self._pinned()["mlflow"]

    @property
    def version(self) -> str:
        """The package that the flavour is about, with its tested version."""
        return f"{self.tested} {self._pinned()[self.tested]}"

    def _pinned(self) -> dict[str, str]:
        return dict(pin.split("==") for pin in self.pins)
