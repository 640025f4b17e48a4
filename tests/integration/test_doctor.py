"""`doctor` finds each thing that can be wrong; `repair` removes what dead runs left, and lets live ones be."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from inference.base.database import PREDICTIONS, Databases
from inference.errors import Unavailable
from inference.images import image
from inference.jobs.job import Job
from inference.jobs.request import Request
from inference.models import model_version
from inference.models.mlflow_rest import Version
from inference.models.model_version import Image, Model
from inference.operations import doctor
from inference.operations.repair import repair
from inference.planning import plan
from inference.planning.plan import Planned
from inference.publishing import publish
from inference.runners.runner import RUNNERS, Runner
from inference.schema import lease
from inference.schema.lease import Caller
from inference.shard import attempt
from services.postgres import Postgres
from tests import roles
from tests.stub import Pipeline, assert_current, create_messages, job, register, run_row, sql

ROOT = Path(__file__).parents[2]
JOB = job(runner="venv")


class Champion:
    """An MLflow server that knows one version of one model."""

    def resolve(self, name: str, reference: str) -> Version:
        return Version(name, "1", "models:/m-1", None)


@pytest.fixture
def company(postgres: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, Databases]]:
    """A company where everything is right."""
    monkeypatch.setattr(doctor, "Registry", Champion)
    monkeypatch.setenv("INFERENCE_STATE", str(tmp_path / "state"))
    postgres.create_database("test_doctor")
    found = roles.company(postgres, "test_doctor")
    create_messages(found["admin"], [f"message {number}" for number in range(250)])
    sql(found["admin"], "GRANT SELECT ON message TO prediction_predictor")
    plan.prepare(found["owner"], JOB, register(found["planner"]))
    yield found
    postgres.drop_database("test_doctor")


def findings(databases: Databases, *jobs: Job, level: str = "") -> list[str]:
    found = doctor.examine(databases, jobs or (JOB,))
    return [finding.text for finding in found if finding.level == level or (not level and finding.level != "ok")]


def connect(databases: Databases, **changes: Any) -> Databases:
    """Other addresses, each a URL or a change of the planner's."""
    own = databases.url(PREDICTIONS)
    urls = {
        name: (own.set(**change) if isinstance(change, dict) else own).render_as_string(hide_password=False)
        for name, change in {PREDICTIONS: {}, **changes}.items()
    }
    return Databases(urls)


def planned(databases: Databases, number: str = "1", orchestrator: str = "airflow") -> Planned:
    caller = Caller(orchestrator, number, orchestrator == "airflow")
    return plan.plan(databases, JOB, Request(), known(databases), caller)


def known(databases: Databases) -> Model:
    found = model_version.known(databases, Version("intent", "1", "models:/m-1", None))
    assert found is not None
    return found


def test_a_company_where_everything_is_right(company: dict[str, Databases]) -> None:
    url = company["planner"].url(PREDICTIONS)
    where = f"{url.host}:{url.port}/test_doctor"

    assert findings(company["planner"]) == []
    said = findings(company["planner"], level="ok")
    assert said[0].startswith(f"connection predictions: {where} as prediction_planner, PostgreSQL ")
    assert said[1].startswith(f"connection predictions_shard: {where} as prediction_predictor, PostgreSQL ")
    assert said[2].startswith("disk: ")
    assert said[3:] == [
        "the schema `prediction` is at the migration that this code needs",
        "shards have a role of their own, which may not publish",
        "no run that is over has left anything",
        "job intent: public.message can be read",
        "job intent: intent version 1 on Python 3.11.7, which is here",
    ]


def test_an_address_that_nobody_answers_at(company: dict[str, Databases]) -> None:
    away = connect(company["planner"], predictions_shard={"port": 1})

    (said,) = findings(away)

    assert said.startswith("connection 'predictions_shard' (127.0.0.1:1/test_doctor) does not answer: ")


def test_a_connection_of_a_job_without_an_address(company: dict[str, Databases]) -> None:
    (said,) = findings(company["planner"], job(source__connection="shop"))

    assert said.startswith("connection 'shop': no address. Set AIRFLOW_CONN_SHOP=")


