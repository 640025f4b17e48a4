"""A run that is over stays over, and two people who decide about one run at once do not both succeed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from inference.base.database import Databases
from inference.errors import RequestError, TakenOver, WorkLost
from inference.planning.plan import Planned
from inference.publishing import check, publish
from inference.schema import work_tables
from inference.schema.run import fail
from inference.shard import shard
from services.postgres import Postgres
from tests import roles
from tests.stub import Digest, Pipeline, assert_current, create_messages, predictions, run_row, sql


@pytest.fixture
def pipeline(databases: Databases) -> Pipeline:
    create_messages(databases, [f"message {number}" for number in range(50)])
    return Pipeline(databases)


def discarded(pipeline: Pipeline) -> Planned:
    planned = pipeline.run(publish="hold")
    publish.discard(pipeline.databases, planned.run_id)
    return planned


def failed_and_cleared_up(pipeline: Pipeline) -> Planned:
    """Its tables went with the plan of a run that is over as well."""
    planned = pipeline.plan()
    fail(pipeline.databases, planned.run_id, "somebody says so")
    pipeline.run()
    return planned


def dry(pipeline: Pipeline) -> Planned:
    planned = pipeline.plan(dry_run=True)
    pipeline.predict(planned)
    pipeline.finish(planned)
    return planned


def dropped(pipeline: Pipeline) -> Planned:
    planned = pipeline.plan()
    sql(pipeline.databases, f"DROP TABLE prediction_work.result_{planned.run_id}_1")
    return planned


@pytest.mark.parametrize("how", [discarded, failed_and_cleared_up, dry, dropped])
def test_a_shard_opens_no_run_whose_work_tables_are_gone(
    pipeline: Pipeline, how: Callable[[Pipeline], Planned]
) -> None:
    """B4: it was `predicting` again, and the job's other runs ended as empty."""
    databases, planned = pipeline.databases, how(pipeline)
    before = run_row(databases, planned.run_id)

    with pytest.raises(TakenOver, match=rf"is {before['state']} in generation 1: .* has nothing to do"):
        shard.run(databases, planned.run_id, 1, 1, lambda work: Digest())

    assert run_row(databases, planned.run_id) == before
    if how is not dropped:
        sql(databases, "UPDATE message SET text = text || ' edited'")
        assert pipeline.run().planned == 50
        assert_current(databases)


def test_check_of_a_run_whose_work_tables_are_gone_says_so(pipeline: Pipeline) -> None:
    """B4: it was a stack trace."""
    planned = dropped(pipeline)

    with pytest.raises(WorkLost, match=rf"run {planned.run_id}: its work tables are gone.*plans the same rows again"):
        check.check(pipeline.databases, planned.run_id)
    with pytest.raises(TakenOver, match=f"run {discarded(Pipeline(pipeline.databases)).run_id} is failed: discarded"):
        check.check(pipeline.databases, 2)


def test_a_run_that_failed_goes_on_while_its_tables_are_there(pipeline: Pipeline) -> None:
    planned = pipeline.plan()
    fail(pipeline.databases, planned.run_id, "somebody says so")

    pipeline.predict(planned)

    assert pipeline.finish(planned) == "published"
    assert_current(pipeline.databases)


def test_a_run_whose_work_list_a_crash_emptied_stays_failed(pipeline: Pipeline) -> None:
    """A neighbour of B4: a crash of Postgres empties tables and does not drop them."""
    planned = pipeline.plan()
    fail(pipeline.databases, planned.run_id, "work tables lost")
    sql(
        pipeline.databases,
        f"TRUNCATE prediction_work.work_{planned.run_id}_1, prediction_work.result_{planned.run_id}_1",
    )

    with pytest.raises(WorkLost, match="work tables lost"):
        pipeline.predict(planned)

    assert run_row(pipeline.databases, planned.run_id)["state"] == "failed"


def test_the_role_of_shards_opens_a_run_and_none_that_is_over(postgres: Postgres) -> None:
    """B4, under the row-level policy of the four roles."""
    postgres.create_database("over_with_roles")
    try:
        company = roles.company(postgres, "over_with_roles")
        sql(company["owner"], "INSERT INTO prediction.job (name) VALUES ('intent')")
        create_messages(company["admin"], ["one"])
        sql(company["admin"], "GRANT SELECT ON message TO prediction_predictor")
        planned = Pipeline(company["planner"]).plan(dry_run=True)
        shard.run(company["predictor"], planned.run_id, 1, 1, lambda work: Digest())
        fail(company["planner"], planned.run_id, "somebody says so")
        shard.run(company["predictor"], planned.run_id, 1, 1, lambda work: Digest())
        check.check(company["planner"], planned.run_id)

        with pytest.raises(TakenOver, match="is empty in generation 1"):
            shard.run(company["predictor"], planned.run_id, 1, 1, lambda work: Digest())
    finally:
        postgres.drop_database("over_with_roles")


def meanwhile(
    monkeypatch: pytest.MonkeyPatch, module: Any, inside: str, first: Callable[[], Any], second: Callable[[], Any]
) -> BaseException | None:
    """Starts `second` while `first` is in its function `inside`, which waits until `second` waits; how that ended."""
    real, entered, go_on = getattr(module, inside), threading.Event(), threading.Event()

    def slow(*arguments: Any) -> Any:
        entered.set()
        assert go_on.wait(20)
        return real(*arguments)

    monkeypatch.setattr(module, inside, slow)
    with ThreadPoolExecutor(2) as threads:
        winner = threads.submit(first)
        assert entered.wait(20)
        monkeypatch.setattr(module, inside, real)
        loser = threads.submit(second)
        with pytest.raises(TimeoutError):
            loser.result(0.5)  # it waits for the other
        go_on.set()
        winner.result()
        return loser.exception()


def test_discard_during_a_release_says_that_the_run_is_published(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C: it said "discarded: its rows are pending again" of a run that was published."""
    databases, held = pipeline.databases, pipeline.run(publish="hold").run_id

    lost = meanwhile(
        monkeypatch, publish, "_merge",
        lambda: publish.release(databases, held), lambda: publish.discard(databases, held),
    )  # fmt: skip

    assert isinstance(lost, RequestError)
    assert str(lost) == f"run {held} is published; only a held run can be released or discarded"
    assert_current(databases)


def test_release_during_a_discard_says_that_the_run_is_over(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    databases, held = pipeline.databases, pipeline.run(publish="hold").run_id

    lost = meanwhile(
        monkeypatch, work_tables, "drop_work",
        lambda: publish.discard(databases, held), lambda: publish.release(databases, held),
    )  # fmt: skip

    assert isinstance(lost, RequestError)
    assert str(lost) == f"run {held} is failed; only a held run can be released or discarded"
    assert predictions(databases) == {}
    assert pipeline.run().planned == 50


def test_release_of_a_run_whose_results_a_crash_emptied_ends_it(pipeline: Pipeline) -> None:
    held = pipeline.run(publish="hold").run_id
    sql(pipeline.databases, f"TRUNCATE prediction_work.work_{held}_1, prediction_work.result_{held}_1")

    with pytest.raises(WorkLost):
        publish.release(pipeline.databases, held)

    assert run_row(pipeline.databases, held)["state"] == "failed"
    assert pipeline.run().planned == 50
