"""The runner `docker`, with a real engine: models side by side, kills, adoption, limits, and where the password is."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import pytest

from inference import pipeline
from inference.errors import ConfigurationError, PermanentError, RetryableError
from inference.jobs.request import Request
from inference.runners import containers
from tests.e2e import images
from tests.e2e.docker_company import ROWS, SECRET, Company, Interrupting, of_database
from tests.stub import predictions, sql

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, on its import


@pytest.fixture
def fast(company: Company) -> str:
    return company.model("fast", images.Source())


@pytest.fixture
def slow(company: Company) -> str:
    return company.model("slow", images.Source(predict=images.SLOW))


def run(company: Company, a_job: Any) -> Any:
    return pipeline.run(company.databases, a_job, Request(), lambda _: None, lambda _: nullcontext())


def test_two_pythons_and_two_versions_of_a_framework_run_side_by_side(company: Company, fast: str) -> None:
    old = company.model("old", images.Source(environment=images.OLD))

    with ThreadPoolExecutor(2) as threads:
        ended = list(threads.map(lambda name: run(company, company.job(f"side_{name}", name)), (fast, old)))

    assert [one.state for one in ended] == ["published", "published"]
    for name, versions in ((fast, "3.11 numpy 2.2.6"), (old, "3.9 numpy 1.26.4")):
        found = predictions(company.databases, f"prediction.side_{name}")
        assert ({row["versions"] for row in found.values()}, len(found)) == ({versions}, ROWS)
    named = sql(company.databases, "SELECT job, image_id FROM prediction.run_summary WHERE job LIKE 'side_%'")
    assert sorted(named) == [(f"side_{name}", company.built[name].id) for name in (fast, old)]


def test_a_killed_container_costs_a_retry_that_goes_on_from_the_last_chunk(company: Company, slow: str) -> None:
    planned = company.plan(company.job("killed", slow))
    task = company.task(planned)
    company.await_progress(planned)
    company.containers(planned)[0].kill("SIGKILL")
    said, _ = task.communicate(timeout=30)
    assert task.returncode != 0
    assert "RetryableError: run " in said
    assert "was killed (SIGKILL)" in said
    reached = company.shard(planned)["cursor"]
    assert 0 < reached < ROWS

    said, _ = company.task(planned).communicate(timeout=60)

    assert f"attempt 2 goes on after ordinal {reached} of {ROWS}" in said
    assert company.finish(planned) == "published"
    assert len(predictions(company.databases, "prediction.killed")) == ROWS
    assert company.containers(planned) == []


def test_a_retry_adopts_the_container_of_a_task_that_was_killed(company: Company, slow: str) -> None:
    planned = company.plan(company.job("adopted", slow))
    alive: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            alive.append(len(company.containers(planned, alive=True)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    task = company.task(planned)
    company.await_progress(planned)
    task.send_signal(signal.SIGKILL)
    task.communicate()
    (left,) = company.containers(planned, alive=True)

    retry = company.task(planned)
    said, _ = retry.communicate(timeout=60)
    over.set()
    watcher.join()

    assert retry.returncode == 0, said
    assert f"container {left.name} is there already: going on with it" in said
    assert company.shard(planned)["attempt"] == 1
    assert max(alive) == 1
    assert company.finish(planned) == "published"
    assert company.containers(planned) == []


def test_a_cancelled_task_leaves_no_container(company: Company, slow: str) -> None:
    planned = company.plan(company.job("cancelled", slow))
    task = company.task(planned)
    company.await_progress(planned)

    started = time.monotonic()
    task.terminate()
    said, _ = task.communicate(timeout=15)

    assert company.containers(planned) == []
    assert time.monotonic() - started < 5
    assert "Interrupted: stopped by a signal" in said


def test_a_run_on_the_command_line_that_is_interrupted_leaves_no_container(company: Company, slow: str) -> None:
    a_job = company.job("interrupted", slow)

    def alive() -> list[Any]:
        return of_database(company.client, company.databases, False, "inference.job=interrupted")

    def at_work() -> bool:
        return any(one.status == "running" for one in alive())

    with pytest.raises(KeyboardInterrupt):
        pipeline.run(company.databases, a_job, Request(), lambda _: None, lambda _: Interrupting(at_work))

    assert alive() == []


def test_what_a_lost_worker_left_is_removed_when_its_run_is_over(company: Company, slow: str) -> None:
    a_job = company.job("lost", slow)
    planned = company.plan(a_job)
    task = company.task(planned)
    company.await_progress(planned)
    task.kill()
    task.communicate()
    containers.reap(company.databases, a_job)
    assert len(company.containers(planned, alive=True)) == 1  # its run is open: somebody may still retry

    sql(company.databases, "UPDATE prediction.run SET state = 'failed' WHERE run_id = :run", run=planned.run_id)
    again = company.plan(a_job)

    assert company.containers(planned) == []
    assert again.run_id != planned.run_id


def test_a_container_over_its_memory_is_tried_once_more_with_half_the_batch(company: Company) -> None:
    hungry = company.model("hungry", images.Source(predict=images.HUNGRY))
    enough = company.job("enough", hungry, resources={"memory": "320Mi"}, sizes={"chunk_rows": 100, "batch_rows": 64})
    planned = company.plan(enough)

    with pytest.raises(
        RetryableError, match=r"out of memory: .* resources\.memory 320Mi; a retry starts with batches of 32"
    ):
        pipeline.predict(company.databases, planned.run_id, planned.generation, 1)
    assert company.shard(planned)["batch_size"] == 32
    pipeline.predict(company.databases, planned.run_id, planned.generation, 1)
    assert company.finish(planned) == "published"

    few = company.job("few", hungry, resources={"memory": "320Mi"}, sizes={"chunk_rows": 400, "batch_rows": 200})
    planned = company.plan(few)
    with pytest.raises(RetryableError, match="a retry starts with batches of 100"):
        pipeline.predict(company.databases, planned.run_id, planned.generation, 1)
    with pytest.raises(PermanentError, match=r"out of memory: .* resources\.memory 320Mi again, with batches of 100"):
        pipeline.predict(company.databases, planned.run_id, planned.generation, 1)
    assert company.containers(planned) == []


def test_the_password_is_in_the_containers_environment_only(company: Company, slow: str) -> None:
    planned = company.plan(company.job("secret", slow))
    task = company.task(planned)
    company.await_progress(planned)

    (container,) = company.containers(planned, alive=True)
    inspected = container.attrs
    environment = inspected["Config"].pop("Env")
    commands = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    task.terminate()
    said, _ = task.communicate(timeout=15)

    assert [entry.split("=")[0] for entry in environment if SECRET in entry] == ["AIRFLOW_CONN_PREDICTIONS"]
    assert SECRET not in json.dumps(inspected)
    assert SECRET not in commands
    assert SECRET not in said
    built = company.client.images.get(company.built[slow].name)
    assert SECRET not in json.dumps([built.attrs, built.history()])
    archive = company.folder / "image.tar"
    with archive.open("wb") as stream:
        stream.writelines(built.save())
    searched = subprocess.run(["grep", "-c", "--text", SECRET, str(archive)], capture_output=True, text=True)
    archive.unlink()
    assert searched.stdout.strip() == "0"


def test_a_shards_container_has_hard_limits_and_no_rights(company: Company, slow: str) -> None:
    planned = company.plan(company.job("limits", slow, resources={"memory": "512Mi", "cpus": 0.5}))
    task = company.task(planned)
    company.await_progress(planned)
    (container,) = company.containers(planned, alive=True)
    host, code = container.attrs["HostConfig"], container.exec_run("id -u").output.decode().strip()
    written = container.exec_run(["sh", "-c", "touch /opt/x; touch /tmp/x && echo written"]).output.decode()
    compilers = container.exec_run(["sh", "-c", "command -v gcc cc clang make"]).output
    task.terminate()
    task.communicate(timeout=15)

    assert {name: host[name] for name in ("NanoCpus", "Memory", "MemorySwap", "PidsLimit", "CapDrop", "Init")} == {
        "NanoCpus": 500_000_000, "Memory": 512 << 20, "MemorySwap": 512 << 20, "PidsLimit": 512,
        "CapDrop": ["ALL"], "Init": True,
    }  # fmt: skip
    assert (host["ReadonlyRootfs"], host["SecurityOpt"]) == (True, ["no-new-privileges"])
    assert (code, compilers) == ("10001", b"")
    assert "Read-only file system" in written
    assert "written\n" in written  # the two streams may come in either order


def test_loopback_addresses_are_refused_on_a_network_of_containers(
    company: Company, fast: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INFERENCE_DOCKER_NETWORK")
    planned = company.plan(company.job("bridged", fast))

    with pytest.raises(ConfigurationError, match=r"'predictions' leads to 127\.0\.0\.1, which in a container is"):
        pipeline.predict(company.databases, planned.run_id, planned.generation, 1)
