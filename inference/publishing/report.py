"""Report: one MLflow run for each published run, in the experiment `predictions/<job>`."""

from __future__ import annotations

import logging
from collections.abc import Callable

from inference.base import log_lines, queries
from inference.base.database import PREDICTIONS, Databases
from inference.errors import InferenceError
from inference.models.mlflow_rest import Registry
from inference.publishing import mlflow_run

SQL = queries.load("publishing/report")
log = logging.getLogger(__name__)

_PARAMETERS = ("run_id", "mode", "model", "version", "digest", "sweep", "shards", "orchestrator", "external_id")
_COUNTS = (
    "planned", "predicted", "reused", "quarantined", "vanished", "deferred", "changed_at_read", "deleted", "calls"
)  # fmt: skip


def report(databases: Databases, run_id: int, connect: Callable[[], Registry]) -> str | None:
    """Log a published run and return MLflow's id of it; None, and a warning, if that cannot be done.

    A run whose predictions people already see is not made red because MLflow is down.
    """
    with databases.begin(PREDICTIONS) as connection:
        run = queries.run(connection, SQL["run"], run_id=run_id).mappings().one()
    log_lines.note(job=run["job"], run=run_id)
    if run["state"] != "published":
        log.info("run %d is %s: nothing to report", run_id, run["state"])
        return None
    if run["report"]:
        log.info("run %d is reported already, as %s: nothing to do", run_id, run["report"])
        return str(run["report"])
    predict = run["timings"].get("predict") or 0
    metrics = {name: float(run[name]) for name in _COUNTS}
    metrics |= {f"seconds_{stage}": float(value) for stage, value in run["timings"].items()}
    metrics["peak_memory_bytes"] = float(run["peak_memory"])
    if predict:
        metrics["rows_per_second"] = run["predicted"] / predict
    source = f"models:/{run['model']}/{run['version']}"
    parameters = {name: run[name] for name in _PARAMETERS}
    try:
        registry = connect()
        link = f"{registry.public_address}/#/models/{run['model']}/versions/{run['version']}"
        tags = {"mlflow.note.content": f"[{source}]({link}): {run['message']}", "model_version": source}
        logged = mlflow_run.log(registry, f"predictions/{run['job']}", f"run {run_id}", parameters, metrics, tags)
    except InferenceError as error:
        log.warning("run %d is published, but not reported to MLflow: %s", run_id, error)
        logged = ""
    with databases.begin(PREDICTIONS) as connection:
        queries.run(connection, SQL["reported"], run_id=run_id, report=logged)
    return logged or None
