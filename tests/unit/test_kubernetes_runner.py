"""The runner `kubernetes` without a cluster: a log that breaks off, a server that is away, what plan asks for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml
from urllib3.exceptions import ReadTimeoutError

from inference.base.database import Databases
from inference.base.protocol import PROTOCOL
from inference.errors import ConfigurationError, ModelError, RetryableError, Unavailable
from inference.images import image
from inference.jobs.job import Job
from inference.models.mlflow_rest import Version
from inference.models.model_version import Image, Model
from inference.runners import containers, runner
from inference.runners.kubernetes import cluster, launcher, pod_log
from services.files import free_port
from tests.stub import job

RUNNING = {"metadata": {"name": "p"}, "status": {"containerStatuses": [{"state": {"running": {}}}]}}
ENDED = {"metadata": {"name": "p"}, "status": {"phase": "Succeeded"}}
AWAY = Unavailable("the server is away")


class Streams:
    """A cluster whose log is read in several goes, each a list of lines that may end with an error."""

    def __init__(self, *streams: list[bytes | Exception], pods: list[Any]) -> None:
        self.streams, self.pods = list(streams), pods
        self.since: list[int | None] = []

    def log(self, name: str, since_seconds: int | None) -> Iterator[bytes]:
        self.since.append(since_seconds)
        for item in self.streams.pop(0) if self.streams else [AWAY]:
            if isinstance(item, Exception):
                raise item
            yield item

    def read(self, name: str) -> Any:
        return self.pods.pop(0) if len(self.pods) > 1 else self.pods[0]

    present = cluster.Cluster.present


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "POLL_SECONDS", 0)


def said(streams: Streams) -> list[str]:
    return list(pod_log.lines(streams, "p"))  # type: ignore[arg-type]


def at(nanoseconds: int, text: str) -> bytes:
    """A line of a log as a kubelet writes it."""
    return f"2026-10-25T01:59:59.{nanoseconds:09}+02:00 {text}".encode()


ONE, TWO, THREE = at(1, "one\n"), at(2, "two\n"), at(3, "three\n")


def test_a_log_that_breaks_off_goes_on_without_a_gap_or_a_line_twice() -> None:
    clock_set_back = b"2026-10-25T01:00:01.000000000+01:00 four 4\n"  # two seconds later
    streams = Streams(
        [ONE + TWO + THREE[:-3], AWAY], [TWO + THREE], [THREE + clock_set_back], pods=[RUNNING, RUNNING, ENDED]
    )

    assert said(streams) == ["one", "two", "three", "four 4"]
    assert streams.since == [None, 5, 5]


def test_what_the_node_says_itself_has_no_time_and_hides_nothing() -> None:
    assert said(Streams([ONE, b"unable to retrieve logs\n"], [ONE + TWO], pods=[RUNNING, ENDED])) == [
        "one", "unable to retrieve logs", "two"
    ]  # fmt: skip


def test_the_rest_of_the_log_of_a_pod_that_has_ended_is_asked_for_but_not_for_ever(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert said(Streams([ONE, AWAY], [ONE + TWO], pods=[ENDED])) == ["one", "two"]
    with caplog.at_level(logging.INFO):
        assert said(Streams([ONE, AWAY], pods=[ENDED])) == ["one"]
    assert "the log of pod p is asked for again: the server is away" in caplog.text


def test_a_pod_that_somebody_deletes_or_whose_node_is_lost_ends_the_wait() -> None:
    deleted = {**RUNNING, "metadata": {"name": "p", "deletionTimestamp": "2026-11-24T00:00:00Z"}}

    with pytest.raises(RetryableError, match="pod p is being deleted: by somebody, or because its node was lost"):
        said(Streams([AWAY], pods=[deleted]))
    with pytest.raises(RetryableError, match="pod p is gone: somebody deleted it"):
        said(Streams([ONE], pods=[None]))


def test_a_long_silence_is_no_end() -> None:
    class Api:
        def read_namespaced_pod_log(self, *_: object, **__: object) -> Any:
            return self

        def stream(self) -> Iterator[bytes]:
            yield ONE
            raise ReadTimeoutError(None, "", "")  # type: ignore[arg-type]

        def close(self) -> None:
            pass

    stream = cluster.Cluster(Api(), "https://api.example", "predictions").log("p", None)
    assert next(stream) == ONE
    with pytest.raises(Unavailable, match=r"^nothing was heard of it for 60 s$"):
        next(stream)


class Pods:
    """A cluster with at most one pod, which `run` is to find."""

    def __init__(self, found: Any, error: BaseException | None = None) -> None:
        self.found, self.error = found, error or AssertionError("nothing was to be waited for")
        self.deleted: list[str] = []

    def create(self, wanted: Any) -> bool:
        return self.found is None

    def read(self, name: str) -> Any:
        return self.found

    def present(self, name: str) -> Any:
        raise self.error

    def delete(self, name: str) -> None:
        self.deleted.append(name)


def run(monkeypatch: pytest.MonkeyPatch, pods: Pods, **section: Any) -> None:
    monkeypatch.setattr(cluster, "connect", lambda namespace: nullcontext(pods))
    databases = Databases({"predictions": "postgresql://a:b@c/d"})
    planned = Model(1, Version("intent", "1", "", None), None, Image("r/i@sha256:1", ""))  # type: ignore[arg-type]
    a_job = job(runner="kubernetes", kubernetes=section)
    launcher.run(databases, None, a_job, planned, 17, 1, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "left"), [(AWAY, True), (RetryableError("gone"), False), (KeyboardInterrupt(), False)]
)
def test_a_pod_outlives_its_task_only_where_the_server_is_away(
    error: BaseException, left: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pods = Pods(None, error)

    with pytest.raises(type(error)):
        run(monkeypatch, pods)

    assert (pods.deleted == []) is left


def test_a_pod_whose_node_does_not_confirm_its_end_is_waited_for_and_then_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deleting = {**RUNNING, "metadata": {"name": "p", "deletionTimestamp": "2026-11-24T00:00:00Z"}}

    with pytest.raises(
        RetryableError,
        match=r"pod intent-run17-g1-s3-\w+ of an earlier attempt is still being deleted after 0s\..*kubectl -n scoring "
        r"delete pod --force intent-run17-g1-s3-",
    ):
        run(monkeypatch, Pods(deleting), start_timeout="0s", namespace="scoring")


def test_a_pod_that_died_at_its_memory_limit_while_nobody_looked_is_judged_by_the_retry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    killed = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    dead = {"metadata": {"name": "p", "labels": {"a": "b"}}, "status": {"containerStatuses": [{"state": killed}]}}
    judged: list[Any] = []

    def judge(databases: Databases, a_job: Job, whose: Any) -> None:
        judged.append(whose)
        raise RetryableError("out of memory")

    monkeypatch.setattr(containers, "judge_memory", judge)
    pods = Pods(dead)
    with pytest.raises(RetryableError, match="out of memory"):
        run(monkeypatch, pods)

    assert (judged, len(pods.deleted)) == ([{"a": "b"}], 1)


def test_a_server_that_does_not_answer_is_named_with_the_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"http://127.0.0.1:{free_port(27800)}"
    content = {
        "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
        "clusters": [{"name": "c", "cluster": {"server": address}}], "users": [{"name": "c", "user": {"token": "s3c"}}],
    }  # fmt: skip
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(content))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))

    with (
        pytest.raises(
            Unavailable, match=rf"API server {address} does not answer: cannot read pod p: .*Connection refused"
        ) as caught,
        cluster.connect("predictions") as pods,
    ):
        pods.read("p")
    assert "s3c" not in str(caught.value)


def test_without_a_configuration_both_ways_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))

    with pytest.raises(ConfigurationError, match=r"no Kubernetes cluster is configured: .* set KUBECONFIG on the work"):
        with cluster.connect("predictions"):
            pass


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (403, 'pods is forbidden: User "worker" cannot create resource "pods"', ConfigurationError),
        (403, "pods p is forbidden: exceeded quota: gpus, requested: 1, used: 4, limited: 4", RetryableError),
        (404, 'namespaces "predictions" not found', ConfigurationError),
        (422, "Pod p is invalid: spec.containers[0].image: Required value", ConfigurationError),
        (429, "too many requests", Unavailable),
        (503, "the server is currently unable to handle the request", Unavailable),
    ],
)
def test_a_refusal_says_whether_a_retry_helps(status: int, message: str, error: type[Exception]) -> None:
    found = cluster.Cluster(None, "https://api.example", "predictions")._refusal("create pod", status, message)

    assert type(found) is error
    assert str(found).startswith(
        f"the Kubernetes API server https://api.example (namespace predictions): cannot create pod: {message}"
    )


def test_plan_refuses_a_version_whose_image_is_in_no_registry_with_the_command() -> None:
    class Tags:
        def __init__(self, name: str) -> None:
            self.name = name

        def tags(self, version: Version) -> dict[str, str]:
            return {image.NAME: self.name, image.ID: "sha256:1", image.NUMBER: str(PROTOCOL)}

    def ready(name: str) -> Model:
        version = Version("intent", "3", "models:/m-1", None)
        return runner.ready(Tags(name), job(runner="kubernetes"), Model(1, version, None))  # type: ignore[arg-type]

    digest = f"r.example/inference/intent@sha256:{'a' * 64}"
    assert ready(digest).image == Image(digest, "sha256:1")
    with pytest.raises(
        ModelError,
        match=r"^intent version 3: its image inference/intent:0a is on one machine only.* reach by the same name: "
        r"INFERENCE_REGISTRY=host:port python -m inference image build intent:3$",
    ):
        ready("inference/intent:0a")
