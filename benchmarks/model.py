"""The registered model, once a process."""

from __future__ import annotations

from typing import Any

from benchmarks.workload import Workload

_LOADED: dict[str, Any] = {}


def load(workload: Workload) -> None:
    """As start-up."""
    loaded(workload)


def loaded(workload: Workload) -> Any:
    if workload.model not in _LOADED:
        _LOADED[workload.model] = workload.load()
    return _LOADED[workload.model]
