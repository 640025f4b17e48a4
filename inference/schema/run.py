"""`prediction.run`: a run's row, read and ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from psycopg2 import sql
from sqlalchemy.engine import Connection

from inference.base import log_lines, queries, work_names
from inference.base.database import PREDICTIONS, Databases, write_words
from inference.base.outputs import Output
from inference.base.signature import Signature
from inference.errors import InferenceError, PermanentError
from inference.jobs import definition
from inference.jobs.job import Job

SQL = queries.load("schema/run")
# States in which the shards have nothing left to do.
OVER = ("published", "held", "empty", "checked")


@dataclass(frozen=True)
class Run:
    """A run's row."""

    run_id: int
    job_name: str
    generation: int
    state: str
    pending: int
    planned: int
    definition: dict[str, Any]
    request: dict[str, Any]
    outputs: tuple[Output, ...]
    model: str
    message: str
    approved: bool
    report: str | None

    @cached_property
    def job(self) -> Job:
        """The job as it was planned; raises PermanentError if this code cannot take it (see `definition.read`)."""
        return definition.read(self.definition, self.run_id)

    @property
    def parts(self) -> dict[str, sql.Composable]:
        return {
            "work": work_names.work(self.run_id, self.generation),
            "result": work_names.result(self.run_id, self.generation),
            "fate": sql.SQL(SQL["fate"]),
        }


def read_run(connection: Connection, run_id: int) -> Run:
    row = queries.run(connection, SQL["run"], run_id=run_id).mappings().first()
    if row is None:
        raise PermanentError(f"there is no run {run_id}; python -m inference status shows the latest")
    log_lines.note(job=row["job"], run=run_id)
    return Run(
        run_id=run_id,
        job_name=row["job"],
        generation=row["generation"],
        state=row["state"],
        pending=row["pending"],
        planned=row["planned"],
        definition=row["definition"],
        request=row["request"],
        outputs=Signature.from_json([], row["outputs"])
        .named(row["definition"].get("model", {}).get("outputs", ()), row["model"])
        .outputs,
        model=row["model"],
        message=row["message"],
        approved=row["approved"],
        report=row["report"],
    )


def lock_run(connection: Connection, run_id: int) -> None:
    """Nobody else changes the run's row until the transaction ends."""
    queries.run(connection, SQL["lock_run"], run_id=run_id)


def fail(databases: Databases, run_id: int, message: str) -> None:
    """Record that an open run has failed for good, so that the next one need not wait."""
    with databases.begin(PREDICTIONS) as connection:
        end(connection, run_id, message[:2000])


def end(connection: Connection, run_id: int, message: str) -> None:
    """The same, within a transaction."""
    write_words(
        connection, lambda fitting: queries.run(connection, SQL["fail"], run_id=run_id, message=fitting(message))
    )


@contextmanager
def recorded(databases: Databases, run_id: int, *errors: type[InferenceError]) -> Iterator[None]:
    """Record the run as failed when the block raises one of `errors`; one that is over stays as it is."""
    try:
        yield
    except errors as error:
        fail(databases, run_id, str(error))
        raise
