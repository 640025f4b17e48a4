"""The runner `kubernetes` through an API server whose pods are real containers: one job end to end, kills, adoption,
limits, refusals, and where the password is."""

from __future__ import annotations

import copy
import json
import math
import re
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from inference import pipeline
from inference.errors import ConfigurationError, InferenceError, PermanentError, RetryableError
from inference.jobs.request import Request
from inference.planning.plan import Planned
from inference.runners.kubernetes import cluster as clusters
from inference.runners.kubernetes import launcher, pod
from tests.e2e.docker_company import ROWS, SECRET, Interrupting, await_true
from tests.e2e.kubernetes_company import NAMESPACE, InCluster
from tests.stub import job, predictions, run_row, sql

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, on its import


def run(cluster: InCluster, a_job: Any) -> Any:
    return pipeline.run(cluster.company.databases, a_job, Request(), lambda _: None, lambda _: nullcontext())


def predict(cluster: InCluster, planned: Planned) -> None:
    pipeline.predict(cluster.company.databases, planned.run_id, planned.generation, 1)


def test_three_runners_give_the_same_table(cluster: InCluster) -> None:
    """Keys, hashes, versions and discrete outputs are equal, numbers within 1e-5."""
    databases = cluster.company.databases
    tables, names = {}, {}
    for runner in ("venv", "docker", "kubernetes"):
        ended = run(cluster, cluster.job(f"by_{runner}", runner=runner, source__where="id <= 200"))
        assert ended.state == "published", ended
        names[runner] = run_row(databases, ended.run_id)["image"]
        tables[runner] = {
            key: {name: value for name, value in row.items() if name not in ("run_id", "predicted_at")}
            for key, row in predictions(databases, f"prediction.by_{runner}").items()
        }

    assert names["venv"] is None
    assert names["docker"] == names["kubernetes"]
    assert "@sha256:" in names["kubernetes"]
    for runner in ("docker", "kubernetes"):
        assert list(tables[runner]) == list(tables["venv"])
        assert len(tables[runner]) == 200
        for key, row in tables[runner].items():
            score, wanted = row.pop("score"), tables["venv"][key]
            assert math.isclose(score, wanted["score"], rel_tol=1e-5, abs_tol=1e-5)
            assert row == {name: value for name, value in wanted.items() if name != "score"}
    await_true(lambda: not cluster.pods(), 15, "the end of the pods")


