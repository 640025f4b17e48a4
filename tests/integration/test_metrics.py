"""What Prometheus gets: whole scrapes of a real endpoint over a real Postgres."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from inference.base.database import Databases
from inference.errors import CheckFailed, RunHeld
from inference.operations import metrics
from tests.stub import Digest, Pipeline, create_messages, job, sql

ROOT = Path(__file__).parents[2]
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@contextmanager
def serving(databases: Databases) -> Iterator[str]:
    with metrics.server(databases, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def get(url: str, accept: str = "") -> tuple[int, str, str]:
    """Status, content type and body."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept}), timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def scrape(url: str) -> Samples:
    """All samples by name, without `batch_prediction_`, and labels."""
    status, _, body = get(f"{url}/metrics")
    assert status == 200, body
    found: Samples = {}
    for family in parse(body):
        assert family.documentation.endswith(".")
        for sample in family.samples:
            series = (sample.name.removeprefix("batch_prediction_"), tuple(sorted(sample.labels.items())))
            assert series not in found
            found[series] = sample.value
    return found


def gauges(name: str, **values: float) -> Samples:
    return {(metric, (("job", name),)): value for metric, value in values.items()}


def runs(name: str, **values: float) -> Samples:
    """The runs of a job: those named, and none in all other states."""
    states = {"runs_total": metrics.ENDED, "open_runs": metrics.OPEN}
    return {
        (metric, (("job", name), ("state", state))): values.get(state, 0)
        for metric, names in states.items()
        for state in names
    }


def stages(name: str, **values: float) -> Samples:
    return {("last_published_stage_seconds", (("job", name), ("stage", stage))): value
            for stage, value in values.items()}  # fmt: skip


def test_a_scrape_is_every_job_and_state_of_this_moment(databases: Databases) -> None:
    create_messages(databases, ["a", "bad", "c", "d"])
    fine = Pipeline(databases, job(name="fine"), Digest(lambda text: text == "bad"))
    first = fine.run()
    fine.run()  # nothing is pending
    fresh = sql(databases, "SELECT now() - interval '100 s'")[0][0]
    sql(databases, "UPDATE prediction.run SET source_time = :fresh WHERE complete", fresh=fresh)
    sql(databases, "UPDATE prediction.run SET finished_at = to_timestamp(1.7e9), "
                   """timings = '{"plan": 0.5, "predict": 2, "check": 0.25, "publish": 0.125}' WHERE run_id = :run""",
        run=first.run_id)  # fmt: skip

    late = Pipeline(databases, job(name="late", source__cursor="updated_at", max_planned_rows=3))
    sql(databases, "UPDATE message SET updated_at = now() - interval '1 hour' WHERE id = 3")
    with pytest.raises(RunHeld):
        late.plan()

    failing = Pipeline(databases, job(name="poor", checks={"outputs": {"length": {"max": 0}}}))
    for _ in range(2):
        planned = failing.plan()
        failing.predict(planned)
        with pytest.raises(CheckFailed):
            failing.finish(planned)

    with serving(databases) as url:
        found = scrape(url)

    ages = {labels[0][1]: found[name, labels] for name, labels in found if name == "oldest_pending_age_seconds"}
    assert ages == {"fine": pytest.approx(100, abs=20), "late": pytest.approx(3600, abs=20),
                    "poor": pytest.approx(0, abs=20)}  # fmt: skip
    assert found == {
        **gauges("fine", pending_rows=0, oldest_pending_age_seconds=ages["fine"], quarantined_rows=1,
                 last_published_timestamp_seconds=1.7e9, last_published_rows_per_second=1.5),
        **stages("fine", plan=0.5, predict=2, check=0.25, publish=0.125),
        **runs("fine", published=1, empty=1),
        **gauges("late", pending_rows=4, oldest_pending_age_seconds=ages["late"], quarantined_rows=0),
        **runs("late", held=1),
        **gauges("poor", pending_rows=4, oldest_pending_age_seconds=ages["poor"], quarantined_rows=0),
        **runs("poor", failed=2),
    }  # fmt: skip


