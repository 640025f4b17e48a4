"""docker-compose.yaml for real: from nothing to predictions by schedule on two workers, one of which is then killed."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from inference.images import image
from inference.models import runtime
from services import compose_env
from tests.e2e.compose_stack import EXAMPLES, WORKER, Stack, run
from tests.e2e.conftest import ROOT
from tests.e2e.docker_company import await_true
from tests.stub import sql

GENERATIONS = (["docker", "compose"], ["docker-compose"])  # 2 and 1.29
IMAGES = ("python:3.11-slim-bookworm", "postgres:15", "redis:7")
FIRST_SECONDS, RUN_SECONDS, RESTART_SECONDS = 240, 300, 120
SLOW_ROWS = 800
COUNTS = "planned, predicted + reused + quarantined + vanished + deferred"


@pytest.fixture(scope="module")
def both_generations() -> None:
    for command in GENERATIONS:
        if not shutil.which(command[0]) or run([*command, "version"]).returncode:
            missing(f"no `{' '.join(command)}`, which .ci/compose installs on Debian")


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    import docker

    try:
        found = docker.from_env()
        for name in IMAGES:
            found.images.get(name)
    except docker.errors.DockerException as error:
        missing(f"no Docker engine with {', '.join(IMAGES)}: {error}")
    yield found
    found.close()


def missing(what: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="module")
def stack(both_generations: None, client: Any) -> Iterator[Stack]:
    folder = Path(tempfile.mkdtemp(prefix="inference-compose-"))
    made = Stack(folder, f"inference-test-{uuid.uuid4().hex[:8]}")
    started = time.monotonic()
    try:
        made.up()
        print(f"up after {time.monotonic() - started:.0f} s, images included")
        yield made
    finally:
        made.remove(client)
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def first_runs(stack: Stack) -> dict[str, str]:
    """The DAG runs, by schedule, that predicted what was there from the beginning."""
    for job in EXAMPLES:
        await_true(lambda job=job: not stack.pending(job), FIRST_SECONDS, f"the first predictions of {job}")
    found = stack.rows("SELECT job, external_id FROM prediction.run WHERE state = 'published' AND planned > 0")
    return dict(found)


@pytest.mark.parametrize("command", GENERATIONS, ids=" ".join)
def test_both_generations_take_the_file_with_make_env_and_name_it_without(
    both_generations: None, command: list[str], tmp_path: Path
) -> None:
    shutil.copy(ROOT / "docker-compose.yaml", tmp_path)

    without = run([*command, "config", "-q"], cwd=tmp_path)
    compose_env.write(tmp_path / ".env")
    with_it = run([*command, "config", "-q"], cwd=tmp_path)

    assert without.returncode != 0
    assert "run make env" in without.stderr
    assert (with_it.returncode, with_it.stderr) == (0, "")


def test_both_jobs_predict_everything_by_their_schedule_on_both_workers(
    stack: Stack, first_runs: dict[str, str]
) -> None:
    assert sorted(first_runs) == ["intent", "keyword"]
    assert all(run_id.startswith("scheduled__") for run_id in first_runs.values())
    hosts = {shard["hostname"] for job, run_id in first_runs.items() for shard in stack.shards(job, run_id)}
    workers = {container[:12] for container in stack.containers(WORKER)}
    assert len(workers) == 2
    assert hosts == workers
    ((rows,),) = stack.rows("SELECT count(*) FROM message")
    assert stack.rows("SELECT count(*) FROM prediction.intent") == [(rows,)]
    assert stack.rows("SELECT DISTINCT image LIKE 'inference/%' FROM prediction.run") == [(True,)]


def test_the_images_of_airflow_know_neither_torch_nor_mlflow(stack: Stack) -> None:
    code = "import importlib.util as i; print([i.find_spec(name) for name in ('torch', 'mlflow')])"
    said = run(["docker", "run", "--rm", "--entrypoint", "python", f"{stack.name}-airflow", "-c", code])

    assert said.stdout.strip() == "[None, None]"


def test_passwords_are_in_no_log_and_on_no_command_line(stack: Stack, first_runs: dict[str, str]) -> None:
    secrets = [value for name, value in stack.env.items() if name.endswith(("PASSWORD", "SECRET", "KEY"))]
    assert len(secrets) == 13
    logs = stack.compose("logs", "--no-color")
    commands = "".join(run(["docker", "top", each, "-eo", "pid,args"]).stdout for each in stack.containers())
    tasks = stack.compose("exec", "-T", "airflow-scheduler", "sh", "-c", "find /opt/logs -name '*.log' | xargs cat")

    assert "redis-server" in commands
    assert "published" in tasks
    assert [secret for secret in secrets if secret in logs + commands + tasks] == []


def test_only_those_who_start_containers_can_reach_the_engine(stack: Stack, client: Any) -> None:
    found = {}
    for container in map(client.containers.get, stack.containers()):
        mounts = {mount["Destination"] for mount in container.attrs["Mounts"]}
        found[container.labels["com.docker.compose.service"]] = "/var/run/docker.sock" in mounts

    assert {name for name, reaches in found.items() if reaches} == {"init", WORKER}
    identity = stack.compose("exec", "-T", WORKER, "id", "--user").strip()
    assert identity == "10001"


def test_an_image_that_carries_other_code_is_made_anew_by_the_next_up(
    stack: Stack, first_runs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    version = stack.registry.resolve("intent", "champion")
    assert image.current(stack.registry, version)

    monkeypatch.setattr(runtime, "code", lambda: "of an upgrade")

    assert not image.current(stack.registry, version)


def test_models_reach_the_database_and_nothing_else(stack: Stack, client: Any) -> None:
    network = client.networks.get(f"{stack.name}-models")

    assert network.attrs["Internal"] is True
    names = [each["Name"] for each in network.attrs["Containers"].values()]
    assert [name for name in names if name.startswith(stack.name)] == [f"{stack.name}-postgres-1"]


def test_a_worker_that_is_killed_costs_a_retry_within_two_minutes(
    stack: Stack, first_runs: dict[str, str], client: Any
) -> None:
    sql(stack.company, "INSERT INTO message (text) SELECT 'slow ' || n FROM generate_series(1, :n) n", n=SLOW_ROWS)
    job = "intent"
    query = "SELECT run_id, external_id FROM prediction.run WHERE job = :job AND planned = :n"
    ((run_id, dag_run),) = await_true(lambda: stack.rows(query, job=job, n=SLOW_ROWS), RUN_SECONDS, "the next run")
    query = "SELECT count(*) FROM prediction.shard WHERE run_id = :run AND cursor >= first_ordinal"
    await_true(lambda: stack.rows(query, run=run_id) > [(0,)], 120, "the first chunk")
    shard = next(each for each in stack.shards(job, dag_run) if each["state"] == "running")

    client.containers.get(shard["hostname"]).kill()
    killed = datetime.now(timezone.utc)

    def again() -> list[dict[str, Any]]:
        tries = stack.tries(job, dag_run, shard)
        started = tries[-1]["try_number"] == 2 and tries[-1]["state"] in ("running", "success")
        return tries if started else []

    tries = await_true(again, RESTART_SECONDS + 30, "the second try")
    seconds = (datetime.fromisoformat(tries[1]["start_date"]) - killed).total_seconds()
    print(f"started again {seconds:.0f} s after its worker was killed")
    assert seconds < RESTART_SECONDS
    assert tries[1]["hostname"] != tries[0]["hostname"] == shard["hostname"]
    assert stack.api.wait(job, dag_run, RUN_SECONDS) == "success"
    assert "startup parse complete" in stack.api.log(job, dag_run, "predict", 1, shard["map_index"])
    for name in EXAMPLES:
        await_true(lambda name=name: not stack.pending(name), RUN_SECONDS, f"all predictions of {name}")
    ((rows,),) = stack.rows("SELECT count(*) FROM message")
    assert stack.rows("SELECT count(*), count(DISTINCT id) FROM prediction.intent") == [(rows, rows)]
    state = stack.rows(f"SELECT state, {COUNTS} FROM prediction.run WHERE run_id = :run", run=run_id)  # noqa: S608
    assert state == [("published", SLOW_ROWS, SLOW_ROWS)]


def test_a_second_up_keeps_everything_and_makes_nothing_anew(stack: Stack, first_runs: dict[str, str]) -> None:
    kept = "SELECT id, run_id FROM prediction.intent ORDER BY id"
    before = stack.rows(kept)
    since = datetime.now(timezone.utc).isoformat()
    started = time.monotonic()

    stack.up()

    print(f"a second up after {time.monotonic() - started:.0f} s")
    assert stack.rows(kept) == before
    assert [stack.registry.resolve(name, "champion").version for name in EXAMPLES] == ["1", "1"]
    said = stack.compose("logs", "--no-color", "--no-log-prefix", "--since", since, "init")
    lines = said.replace("\x1b[2K", "").splitlines()  # Compose clears the line, terminal or not
    assert lines[-2:] == ["intent: is ready", "keyword: is ready"]
    await_true(lambda: len(stack.compose("ps", "--quiet", WORKER).split()) == 2, 30, "the killed worker")
