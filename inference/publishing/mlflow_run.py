"""A finished run of MLflow's tracking, which says of a published run what it did."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from inference.errors import ModelError
from inference.models.mlflow_rest import Registry


def log(
    registry: Registry,
    experiment: str,
    name: str,
    parameters: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
) -> str:
    """Log one finished run and return its id."""
    now = int(time.time() * 1000)
    created = registry.call(
        "POST", "runs/create", experiment_id=_experiment(registry, experiment), run_name=name, start_time=now,
        tags=[{"key": key, "value": value} for key, value in tags.items()],
    )  # fmt: skip
    run_id = str(created["run"]["info"]["run_id"])
    registry.call(
        "POST", "runs/log-batch", run_id=run_id,
        params=[{"key": key, "value": str(value)} for key, value in parameters.items()],
        metrics=[
            {"key": key, "value": value, "timestamp": now, "step": 0} for key, value in metrics.items()
        ],
    )  # fmt: skip
    registry.call("POST", "runs/update", run_id=run_id, status="FINISHED", end_time=now)
    return run_id


def _experiment(registry: Registry, name: str) -> str:
    """The id of an experiment, made if need be."""
    try:
        found = registry.call("GET", "experiments/get-by-name", experiment_name=name)
        return str(found["experiment"]["experiment_id"])
    except ModelError:
        return str(registry.call("POST", "experiments/create", name=name)["experiment_id"])
