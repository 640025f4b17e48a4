"""The company changes its table while a shard reads it: no value is read as what it no longer is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from inference.base.database import Databases
from inference.errors import ModelError, RetryableError
from inference.planning.plan import Planned
from tests.stub import Pipeline, Printed, job, predictions, printing, sql

ROWS = 200


class Migrating(Printed):
    """Runs `action` at its first call."""

    def __init__(self, action: Callable[[], Any]) -> None:
        self.action: Callable[[], Any] | None = action

    def predict(self, data: pd.DataFrame) -> pd.DataFrame:
        if self.action:
            action, self.action = self.action, None
            action()
        return super().predict(data)


def start(databases: Databases, kind: str, model: str, statement: str) -> tuple[Pipeline, Planned]:
    """A run whose source is altered while its first chunk is scored and most of the others are not read."""
    sql(databases, f"CREATE TABLE message (id bigint PRIMARY KEY, amount {kind} NOT NULL)")
    sql(databases, f"INSERT INTO message SELECT n, n FROM generate_series(1, {ROWS}) n")  # noqa: S608
    a_job = job(source__inputs=["amount"], cost="1", sizes__chunk_rows=10)
    migrate = Migrating(lambda: sql(databases, statement))
    pipeline = Pipeline(databases, a_job, migrate, printing(amount=model))
    return pipeline, pipeline.plan()


def printed(databases: Databases) -> dict[int, str]:
    return {key: row["printed"] for key, row in predictions(databases).items()}


@pytest.mark.parametrize(
    ("kind", "model", "statement"),
    [
        ("bigint", "long", "ALTER TABLE message ALTER amount TYPE double precision"),  # of the same size
        ("bigint", "long", "ALTER TABLE message ALTER amount TYPE numeric USING amount + 0.5"),  # would be cut
        ("double precision", "double", "ALTER TABLE message ALTER amount TYPE bigint"),  # no NaN: every row would fail
        ("text", "string", "ALTER TABLE message ALTER amount TYPE bigint USING amount::bigint"),
    ],
)
def test_a_type_that_the_model_does_not_take_ends_the_run(
    databases: Databases, kind: str, model: str, statement: str
) -> None:
    pipeline, planned = start(databases, kind, model, statement)

    with pytest.raises(RetryableError, match=r"the source's column 'amount' was .* when this attempt began"):
        pipeline.predict(planned)
    with pytest.raises(ModelError, match=f"shard 1: the model: input 'amount' is {model}; the source's column is"):
        pipeline.predict(planned)

    query = f"SELECT count(*) FROM prediction_work.result_{planned.run_id}_1 WHERE outcome = 'quarantined'"  # noqa: S608
    assert sql(databases, query) == [(0,)]


def test_a_wider_type_that_the_model_takes_costs_one_attempt(databases: Databases) -> None:
    pipeline, planned = start(databases, "integer", "long", "ALTER TABLE message ALTER amount TYPE bigint")

    with pytest.raises(RetryableError, match="was integer when this attempt began and is bigint now"):
        pipeline.predict(planned)
    pipeline.predict(planned)

    assert pipeline.finish(planned) == "published"
    assert printed(databases) == {number: f"({number},)" for number in range(1, ROWS + 1)}
    assert pipeline.run().planned == 0


def test_a_new_column_disturbs_nobody(databases: Databases) -> None:
    pipeline, planned = start(databases, "bigint", "long", "ALTER TABLE message ADD other text")

    pipeline.predict(planned)

    assert pipeline.finish(planned) == "published"
    assert len(printed(databases)) == ROWS
