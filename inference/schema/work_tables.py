"""The tables of one run: its work list, its results, and the keys that it found gone."""

from __future__ import annotations

from psycopg2 import sql
from sqlalchemy.engine import Connection

from inference.base import queries
from inference.base.outputs import Output
from inference.base.queries import column, fill, work_table
from inference.base.work_names import gone, key_names, result, work
from inference.jobs.job import Job
from inference.schema import job_tables, roles

SQL = queries.load("schema/work_tables")


def create_result(connection: Connection, run_id: int, generation: int, outputs: tuple[Output, ...]) -> None:
    parts = {"result": result(run_id, generation), "outputs": job_tables.definitions(outputs)}
    queries.run(connection, SQL["create_result"], parts)
    queries.run(connection, SQL["mark_result"], parts)
    roles.share_result(connection, parts["result"])


def drop_leftovers(connection: Connection, job: str, also_open: bool = False) -> list[str]:
    """Drop the work tables of this job's runs that are over, or of all; their names."""
    names = list(queries.run(connection, SQL["leftovers"], job=job, also_open=also_open).scalars())
    for name in names:
        queries.run(connection, SQL["drop"], {"table": work_table(name)})
    return names


def drop_work(connection: Connection, run_id: int, generation: int) -> None:
    for name in (work, result, gone):
        queries.run(connection, SQL["drop"], {"table": name(run_id, generation)})


def exist(connection: Connection, name: str) -> bool:
    """Whether a table of a run is there. `name`: without its schema."""
    return bool(queries.run(connection, SQL["exists"], name=f"prediction_work.{name}").scalar())


def keys_equal(job: Job, named: str, numbered: str) -> sql.Composable:
    return sql.SQL(" AND ").join(
        fill("{one} = {other}", one=column(name, named), other=column(number, numbered))
        for name, number in zip(job.source.key, key_names(len(job.source.key)))
    )
