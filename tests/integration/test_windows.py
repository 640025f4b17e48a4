"""When a run with a cursor may search the window only: after whom, by which rule, by which clock."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from inference.base.database import Databases
from inference.jobs import definition
from inference.jobs.request import Request
from inference.operations import prune
from inference.planning import plan
from inference.planning.plan import Planned
from inference.publishing import publish
from inference.schema.lease import Caller
from tests.stub import Pipeline, assert_current, create_messages, job, predictions, register, run_row, sql

ROWS = 20
SEARCH = {"source__cursor": "updated_at", "source__lookback": "1min", "source__sweep": "0 0 1 1 *"}
RESCORE = {**SEARCH, "model__on_new_version": "rescore"}
CLOCK = plan.SQL["source_time"]


@pytest.fixture(autouse=True)
def messages(databases: Databases) -> None:
    """Rows that no window reaches."""
    create_messages(databases, [f"message {number}" for number in range(ROWS)])
    sql(databases, "UPDATE message SET updated_at = now() - interval '3 hours'")


class Company:
    """Runs one job, whose file and alias change from run to run."""

    def __init__(self, databases: Databases, **changes: Any) -> None:
        self.databases = databases
        self.pipeline = Pipeline(databases, job(**{**SEARCH, **changes}))
        self.models = {version: register(databases, version) for version in ("1", "2")}

    def run(self, version: str = "1", request: dict[str, Any] | None = None, **changes: Any) -> Planned:
        if changes:
            self.pipeline.job = job(**changes)
        self.pipeline.model = self.models[version]
        return self.pipeline.run(**request or {})

    def swept(self, planned: Planned) -> bool:
        row = run_row(self.databases, planned.run_id)
        assert row["sweep"] is (row["window_start"] is None)
        return bool(row["sweep"])

    def versions(self) -> set[str]:
        found = predictions(self.databases)
        assert len(found) == ROWS
        return {row["model_version"] for row in found.values()}


@pytest.fixture
def company(databases: Databases) -> Company:
    return Company(databases)


def move_clock(monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    """The clock of the source, from here on."""
    monkeypatch.setitem(plan.SQL, "source_time", f"SELECT now() + interval '{by}'")


def test_an_ordinary_job_searches_its_window(company: Company, databases: Databases) -> None:
    first = company.run()
    sql(databases, "UPDATE message SET text = 'new', updated_at = now() WHERE id = 1")

    second, third = company.run(), company.run()

    assert [company.swept(planned) for planned in (first, second, third)] == [True, False, False]
    assert (second.planned, third.planned) == (1, 0)
    start, before = (run_row(databases, each.run_id) for each in (third, second))
    assert before["source_time"] - start["window_start"] < timedelta(minutes=1, seconds=5)


def test_a_version_that_goes_there_and_back_is_scored_again(databases: Databases) -> None:
    """A2"""
    company = Company(databases, **RESCORE)
    runs = [company.run(version) for version in ("1", "2", "1", "1")]

    assert [planned.planned for planned in runs] == [ROWS, ROWS, ROWS, 0]
    assert [company.swept(planned) for planned in runs] == [True, True, True, False]
    assert company.versions() == {"1"}


def test_after_a_rescore_by_another_version_the_own_one_is_scored_again(databases: Databases) -> None:
    """A2: `run --mode rescore --model 2`, and back."""
    company = Company(databases, **RESCORE)
    company.run()
    company.run("2", {"mode": "rescore", "model": "2"})
    assert company.versions() == {"2"}

    assert company.run().planned == ROWS
    assert company.versions() == {"1"}


def test_a_condition_that_goes_there_and_back_misses_no_row(company: Company, databases: Databases) -> None:
    """A2: with on_delete: delete, the rows that the condition left out have lost their predictions."""
    whole = {**SEARCH, "source__on_delete": "delete", "source__max_delete_rate": 1.0}
    part = {**whole, "source__where": f"id > {ROWS // 2}"}
    company.run(**whole)
    company.run(**part)
    assert len(predictions(databases)) == ROWS // 2

    assert company.run(**whole).planned == ROWS // 2
    assert_current(databases)


def test_a_job_that_begins_to_rescore_rescores(company: Company) -> None:
    """A2: alias to 2 under new_rows, then the job file says rescore."""
    company.run()
    assert company.run("2").planned == 0
    assert company.versions() == {"1"}

    assert company.run("2", **RESCORE).planned == ROWS
    assert company.versions() == {"2"}


@pytest.mark.parametrize(
    "request_",
    [{"mode": "key_range", "key_from": "3", "key_to": "5"}, {"mode": "rescore", "row_limit": 3}],
    ids=["range", "limit"],
)
def test_part_of_the_rows_by_another_version_are_scored_again(databases: Databases, request_: dict[str, Any]) -> None:
    """A2: a run that is not complete may have overwritten predictions as well."""
    company = Company(databases, **RESCORE)
    company.run()
    assert company.run("2", request_).planned == 3
    assert company.versions() == {"1", "2"}

    again = company.run()

    assert (again.planned, company.swept(again), company.versions()) == (3, True, {"1"})
    assert not company.swept(company.run())


def test_a_part_by_the_same_version_leaves_the_window(databases: Databases) -> None:
    company = Company(databases, **RESCORE)
    company.run()
    company.run("1", {"mode": "key_range", "key_from": "3", "key_to": "5"})

    assert not company.swept(company.run())


def test_a_run_that_was_started_over_counts_as_later_than_its_number(databases: Databases) -> None:
    """A2: Airflow's clear. The run has a lower number than the last complete one, and overwrites its predictions."""
    company = Company(databases, **RESCORE)
    cleared = company.pipeline.plan("cleared", mode="key_range", key_from="3", key_to="5")  # and never predicted
    company.run()
    # The server's clock is no witness of the order.
    sql(databases, "UPDATE prediction.run SET created_at = created_at + interval '1 day' WHERE complete")
    caller = Caller("airflow", "cleared", True)
    request = Request(mode="key_range", key_from="3", key_to="5")
    again = plan.plan(databases, company.pipeline.job, request, company.models["2"], caller)
    assert (again.run_id, again.generation, again.planned) == (cleared.run_id, 2, 3)
    company.pipeline.predict(again)
    company.pipeline.finish(again)
    assert company.versions() == {"1", "2"}

    after = company.run()

    assert (after.planned, company.swept(after), company.versions()) == (3, True, {"1"})
    assert not company.swept(company.run())