def test_a_schema_that_is_older_than_the_code(company: dict[str, Databases]) -> None:
    sql(company["admin"], "DELETE FROM prediction.migration WHERE number > 3")

    (said,) = findings(company["planner"])

    assert said.startswith("the schema `prediction` is at migration 3, this code needs ")


def test_shards_without_a_role_of_their_own(company: dict[str, Databases]) -> None:
    assert findings(connect(company["planner"])) == [
        "code of models runs with a role that may plan and publish. Give shards their own: connection "
        "predictions_shard, of the role prediction_predictor (docs/security.md)"
    ]


def test_pods_have_their_addresses_from_a_secret(
    company: dict[str, Databases], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RUNNERS, "kubernetes", RUNNERS["venv"])

    assert findings(connect(company["planner"]), job(runner="kubernetes")) == []


def test_roles_that_are_mixed_up(company: dict[str, Databases]) -> None:
    predictor = company["predictor"].url(PREDICTIONS)
    reader = {"username": "prediction_reader"}
    assert findings(Databases({PREDICTIONS: predictor.render_as_string(False)})) == [
        "connection 'predictions': permission denied for table migration. GRANT what its role lacks, or let the "
        "connection name another role (docs/security.md)"
    ]
    assert findings(connect(company["planner"], predictions=reader))[0].startswith(
        "connection predictions: this role may not plan"
    )
    assert findings(connect(company["planner"], predictions_shard=reader))[0] == (
        "connection predictions_shard: this role may not score: shards need prediction_predictor"
    )


def test_one_superuser_for_everything(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "Registry", Champion)
    create_messages(databases, ["one"])
    register(databases)

    said = findings(databases)

    assert said[0] == "connection predictions: postgres is a superuser; use a role of sql/roles.sql"
    assert said[1] == "one role owns the schema `prediction` and does everything; see docs/security.md"
    assert [text[:60] for text in said[2:]] == ["code of models runs with a role that may plan and publish. G"]
    assert findings(databases, level="error") == []


def test_a_source_that_is_not_there_or_cannot_be_read(company: dict[str, Databases]) -> None:
    assert findings(company["planner"], job(source__relation="nowhere")) == [
        "job intent: public.nowhere does not exist on connection predictions; GRANT SELECT to its role"
    ]
    sql(company["admin"], "REVOKE SELECT ON message FROM prediction_predictor")
    sql(company["admin"], "GRANT SELECT ON message TO prediction_planner")
    assert findings(company["planner"]) == [
        "job intent: public.message cannot be read on connection predictions_shard; GRANT SELECT to its role"
    ]


def test_row_level_security_that_hides_from_shards_what_plan_sees(company: dict[str, Databases]) -> None:
    sql(company["admin"], "ALTER TABLE message ENABLE ROW LEVEL SECURITY")
    sql(company["admin"], "CREATE POLICY shared ON message TO prediction_predictor USING (id < 10)")
    assert findings(company["planner"]) == []
    sql(company["admin"], "CREATE POLICY mine ON message TO prediction_planner USING (true)")
    assert findings(company["planner"]) == [
        "job intent: public.message has row-level security that plan and shards meet differently (predictions meets "
        "mine, shared; predictions_shard meets shared): rows that only plan sees vanish in each run. Write the policy "
        "TO prediction_predictor: the planner is a member"
    ]


def test_a_job_whose_tables_nobody_has_made(company: dict[str, Databases]) -> None:
    assert findings(company["planner"], job(name="other")) == [
        "job other: has no tables yet. As the owner: python -m inference db prepare other"
    ]


def test_a_cursor_that_cannot_help_since_rows_become_due_by_time(company: dict[str, Databases]) -> None:
    """F12"""
    where = "updated_at < now() - interval '2 hours'"

    (warned,) = findings(company["planner"], job(source__cursor="updated_at", source__where=where), level="warning")

    assert warned.startswith("job intent: source.where has now(), so rows become due without a change")
    assert findings(company["planner"], job(source__where=where)) == []


