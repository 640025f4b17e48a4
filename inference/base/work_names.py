"""Names in a run's own tables: of the tables themselves, and of the columns that hold keys and inputs."""

from __future__ import annotations

from typing import Any

from psycopg2 import sql

from ..errors import WorkLost
from .queries import work_table


def work(run_id: int, generation: int) -> sql.Composable:
    """The work list: one row for each row that the run scores."""
    return work_table(f"work_{run_id}_{generation}")


def result(run_id: int, generation: int) -> sql.Composable:
    """The results: one row for each row that a shard has done."""
    return work_table(f"result_{run_id}_{generation}")


def gone(run_id: int, generation: int) -> sql.Composable:
    """Keys of predictions whose row is no longer in the source, found by a sweep."""
    return work_table(f"gone_{run_id}_{generation}")


def key_names(count: int) -> list[str]:
    return [f"key{number}" for number in range(1, count + 1)]


def input_names(source: dict[str, Any]) -> list[str]:
    return [f"in{number}" for number in range(1, len(source["inputs"]) + 1)]


def lost(run_id: int) -> WorkLost:
    """The error of a run whose work tables Postgres has emptied."""
    return WorkLost(
        f"run {run_id}: work tables lost: Postgres restarted and emptied them. Nothing was published; the next run "
        "plans the same rows again"
    )
