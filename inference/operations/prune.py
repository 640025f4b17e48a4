"""Prune: remove runs, their reports and resolved quarantine that are older than somebody wants to keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta

from inference.base import queries
from inference.base.database import PREDICTIONS, Databases
from inference.errors import ModelError
from inference.models.mlflow_rest import Registry
from inference.operations import status
from inference.schema import lease

SQL = queries.load("operations/prune")
AT_ONCE = 100  # runs in one transaction, which holds the job's lock


def prune(databases: Databases, age: timedelta, connect: Callable[[], Registry]) -> Iterator[str]:
    """Says what was removed of each job. What a search, an estimate or an open entry of quarantine needs stays.

    A run's report goes first: after an error of MLflow, the next call goes on where this one stopped.
    """
    for job in status.known(databases):
        runs = reports = 0
        with databases.begin(PREDICTIONS) as connection:
            entries = queries.run(connection, SQL["remove_quarantine"], job=job, age=age).rowcount
        while True:
            with databases.begin(PREDICTIONS) as connection:
                lease.lock(connection, job)
                old = queries.run(connection, SQL["old_runs"], job=job, age=age, limit=AT_ONCE).all()
                if not old:
                    break
                logged = [row.report for row in old if row.report]
                if logged:
                    _remove_reports(connect(), logged)
                queries.run(connection, SQL["remove_runs"], ids=[row.run_id for row in old])
            runs, reports = runs + len(old), reports + len(logged)
        if runs or entries:
            yield f"job {job}: {runs} runs, {reports} reports, {entries} resolved entries of quarantine"


def _remove_reports(registry: Registry, logged: list[str]) -> None:
    for run_id in logged:
        with suppress(ModelError):  # somebody else has removed it
            registry.call("POST", "runs/delete", run_id=run_id)