def test_a_retry_adopts_the_pod_of_a_task_that_was_killed(cluster: InCluster) -> None:
    planned = cluster.company.plan(cluster.job("adopted"))
    alive: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            alive.append(len(cluster.company.containers(planned, alive=True)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    task = cluster.company.task(planned)
    cluster.company.await_progress(planned)
    task.send_signal(signal.SIGKILL)
    task.communicate()
    (left,) = cluster.pods(run=planned.run_id)
    cluster.server.cut_log = 1

    retry = cluster.company.task(planned)
    said, _ = retry.communicate(timeout=60)
    over.set()
    watcher.join()

    assert retry.returncode == 0, said
    name = left["metadata"]["name"]
    assert f"pod {name} is there already: going on with it" in said
    assert f"the log of pod {name} is asked for again" in said
    assert said.count(f"run {planned.run_id} shard 1: {ROWS} of {ROWS} rows in ") == 1  # once, after the break
    assert cluster.company.shard(planned)["attempt"] == 1
    assert max(alive) == 1
    assert cluster.company.finish(planned) == "published"
    await_true(lambda: not cluster.pods(run=planned.run_id), 15, "the end of the pod")
    assert cluster.company.containers(planned) == []


def test_a_killed_pod_costs_a_retry_that_goes_on_from_the_last_chunk(cluster: InCluster) -> None:
    planned = cluster.company.plan(cluster.job("killed", source__where="id <= 300"))
    task = cluster.company.task(planned)
    cluster.company.await_progress(planned)
    cluster.company.containers(planned)[0].kill("SIGKILL")
    said, _ = task.communicate(timeout=30)
    assert "was killed (SIGKILL)" in said
    reached = cluster.company.shard(planned)["cursor"]
    assert 0 < reached < 300

    said, _ = cluster.company.task(planned).communicate(timeout=60)

    assert f"attempt 2 goes on after ordinal {reached} of 300" in said
    assert cluster.company.finish(planned) == "published"
    assert len(predictions(cluster.company.databases, "prediction.killed")) == 300


def test_an_interrupted_command_line_and_a_lost_worker_leave_no_pod(cluster: InCluster) -> None:
    a_job = cluster.job("left")
    planned = cluster.company.plan(a_job)
    task = cluster.company.task(planned)
    cluster.company.await_progress(planned)
    task.kill()
    task.communicate()
    launcher.reap(cluster.company.databases, a_job)
    assert not pod.deleting(cluster.pods(run=planned.run_id)[0])  # its run is open: somebody may still retry
    sql(cluster.company.databases, "UPDATE prediction.run SET state = 'failed' WHERE run_id = :r", r=planned.run_id)

    def others() -> list[dict[str, Any]]:
        own = str(planned.run_id)
        return [one for one in cluster.pods(job="left") if one["metadata"]["labels"]["inference.run"] != own]

    def at_work() -> bool:
        return any("running" in pod._state(one) for one in others())

    with pytest.raises(KeyboardInterrupt):
        pipeline.run(cluster.company.databases, a_job, Request(), lambda _: None, lambda _: Interrupting(at_work))

    await_true(lambda: not cluster.pods(job="left"), 15, "the end of both runs' pods")
    ((reached,),) = sql(
        cluster.company.databases,
        "SELECT max(cursor) FROM prediction.shard JOIN prediction.run r "
        "USING (run_id) WHERE r.job = 'left' AND run_id <> :run",
        run=planned.run_id,
    )
    assert reached < ROWS  # stopped, not awaited
    assert cluster.company.containers(planned) == []


def test_a_pod_over_its_memory_is_tried_once_more_with_half_the_batch(cluster: InCluster) -> None:
    limits = {"resources": {"memory": "320Mi"}, "sizes": {"chunk_rows": 400, "batch_rows": 200}}
    planned = cluster.company.plan(cluster.job("few", **limits))

    with pytest.raises(
        RetryableError, match=r"out of memory: .* resources\.memory 320Mi; a retry starts with batches of 100"
    ):
        predict(cluster, planned)
    with pytest.raises(PermanentError, match=r"out of memory: .* resources\.memory 320Mi again, with batches of 100"):
        predict(cluster, planned)

    await_true(lambda: not cluster.pods(run=planned.run_id), 15, "the end of the pod")


def test_limits_and_rights_are_the_containers_the_password_is_there_only_and_a_cancelled_task_leaves_no_pod(
    cluster: InCluster,
) -> None:
    cluster.server.received.clear()
    planned = cluster.company.plan(cluster.job("limits", resources={"memory": "512Mi", "cpus": 0.5}))
    task = cluster.company.task(planned)
    cluster.company.await_progress(planned)
    (container,) = cluster.company.containers(planned, alive=True)
    (asked,) = cluster.pods(run=planned.run_id)
    host, inspected = container.attrs["HostConfig"], container.attrs
    environment = inspected["Config"].pop("Env")
    user = container.exec_run("id -u").output.decode().strip()
    written = container.exec_run(["sh", "-c", "touch /opt/x; touch /tmp/x && echo written"]).output.decode()
    commands = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    task.terminate()
    said, _ = task.communicate(timeout=15)

    assert "Interrupted: stopped by a signal" in said
    await_true(lambda: not cluster.pods(run=planned.run_id), 15, "the end of the pod")
    assert cluster.company.containers(planned) == []
    limits = {"NanoCpus": 500_000_000, "Memory": 512 << 20, "MemorySwap": 512 << 20, "CapDrop": ["ALL"]}
    assert {name: host[name] for name in limits} == limits
    assert (host["ReadonlyRootfs"], host["SecurityOpt"], user) == (True, ["no-new-privileges"], "10001")
    assert "Read-only file system" in written
    assert "written\n" in written  # the two streams may come in either order
    assert [entry.split("=")[0] for entry in environment if SECRET in entry] == ["AIRFLOW_CONN_PREDICTIONS"]
    everything = json.dumps([asked, inspected, cluster.server.received])
    assert SECRET not in everything + commands + said
    assert cluster.server.token not in said


def change(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """One value of a pod's spec; None removes it."""

    def changed(manifest: dict[str, Any]) -> None:
        *parents, last = path.split("/")
        found = manifest["spec"]
        for part in parents:
            found = found[int(part)] if part.isdigit() else found[part]
        if value is None:
            del found[last]
        else:
            found[last] = value

    return changed


OWN = "containers/0/securityContext"
VIOLATIONS = {
    "runAsNonRoot != true": change("securityContext/runAsNonRoot", None),
    "runAsUser=0": change("securityContext/runAsUser", 0),
    "allowPrivilegeEscalation != false": change(f"{OWN}/allowPrivilegeEscalation", None),
    "privileged": change(f"{OWN}/privileged", True),
    "unrestricted capabilities": change(f"{OWN}/capabilities", {"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
    "seccompProfile": change("securityContext/seccompProfile", {"type": "Unconfined"}),
    "host namespaces": change("hostNetwork", True),
    "restricted volume types": change("volumes/0/hostPath", {"path": "/"}),
    "namespace: readOnlyRootFilesystem != true": change(f"{OWN}/readOnlyRootFilesystem", False),
    "namespace: must specify limits.cpu": change("containers/0/resources/limits", {"memory": "1Gi"}),
    "namespace: must specify limits.memory": change("containers/0/resources/limits", {"cpu": "1000m"}),
    "namespace: service account token": change("automountServiceAccountToken", True),
    "namespace: image without a digest": change("containers/0/image", "registry.example/inference/intent:latest"),
    "namespace: an address in the environment": change(
        "containers/0/env", [{"name": "AIRFLOW_CONN_PREDICTIONS", "value": "postgresql://a:b@c/d"}]
    ),
}


@pytest.mark.parametrize("rule", VIOLATIONS)
def test_a_pod_that_breaks_one_rule_is_refused_by_the_cluster_and_that_is_said(cluster: InCluster, rule: str) -> None:
    whose = {f"inference.{key}": "1" for key in ("job", "run", "generation", "shard", "database")}
    manifest = pod.render(job(runner="kubernetes"), f"registry.example/i@sha256:{'a' * 64}", whose, ["shard"])
    violating = copy.deepcopy(manifest)
    VIOLATIONS[rule](violating)

    with clusters.connect(NAMESPACE) as pods:
        with pytest.raises(
            ConfigurationError, match=r"cannot create pod: .* violates PodSecurity \"restricted\": (.*)\. What the"
        ) as caught:
            pods.create(violating)

    assert f'"restricted": {rule}. What' in str(caught.value)  # this rule, and no other


def test_a_pod_that_cannot_start_says_why(cluster: InCluster) -> None:
    cluster.server.secrets["other"] = {"AIRFLOW_CONN_OTHER": "x"}

    def refusal(name: str, image: str | None = None, /, **section: Any) -> str:
        planned = cluster.company.plan(cluster.job(name, kubernetes=section))
        sql(
            cluster.company.databases, "UPDATE prediction.run SET image = coalesce(:image, image) WHERE run_id = :run",
            image=image, run=planned.run_id,
        )  # fmt: skip
        with pytest.raises(InferenceError) as caught:
            predict(cluster, planned)
        return f"{type(caught.value).__name__}: {caught.value}"

    absent = f"{cluster.registry}/inference/absent@sha256:{'0' * 64}"
    assert [
        re.sub(r"pod \S+|sha256:\S+", "...", refusal("secret", secret="nowhere")),
        re.sub(r"pod \S+|sha256:\S+", "...", refusal("key", secret="other")),
        re.sub(r"pod \S+|sha256:\S+", "...", refusal("room", gpus=1, start_timeout="1s")),
    ] == [
        'ConfigurationError: ... cannot start: CreateContainerConfigError: secret "nowhere" not found. Secret nowhere '
        "(kubernetes.secret of the job file) in namespace predictions must have the keys AIRFLOW_CONN_PREDICTIONS.",
        "ConfigurationError: ... cannot start: CreateContainerConfigError: couldn't find key AIRFLOW_CONN_PREDICTIONS "
        "in Secret other. Secret other (kubernetes.secret of the job file) in namespace predictions must have the keys "
        "AIRFLOW_CONN_PREDICTIONS.",
        "RetryableError: ... has not started within kubernetes.start_timeout 1s: Unschedulable: 0/1 nodes are "
        "available: 1 node(s) didn't match the selector or had no GPU.",
    ]
    assert re.match(
        r"RetryableError: pod \S+ cannot start: ErrImagePull: failed to pull \S+absent@.*kubernetes.image_pull_secrets",
        refusal("absent", absent),
    )
    await_true(lambda: not cluster.pods(), 15, "the end of the pods")
