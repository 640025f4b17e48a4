"""Runner `kubernetes`: each shard in a pod of its model's image.

A task that is killed, or that loses the API server, leaves its pod running, and the retry adopts it by its name.
Whatever else ends a task deletes the pod.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from inference.base.database import Databases
from inference.errors import InferenceError, RetryableError, Unavailable
from inference.jobs.field_types import seconds
from inference.jobs.job import Job
from inference.models.mlflow_rest import Registry
from inference.models.model_version import Model
from inference.runners import containers
from inference.runners.kubernetes import cluster, pod, pod_log
from inference.runners.kubernetes.cluster import Cluster
from inference.runners.kubernetes.pod import Pod
from inference.runners.process import arguments, follow, interrupt, on_sigterm

log = logging.getLogger(__name__)


def run(
    databases: Databases, registry: Registry, job: Job, model: Model, run_id: int, generation: int, shard: int
) -> None:
    """Run one shard to its end. Raises what its exit code says, with the last line of its log."""
    assert model.image is not None
    whose = containers.labels(databases, job, run_id, generation, shard)
    wanted = pod.render(job, model.image.name, whose, arguments(run_id, generation, shard))
    name = wanted["metadata"]["name"]
    with cluster.connect(job.kubernetes.namespace) as pods, on_sigterm(interrupt):
        keep = False
        try:
            _claim(pods, databases, job, wanted)
            pod.verify(_await_start(pods, job, name), model.image.name)
            last = follow(pod_log.lines(pods, name))
            _judge(databases, job, whose, pods.present(name), last)
        except Unavailable:
            keep = True  # the pod may be well
            raise
        finally:
            if not keep:
                pods.delete(name)


def reap(databases: Databases, job: Job) -> None:
    """Delete the pods of this job's runs that are over: what a lost worker left."""
    _delete_all(databases, job, containers.over(databases, job))


def stop(databases: Databases, job: Job, run_id: int) -> None:
    """Delete the pods of one run."""
    _delete_all(databases, job, lambda labels: labels["inference.run"] == str(run_id))


def left(databases: Databases, job: Job) -> list[str]:
    """Names of the pods of this job's runs that are over."""
    with cluster.connect(job.kubernetes.namespace) as pods:
        return _names(pods, databases, job, containers.over(databases, job))


def _names(pods: Cluster, databases: Databases, job: Job, unwanted: Callable[[Mapping[str, str]], bool]) -> list[str]:
    found = [each for each in pods.find(containers.of_job(databases, job)) if not pod.deleting(each)]
    return [each["metadata"]["name"] for each in found if unwanted(each["metadata"]["labels"])]


def _delete_all(databases: Databases, job: Job, unwanted: Callable[[Mapping[str, str]], bool]) -> None:
    try:
        with cluster.connect(job.kubernetes.namespace) as pods:
            for name in _names(pods, databases, job, unwanted):
                log.info("deleting pod %s: its run is over", name)
                pods.delete(name)
    except InferenceError as error:
        log.warning("pods of earlier runs of %s were not looked for: %s", job.name, error)


def _claim(pods: Cluster, databases: Databases, job: Job, wanted: Mapping[str, Any]) -> None:
    """See to it that there is one pod of this shard: another task's, if that was killed, else a new one."""
    name = wanted["metadata"]["name"]
    end = time.monotonic() + seconds(job.kubernetes.start_timeout)
    while not pods.create(wanted):
        found = pods.read(name)
        if found and not pod.deleting(found):
            if not pod.ended(found):
                log.info("pod %s is there already: going on with it", name)
                return
            if pod.killed_for_memory(found):
                containers.judge_memory(databases, job, found["metadata"]["labels"])
            pods.delete(name)
        if time.monotonic() > end:
            raise RetryableError(
                f"pod {name} of an earlier attempt is still being deleted after {job.kubernetes.start_timeout}. Is its "
                f"node lost? Once that is known to be down: kubectl -n {job.kubernetes.namespace} delete pod --force "
                f"{name}"
            )
        time.sleep(cluster.POLL_SECONDS)


def _await_start(pods: Cluster, job: Job, name: str) -> Pod:
    end = time.monotonic() + seconds(job.kubernetes.start_timeout)
    said = ""
    while not pod.started(found := pods.present(name)):
        pod.judge_waiting(found, job)
        reason = pod.waits_for(found)
        if reason != said:
            log.info("pod %s waits: %s", name, reason)
            said = reason
        if time.monotonic() > end:
            raise RetryableError(
                f"pod {name} has not started within kubernetes.start_timeout {job.kubernetes.start_timeout}: {reason}"
            )
        time.sleep(cluster.POLL_SECONDS)
    return found


def _judge(databases: Databases, job: Job, whose: Mapping[str, str], found: Pod, last: str) -> None:
    if pod.killed_for_memory(found):
        containers.judge_memory(databases, job, whose)
    pod.judge_end(found, containers.what(whose), last)
    how = pod.terminated(found) or {"exitCode": 0}
    containers.judge(whose, how["exitCode"], last or how.get("message", ""))
