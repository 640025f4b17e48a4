"""People read the job's tables and views for as long as they like; plan and publish do not wait for them."""

from __future__ import annotations

from sqlalchemy import text

from inference.base.database import PREDICTIONS, Databases
from tests.stub import Pipeline, create_messages, job, sql

RELATIONS = ("intent", "intent__current", "intent__history", "job_status", "run_summary", "quarantine_open")


def test_a_run_does_not_wait_for_somebody_who_reads_what_it_makes(databases: Databases) -> None:
    create_messages(databases, ["a", "b"])
    pipeline = Pipeline(databases, job(history="append"))
    pipeline.run()
    sql(databases, "UPDATE message SET text = 'c' WHERE id = 1")

    with databases.begin(PREDICTIONS) as reader:
        for name in RELATIONS:
            reader.execute(text(f"SELECT count(*) FROM prediction.{name}"))  # noqa: S608
        planned = pipeline.run()

    assert (planned.state, planned.planned) == ("planned", 1)
    assert sql(databases, "SELECT id, is_current FROM prediction.intent__current ORDER BY id") == [(1, True), (2, True)]
    assert sql(databases, "SELECT id, length FROM prediction.intent__history") == [(1, 1)]