def test_mlflow_that_does_not_answer(company: dict[str, Databases], monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> Any:
        raise Unavailable("MLflow at http://mlflow:5000 does not answer")

    monkeypatch.setattr(doctor, "Registry", away)

    assert findings(company["planner"]) == ["MLflow at http://mlflow:5000 does not answer"]


def test_a_python_that_this_machine_has_not(company: dict[str, Databases]) -> None:
    sql(company["admin"], "UPDATE prediction.model SET python_version = '3.2.1'")

    (said,) = findings(company["planner"])

    assert said.startswith("Python 3.2 is needed and was not found")


def test_an_image_that_nobody_built_and_containers_of_runs_that_are_over(
    company: dict[str, Databases], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(registry: Any, version: Version) -> Image:
        raise model_version.ModelError(f"{version}: has no image")

    left = ["inference-intent-run3"]
    removed: list[str] = []
    fake = Runner(RUNNERS["docker"].run, missing, lambda *_: left, lambda *_: removed.extend(left))
    monkeypatch.setitem(RUNNERS, "docker", fake)

    assert findings(company["planner"], job(runner="docker")) == [
        "intent version 1: has no image",
        "job intent: inference-intent-run3 is at work for a run that is over. It goes at the job's next plan, or now: "
        "python -m inference repair",
    ]
    assert list(repair(company["planner"], [job(runner="docker")])) == ["job intent: removed inference-intent-run3"]
    assert removed == left


def test_a_run_whose_clock_was_ahead(company: dict[str, Databases], monkeypatch: pytest.MonkeyPatch) -> None:
    """A4"""
    pipeline = Pipeline(company["planner"], JOB)
    with monkeypatch.context() as ahead:
        ahead.setitem(plan.SQL, "source_time", "SELECT timestamptz '2099-12-31 23:59:58Z'")
        pipeline.run()

    (said,) = findings(company["planner"])

    assert re.fullmatch(
        r"job intent: run 1 looked at 2099-12-31 23:59:58 UTC by the clock of connection predictions, where it is "
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC now: that clock was ahead\. The next run searches without a window; .*",
        said,
    )
    pipeline.run()
    assert findings(company["planner"]) == []


def test_an_image_of_another_protocol(company: dict[str, Databases], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RUNNERS, "docker", Runner(RUNNERS["docker"].run, image.find))
    monkeypatch.setattr(
        Champion, "tags", lambda self, version: {image.NAME: "inference/intent:0a", image.ID: "sha256:1"}, raising=False
    )

    (said,) = findings(company["planner"], job(runner="docker"), level="error")

    assert said.startswith("intent version 1: its image inference/intent:0a has protocol none, and this code has ")
    assert said.endswith("Run: python -m inference image build intent:1")


def test_a_disk_that_is_nearly_full(company: dict[str, Databases], monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 10**12 - 10**9, 10**9))

    (said,) = findings(company["planner"])

    assert said.startswith("disk: 1.0 GB free for ")
    assert said.endswith(": an environment with torch takes 1 GB; delete what no job needs of it")


def test_clocks_that_differ(company: dict[str, Databases], monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(doctor.datetime):  # type: ignore[misc, name-defined]
        @classmethod
        def now(cls, zone: Any = None) -> Any:
            return super().now(zone) - timedelta(minutes=5)

    monkeypatch.setattr(doctor, "datetime", Late)

    said = findings(company["planner"])

    assert len(said) == 2
    assert said[0].startswith("connection predictions: the clock there is 300 s ahead of this machine's")


# What runs leave


def silence(databases: Databases, seconds: int) -> None:
    """As if the open run's last sign of life had been so long ago."""
    sql(databases, "UPDATE prediction.run SET heartbeat = heartbeat - make_interval(secs => :s)", s=seconds)
    sql(databases, "UPDATE prediction.shard SET heartbeat = heartbeat - make_interval(secs => :s)", s=seconds)


def work_tables(databases: Databases) -> list[str]:
    found = sql(
        databases, "SELECT relname FROM pg_class WHERE relname ~ '^(work|result|gone)_' AND relkind = 'r' ORDER BY 1"
    )
    return [name for (name,) in found]


@pytest.mark.parametrize("orchestrator", ["airflow", "command line on a"])
def test_a_run_that_gives_signs_of_life_is_left_alone_and_a_dead_one_is_not(
    company: dict[str, Databases], orchestrator: str
) -> None:
    databases = company["planner"]
    run = planned(databases, orchestrator=orchestrator)
    tables = [f"result_{run.run_id}_1", f"work_{run.run_id}_1"]
    allowed = int(lease.allowed_silence(orchestrator, JOB))
    silence(company["admin"], allowed - 20)

    assert (findings(databases), list(repair(databases, [JOB]))) == ([], [])
    assert work_tables(databases) == tables

    silence(company["admin"], 21)
    (said,) = findings(databases)
    assert said.startswith(f"run {run.run_id} of intent (planned), ")
    assert said.endswith(": the job's next plan takes over, or now: python -m inference repair")
    removed = list(repair(databases, [JOB]))

    assert re.match(rf"ended run {run.run_id} of intent \(planned\), \d+ s without a sign of life$", removed[0])
    assert removed[1:] == [f"job intent: removed table {name}" for name in tables]
    assert run_row(databases, run.run_id)["state"] == "failed"
    assert (work_tables(databases), findings(databases), list(repair(databases, [JOB]))) == ([], [], [])
    again = planned(databases, "2")
    assert (again.state, again.planned) == ("planned", 250)


def test_a_held_run_waits_for_its_person_however_long(company: dict[str, Databases]) -> None:
    databases = company["planner"]
    run = planned(databases)
    sql(company["admin"], "UPDATE prediction.run SET state = 'held'")
    silence(company["admin"], 10**6)

    assert list(repair(databases, [JOB])) == []
    assert findings(databases) == []
    assert len(work_tables(databases)) == 2
    publish.discard(databases, run.run_id)


def test_a_stopped_shard_of_a_dead_run_is_ended(company: dict[str, Databases], tmp_path: Path) -> None:
    databases = company["planner"]
    run = planned(databases)
    settings = {"STUB_STOP": "copy", "STUB_LOG": str(tmp_path / "log"), **databases.environment(PREDICTIONS)}
    command = [sys.executable, "-m", "tests.shard_process", str(run.run_id), "1", "1"]
    child = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **settings})
    try:
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        silence(company["admin"], 10**4)
        removed = list(repair(databases, [JOB]))
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()

    assert removed[1].startswith("job intent: removed ")
    assert removed[1].endswith(" sessions of shards")
    assert work_tables(databases) == []
    assert sql(company["admin"], "SELECT usename FROM pg_stat_activity WHERE usename = 'prediction_predictor'") == []


