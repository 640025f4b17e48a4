"""The pods of one namespace of a Kubernetes cluster: a client whose failures have names.

It is configured as a pod is, by its service account's token; elsewhere by the file that KUBECONFIG names, or
~/.kube/config.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from inference.base.process_protocol import STOP_SECONDS
from inference.errors import ConfigurationError, InferenceError, RetryableError, Unavailable
from inference.runners.kubernetes.pod import CONTAINER, Pod

POLL_SECONDS = 0.5
SECONDS = (5, 30)  # to connect; to answer
SILENCE = (5, 60)  # of a log that is followed; shards speak every 10 s
REFUSALS = {400, 401, 403, 404, 405, 413, 422}  # the request is wrong, and the same one will be again


class Cluster:
    """Each method raises ConfigurationError if the API server refuses, and Unavailable if it does not answer."""

    def __init__(self, api: Any, address: str, namespace: str) -> None:
        self._api, self._address, self._namespace = api, address, namespace

    def create(self, pod: Mapping[str, Any]) -> bool:
        """False if there is a pod of that name already."""
        return self._ask("create pod", "create_namespaced_pod", (409,), body=pod) is not None

    def read(self, name: str) -> Pod | None:
        return self._ask(f"read pod {name}", "read_namespaced_pod", (404,), name=name)

    def present(self, name: str) -> Pod:
        """Raises RetryableError if there is no such pod any more."""
        found = self.read(name)
        if found is None:
            raise RetryableError(
                f"pod {name} is gone: somebody deleted it, or its node was drained; a retry goes on from the last chunk"
            )
        return found

    def find(self, labels: Mapping[str, str]) -> list[Pod]:
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        answer = self._ask("list pods", "list_namespaced_pod", (), label_selector=selector) or {}
        return list(answer.get("items") or ())

    def delete(self, name: str) -> None:
        """Ask for a pod's end: SIGTERM now, SIGKILL seconds later. Nothing happens if there is none."""
        asked = {"name": name, "grace_period_seconds": STOP_SECONDS}
        self._ask(f"delete pod {name}", "delete_namespaced_pod", (404, 409), **asked)

    def log(self, name: str, since_seconds: int | None) -> Iterator[bytes]:
        """Follow what the shard says, each line after its time."""
        from urllib3.exceptions import ReadTimeoutError

        with self._answers(f"read the log of pod {name}"):
            response = self._api.read_namespaced_pod_log(
                name, self._namespace, container=CONTAINER, follow=True, timestamps=True,
                since_seconds=since_seconds, _preload_content=False, _request_timeout=SILENCE,
            )  # fmt: skip
            try:
                yield from response.stream()
            except ReadTimeoutError:  # a long call of the model, or a connection that is lost without a word
                raise Unavailable(f"nothing was heard of it for {SILENCE[1]} s") from None
            finally:
                response.close()

    def _ask(self, what: str, method: str, allowed: tuple[int, ...], **arguments: Any) -> dict[str, Any] | None:
        """The answer's JSON; None if its status is one of `allowed`."""
        from kubernetes.client import ApiException

        with self._answers(what):
            try:
                arguments |= {"namespace": self._namespace, "_preload_content": False, "_request_timeout": SECONDS}
                response = getattr(self._api, method)(**arguments)
                answer: dict[str, Any] = json.loads(response.data)
            except ApiException as error:
                if error.status not in allowed:
                    raise
                return None
        return answer

    @contextmanager
    def _answers(self, what: str) -> Iterator[None]:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        try:
            yield
        except ApiException as error:
            raise self._refusal(what, error.status or 0, _message(error)) from None
        except HTTPError as error:
            cause = str(getattr(error, "reason", None) or error).rpartition(": ")[2]
            raise Unavailable(
                f"the Kubernetes API server {self._address} does not answer: cannot {what}: {cause}"
            ) from None

    def _refusal(self, what: str, status: int, message: str) -> InferenceError:
        said = f"the Kubernetes API server {self._address} (namespace {self._namespace}): cannot {what}: {message}"
        if "exceeded quota" in message:
            return RetryableError(f"{said}. Is room left by other pods there, or must the quota grow?")
        if status in REFUSALS:
            return ConfigurationError(f"{said}. What the namespace and the worker's rights need: docs/kubernetes.md")
        return Unavailable(said)


@contextmanager
def connect(namespace: str) -> Iterator[Cluster]:
    from kubernetes import client, config  # a third of a second, and only where pods run

    configuration = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)
    except config.ConfigException:
        try:
            config.load_kube_config(
                os.environ.get("KUBECONFIG"), client_configuration=configuration, persist_config=False
            )
        except (config.ConfigException, OSError) as error:
            raise ConfigurationError(
                f"no Kubernetes cluster is configured: {error}. Run in a pod with the token of a service account, or "
                "set KUBECONFIG on the workers."
            ) from None
    with client.ApiClient(configuration) as api:
        yield Cluster(client.CoreV1Api(api), configuration.host, namespace)


def _message(error: Any) -> str:
    """Of the server's Status object, if that is what it answered."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return " ".join(f"{error.status or ''} {error.reason}".split())
