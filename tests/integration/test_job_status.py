"""What `prediction.job_status` and Prometheus say is pending is what the last search found and is not done."""

from __future__ import annotations

from typing import Any

import pytest

from inference.base.database import Databases
from inference.errors import CheckFailed
from inference.publishing import check
from tests.stub import Digest, Pipeline, create_messages, job, register, sql


@pytest.fixture
def pipeline(databases: Databases) -> Pipeline:
    create_messages(databases, [f"message {number}" for number in range(100)])
    return Pipeline(databases)


def status(pipeline: Pipeline) -> dict[str, Any]:
    columns = ("pending", "last_run", "last_state")
    rows = sql(pipeline.databases, f"SELECT {', '.join(columns)} FROM prediction.job_status")  # noqa: S608
    return dict(zip(columns, rows[0]))


def dry_run(pipeline: Pipeline, **request: Any) -> None:
    planned = pipeline.plan(dry_run=True, **request)
    pipeline.predict(planned)
    pipeline.finish(planned)


def test_after_a_dry_run_all_that_it_found_is_pending(pipeline: Pipeline) -> None:
    """B8: it said 0."""
    dry_run(pipeline)
    assert status(pipeline) == {"pending": 100, "last_run": 1, "last_state": "empty"}
    pipeline.run()
    assert status(pipeline)["pending"] == 0
    sql(pipeline.databases, "UPDATE message SET text = 'edited' WHERE id <= 30")
    dry_run(pipeline)
    assert status(pipeline) == {"pending": 30, "last_run": 3, "last_state": "empty"}


def test_a_dry_run_that_asks_for_something_else_says_nothing_of_what_is_pending(pipeline: Pipeline) -> None:
    pipeline.run()
    pipeline.model = register(pipeline.databases, "2")
    dry_run(pipeline, mode="rescore")
    dry_run(pipeline, mode="key_range", key_from="1", key_to="50")

    assert status(pipeline) == {"pending": 0, "last_run": 3, "last_state": "empty"}


def test_a_run_that_came_while_another_is_at_work_found_nothing_out(pipeline: Pipeline) -> None:
    """B8: it said 0 while a run was at work on 100 rows."""
    working = pipeline.plan()
    late = pipeline.plan(orchestrator="command line")
    assert late.state == "empty"
    assert status(pipeline) == {"pending": 100, "last_run": late.run_id, "last_state": "empty"}

    pipeline.predict(working)
    pipeline.finish(working)
    assert status(pipeline)["pending"] == 0


def test_what_a_limit_or_a_failed_check_leaves_over_is_pending(pipeline: Pipeline) -> None:
    pipeline.run(row_limit=30)
    assert status(pipeline)["pending"] == 70
    pipeline.predictor = Digest(lambda text: True)
    planned = pipeline.plan()
    pipeline.predict(planned)
    with pytest.raises(CheckFailed):
        check.check(pipeline.databases, planned.run_id)
    assert status(pipeline) == {"pending": 70, "last_run": 2, "last_state": "failed"}


def test_fresh_to_is_never_in_the_future(databases: Databases) -> None:
    """A4, B8: after a run at a clock that was ahead, `max_age` would not have fired for that long."""
    create_messages(databases, ["one"])
    pipeline = Pipeline(databases, job())
    pipeline.run()
    sql(databases, "UPDATE prediction.run SET source_time = now() + interval '30 days'")

    assert sql(databases, "SELECT fresh_to <= now() FROM prediction.job_status") == [(True,)]