def test_sessions_and_tables_of_a_run_that_is_over(company: dict[str, Databases]) -> None:
    databases = company["planner"]
    run = planned(databases)
    with company["predictor"].begin(PREDICTIONS) as connection:
        task = attempt.begin(connection, run.run_id, 1, 1)
    with company["predictor"].connect(PREDICTIONS) as stopped:
        with stopped.begin():
            attempt.register(stopped, task.shard)
        sql(company["admin"], "UPDATE prediction.run SET state = 'failed'")

        assert findings(databases) == [
            f"left by runs that are over: tables result_{run.run_id}_1, work_{run.run_id}_1; 1 sessions of shards. "
            "They go at the job's next plan, or now: python -m inference repair"
        ]
        assert list(repair(databases, [JOB])) == [
            "job intent: removed 1 sessions of shards",
            f"job intent: removed table result_{run.run_id}_1",
            f"job intent: removed table work_{run.run_id}_1",
        ]
        stopped.invalidate()


def test_tables_of_a_run_that_a_restored_backup_has_forgotten(company: dict[str, Databases]) -> None:
    databases = company["planner"]
    run = planned(databases)
    sql(company["admin"], "DELETE FROM prediction.run")

    assert list(repair(databases, [JOB])) == [
        f"removed table result_{run.run_id}_1, of a run that nothing is known of",
        f"removed table work_{run.run_id}_1, of a run that nothing is known of",
    ]


def test_a_new_run_of_a_forgotten_number_starts_with_tables_of_its_own(databases: Databases) -> None:
    create_messages(databases, ["one", "two"])
    pipeline = Pipeline(databases)
    first = pipeline.plan()
    sql(databases, "DELETE FROM prediction.run")
    sql(databases, "ALTER TABLE prediction.run ALTER COLUMN run_id RESTART")

    again = pipeline.run()

    assert again.run_id == first.run_id
    assert_current(databases)