def test_without_any_job_there_are_no_samples_and_with_each_format_the_names_are_there(databases: Databases) -> None:
    with serving(databases) as url:
        assert scrape(url) == {}
        for accept, kind, parser in (
            ("", "text/plain; version=0.0.4; charset=utf-8", parse),
            (OPENMETRICS, "application/openmetrics-text; version=1.0.0; charset=utf-8", parse_openmetrics),
        ):
            status, found, body = get(f"{url}/metrics", accept)
            assert (status, found.partition("; escaping")[0]) == (200, kind)
            assert {family.name: family.type for family in parser(body)} == {
                "batch_prediction_runs": "counter",
                **{f"batch_prediction_{name}": "gauge" for name in (*metrics.GAUGES, "open_runs",
                                                                    "last_published_stage_seconds")},
            }  # fmt: skip
        assert get(f"{url}/") == (404, "text/plain; charset=utf-8", "the metrics are at /metrics\n")


def test_a_counter_does_not_fall_when_a_failed_run_is_started_over(databases: Databases) -> None:
    create_messages(databases, ["a"])
    pipeline = Pipeline(databases)
    failed = ("runs_total", (("job", "intent"), ("state", "failed")))
    with serving(databases) as url:
        counts = []
        for text in ("failed", "planned", "failed"):
            if not counts:
                pipeline.plan()
            sql(databases, "UPDATE prediction.run SET state = :state", state=text)
            counts.append(scrape(url)[failed])

    assert counts == [1, 1, 2]


def test_while_the_database_is_away_503_says_so_in_a_line_and_afterwards_all_is_well(
    databases: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    address = databases.url("predictions")
    away = Databases({"predictions": f"postgresql://boss:geheim@127.0.0.1:{port}/company"})
    wrong = Databases({"predictions": address.set(password="geheim").render_as_string(False)})
    for broken, cause in ((away, "onnection refused"), (wrong, "password authentication failed")):
        with serving(broken) as url:
            status, kind, body = get(f"{url}/metrics")
        assert (status, kind) == (503, "text/plain; charset=utf-8")
        assert re.fullmatch(rf"connection 'predictions' \(127\.0\.0\.1:\d+/\w+\) does not answer: .*{cause}.*\n", body)
        assert "geheim" not in body + caplog.text
        assert "Traceback" not in body + caplog.text


def test_a_question_that_takes_too_long_is_given_up(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "STATEMENT_TIMEOUT", "200ms")
    create_messages(databases, ["a"])
    Pipeline(databases).run()
    with serving(databases) as url, databases.begin("predictions") as connection:
        connection.exec_driver_sql("LOCK TABLE prediction.run")

        assert get(f"{url}/metrics") == (
            503, "text/plain; charset=utf-8", "connection 'predictions': canceling statement due to statement timeout. "
            "It had 200ms; what keeps the database busy?\n"
        )  # fmt: skip
        connection.rollback()
        assert get(f"{url}/metrics")[0] == 200


def test_a_database_without_the_schema_is_said(databases: Databases) -> None:
    sql(databases, "DROP SCHEMA prediction CASCADE")

    with serving(databases) as url:
        status, _, said = get(f"{url}/metrics")
    assert status == 503
    assert said.startswith("connection 'predictions': relation \"prediction.job_status\" does not exist. ")
    assert said.endswith("python -m inference db upgrade\n")


def test_a_bug_is_no_secret_of_the_log_and_one_of_the_answer(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(metrics, "_gauges", lambda jobs: 1 / 0)

    with serving(databases) as url:
        body = "a bug: its stack trace is in the log of this process\n"
        assert get(f"{url}/metrics")[::2] == (500, body)
    assert "ZeroDivisionError" in caplog.text


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "inference", "metrics", *arguments], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_it_is_told_to_end(databases: Databases, number: signal.Signals) -> None:
    process = start("--port", "0", AIRFLOW_CONN_PREDICTIONS=databases.url("predictions").render_as_string(False))
    assert process.stderr is not None
    line = process.stderr.readline()

    found = re.fullmatch(r"metrics at (http://127\.0\.0\.1:\d+)/metrics\n", line)
    assert found, line + process.stderr.read()
    assert scrape(found[1]) == {}
    process.send_signal(number)

    assert (*process.communicate(timeout=3), process.returncode) == ("", "", 0)


def test_a_port_that_is_taken_and_a_missing_connection_end_with_65() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        for address, said in (
            ("postgresql://127.0.0.1/company", f"cannot listen on 127.0.0.1 port {port}: Address already in use"),
            ("", "connection 'predictions': no address"),
        ):
            process = start("--port", port, AIRFLOW_CONN_PREDICTIONS=address)
            out, err = process.communicate(timeout=30)
            assert (process.returncode, out, err.startswith(f"error: {said}")) == (65, "", True), err
