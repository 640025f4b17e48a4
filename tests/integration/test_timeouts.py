"""How long plan, check and publish may take is the job file's to say, and the error names the field."""

from __future__ import annotations

import psycopg2
import pytest

from inference.base.database import Databases
from inference.errors import RetryableError
from inference.publishing import check
from services.postgres import Postgres
from tests.stub import Pipeline, create_messages, job, run_row, sql


@pytest.mark.parametrize(
    ("stage", "locked", "field"),
    [
        ("plan", "prediction.job", "timeouts.plan"),
        ("check", "prediction_work.result_1_1", "timeouts.publish"),
        ("publish", "prediction.intent__blue", "timeouts.publish"),
    ],
)
def test_a_stage_that_takes_too_long_names_its_field(
    databases: Databases, postgres: Postgres, stage: str, locked: str, field: str
) -> None:
    create_messages(databases, ["one"])
    pipeline = Pipeline(databases, job(timeouts={"plan": "2s" if stage == "plan" else "1min", "publish": "2s"}))
    if stage != "plan":
        planned = pipeline.plan()
        pipeline.predict(planned)
    if stage == "publish":
        check.check(databases, planned.run_id)
    ((database,),) = sql(databases, "SELECT current_database()")
    other = psycopg2.connect(postgres.libpq_url(database))
    other.cursor().execute(f"LOCK TABLE {locked} IN ACCESS EXCLUSIVE MODE")

    with pytest.raises(RetryableError, match=rf"It had 2s \(`{field}` in the job file\)"):
        pipeline.plan() if stage == "plan" else pipeline.finish(planned)

    other.close()
    if stage == "plan":
        planned = pipeline.plan()
        pipeline.predict(planned)
    assert pipeline.finish(planned) == "published"
    assert run_row(databases, planned.run_id)["predicted"] == 1