def test_prune_keeps_what_the_window_is_judged_by(databases: Databases) -> None:
    """A2: also the late run that did otherwise."""
    company = Company(databases, **RESCORE)
    limits = {"mode": "key_range", "key_from": "3", "key_to": "5"}
    company.pipeline.plan("cleared", **limits)
    company.run()
    for _ in range(2):
        company.run("2", limits)
    company.run()
    again = plan.plan(
        databases, company.pipeline.job, Request(**limits), company.models["2"], Caller("airflow", "cleared", True)
    )
    company.pipeline.predict(again)
    company.pipeline.finish(again)
    sql(databases, "UPDATE prediction.run SET finished_at = finished_at - interval '100 days'")

    assert list(prune.prune(databases, timedelta(days=90), lambda: pytest.fail("no report"))) != []

    assert run_row(databases, again.run_id)["published_after"] is not None
    assert company.run().planned == 3
    assert company.versions() == {"1"}


@pytest.mark.parametrize(
    "changes",
    [
        {"source__lookback": "2min"},
        {"source__sweep": "0 0 1 2 *"},
        {"source__on_delete": "delete"},
        {"source__max_delete_rate": 0.5},
        {"sizes__chunk_rows": 7},
        {"checks__max_quarantine_rate": 0.5},
    ],
    ids=lambda changes: str(next(iter(changes))),
)
def test_a_setting_that_the_search_does_not_read_makes_no_sweep(company: Company, changes: dict[str, Any]) -> None:
    company.run()

    assert not company.swept(company.run(**{**SEARCH, **changes}))


@pytest.mark.parametrize(
    "changes",
    [
        {"source__connection": "crm"},
        {"source__schema": "crm"},
        {"source__relation": "message_view"},
        {"source__key": ["id", "text"]},
        {"source__inputs": ["text", "id"]},
        {"source__where": "id > 0"},
        {"source__where": "id  > 0"},
        {"source__changes": "none", "source__cursor": None},
    ],
    ids=str,
)
def test_what_the_search_reads_has_another_hash(
    company: Company, databases: Databases, changes: dict[str, Any]
) -> None:
    company.run()
    changed = job(**{**SEARCH, **changes})

    assert search_hash(databases, changed.source.model_dump(mode="json", by_alias=True)) != search_hash(databases)


def test_a_section_without_its_defaults_has_the_same_hash(company: Company, databases: Databases) -> None:
    company.run()
    written = {"relation": "message", "key": ["id"], "inputs": ["text"], "cursor": "updated_at"}

    assert search_hash(databases, written) == search_hash(databases)


def search_hash(databases: Databases, section: dict[str, Any] | None = None) -> Any:
    """Of a section, or of the latest run."""
    if section is None:
        return sql(databases, "SELECT search_hash FROM prediction.run ORDER BY run_id DESC LIMIT 1")[0][0]
    return sql(databases, "SELECT prediction.search_hash(CAST(:s AS jsonb))", s=json.dumps(section))[0][0]


def test_a_new_field_of_the_section_makes_no_sweep(
    company: Company, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runs that were planned without it have the same hash as those with it."""
    company.run()
    section = plan.section
    monkeypatch.setattr(plan, "section", lambda job: {**section(job), "parallel": False})
    written = definition.write
    monkeypatch.setattr(
        definition, "write", lambda job: json.dumps({**json.loads(written(job)), "source": plan.section(job)})
    )

    assert not company.swept(company.run())
    assert sql(databases, "SELECT count(DISTINCT search_hash), count(DISTINCT definition->'source') "
                          "FROM prediction.run") == [(1, 2)]  # fmt: skip
    monkeypatch.undo()
    assert not company.swept(company.run())


def test_a_clock_that_was_ahead_suspends_no_sweep_and_hides_no_row(
    company: Company, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A4: one run at a clock 30 days ahead, then the clock is right."""
    with monkeypatch.context() as ahead:
        move_clock(ahead, "30 days")
        company.run(**{**SEARCH, "source__sweep": "* * * * *"})
    sql(databases, "INSERT INTO message (text, updated_at) VALUES ('before', now() - interval '2 hours')")

    first = company.run(**SEARCH)

    assert (first.planned, company.swept(first)) == (1, True)
    second = company.run()
    assert not company.swept(second)
    assert_no_window_in_the_future(databases)
    sql(databases, "UPDATE prediction.run SET source_time = source_time - interval '2 min' WHERE run_id >= :r",
        r=first.run_id)  # fmt: skip
    assert company.swept(company.run(**{**SEARCH, "source__sweep": "* * * * *"}))


def assert_no_window_in_the_future(databases: Databases) -> None:
    assert sql(databases, "SELECT run_id FROM prediction.run WHERE window_start > source_time") == []


def test_a_clock_that_was_half_an_hour_ahead_hides_no_row(
    company: Company, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A4: so that the last complete run's time is in the past again, and later than the row."""
    with monkeypatch.context() as ahead:
        move_clock(ahead, "30 min")
        company.run()
    sql(databases, "UPDATE prediction.run SET source_time = source_time - interval '31 min'")  # half an hour passes
    sql(databases, "INSERT INTO message (text, updated_at) VALUES ('meanwhile', now() - interval '20 min')")

    after = company.run()

    assert (after.planned, company.swept(after)) == (1, True)
    assert not company.swept(company.run())


def test_a_clock_that_was_a_little_ahead_widens_the_window(
    company: Company, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A4: below the tolerance the window starts by so much earlier."""
    with monkeypatch.context() as ahead:
        move_clock(ahead, "40 s")
        first = company.run()
    sql(databases, "UPDATE prediction.run SET source_time = source_time - interval '41 s'")

    after = run_row(databases, company.run().run_id)

    expected = run_row(databases, first.run_id)["source_time"] - timedelta(seconds=60 + 40)
    assert abs((after["window_start"] - expected).total_seconds()) < 5


def test_a_clock_that_was_behind_is_no_harm(
    company: Company, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A4: two days behind, then right; sweeps go by the same clock."""
    company.run()
    with monkeypatch.context() as behind:
        move_clock(behind, "-2 days")
        sql(databases, "UPDATE message SET text = 'slow', updated_at = now() - interval '49 hours' WHERE id = 1")
        slow = [company.run(), company.run()]
        assert [(planned.planned, company.swept(planned)) for planned in slow] == [(1, True), (0, False)]
        sql(databases, "UPDATE prediction.run SET source_time = source_time - interval '2 min'")
        assert company.swept(company.run(**{**SEARCH, "source__sweep": "* * * * *"}))

    right = company.run(**SEARCH)

    assert company.swept(right)
    assert not company.swept(company.run())


def test_sweeps_are_judged_by_the_clock_of_the_source(
    company: Company, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C: the clock of a worker that is two days behind or ahead neither suspends sweeps nor adds any."""
    for hours in (-48, 48):

        class Wrong(datetime):
            @classmethod
            def now(cls, zone: Any = None) -> datetime:  # type: ignore[override]
                return datetime.now(timezone.utc) + timedelta(hours=hours)  # noqa: B023

        with monkeypatch.context() as worker:
            worker.setattr(plan, "datetime", Wrong)
            first = company.run()
            assert company.swept(first)  # once: which of the two clocks has moved is not known
            offset = run_row(databases, first.run_id)["clock_offset"]
            assert abs(offset + hours * 3600) < 5
            assert not company.swept(company.run())
            sql(databases, "UPDATE prediction.run SET source_time = source_time - interval '2 min'")
            daily = company.run(**{**SEARCH, "source__sweep": "* * * * *"})
            assert company.swept(daily)
            assert not company.swept(company.run(**SEARCH))
    assert company.swept(company.run())
    assert not company.swept(company.run())


def test_runs_from_before_clocks_were_compared_leave_the_window(company: Company, databases: Databases) -> None:
    company.run()
    sql(databases, "UPDATE prediction.run SET clock_offset = NULL")

    last = company.run()

    assert not company.swept(last)
    sql(databases, "UPDATE prediction.run SET clock_offset = NULL, source_time = source_time + interval '30 days' "
                   "WHERE run_id = :r", r=last.run_id)  # fmt: skip
    assert company.swept(company.run())  # A4: the clock of that run was ahead


def test_the_oldest_pending_row_is_not_promised_the_future(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A4: without a cursor its age is that of the last complete run, whose clock was ahead."""
    pipeline = Pipeline(databases)
    move_clock(monkeypatch, "30 days")
    pipeline.run()
    sql(databases, "INSERT INTO message (text) VALUES ('new')")

    planned = pipeline.plan()

    assert planned.oldest_pending is not None
    assert datetime.fromisoformat(planned.oldest_pending) < datetime.now(timezone.utc)


def test_a_held_run_that_is_released_ends_the_window_of_another_version(databases: Databases) -> None:
    """A2"""
    company = Company(databases, **RESCORE)
    company.run()
    held = company.run("2", {"mode": "key_range", "key_from": "3", "key_to": "5", "publish": "hold"})
    publish.release(databases, held.run_id)

    assert (company.run().planned, company.versions()) == (3, {"1"})


@pytest.mark.parametrize(
    ("zone", "sweep", "first_day", "expected"),
    [
        ("America/New_York", "30 2 * * *", "2026-03-07", ["07 02:45-0500", "08 03:15-0400", "09 02:45-0400"]),
        ("America/New_York", "0 3 * * *", "2026-03-07", ["07 03:15-0500", "08 03:15-0400", "09 03:15-0400"]),
        ("America/New_York", "30 1 * * *", "2026-10-31",
         ["31 01:45-0400", "01 01:45-0400", "01 01:45-0500", "02 01:45-0500"]),
        ("America/New_York", "0 3 * * *", "2026-10-31", ["31 03:15-0400", "01 03:15-0500", "02 03:15-0500"]),
        ("America/Santiago", "0 0 * * *", "2026-09-05", ["05 00:15-0400", "06 01:15-0300", "07 00:15-0300"]),
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03", ["03 02:30+1030", "04 02:45+1100", "05 02:30+1100"]),
        ("Asia/Seoul", "0 0 * * *", "2026-03-07", ["07 00:15+0900", "08 00:15+0900", "09 00:15+0900"]),
    ],
)  # fmt: skip
def test_a_change_of_the_clock_neither_loses_a_sweep_nor_repeats_it(
    company: Company, databases: Databases, zone: str, sweep: str, first_day: str, expected: list[str]
) -> None:
    """R4. One a day, also where its hour is left out; two where its hour comes twice, which does no harm. A run each
    quarter of an hour, from noon to noon of three days later."""
    company.run()
    a_job = job(**{**SEARCH, "source__sweep": sweep, "schedule": {"time_zone": zone}})
    noon = datetime.fromisoformat(f"{first_day} 12:00").replace(tzinfo=ZoneInfo(zone)).astimezone(timezone.utc)
    found = []
    with databases.begin("predictions") as connection:
        for quarter in range(-96, 2 * 96):
            now = noon + timedelta(minutes=15 * quarter)
            if quarter == -96 or plan._sweep_is_due(connection, a_job, now):
                found.append(now.astimezone(ZoneInfo(zone)).strftime("%d %H:%M%z"))
                connection.execute(text("UPDATE prediction.run SET source_time = :now"), {"now": now})

    assert found[1:] == expected
