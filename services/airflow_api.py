"""A small client of Airflow's REST API: trigger a run, wait for it, look at its tasks and logs.

AirflowError            the API does not answer, or refuses; `status` is None or the HTTP code
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import requests

FINAL = frozenset({"success", "failed"})
POLL_SECONDS = 1.0
REQUEST_SECONDS = 30


class AirflowError(Exception):
    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class AirflowApi:
    """One user's access to the API at `url`."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        self._login = {"username": user, "password": password}
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy must not see what this machine says to itself

    def health(self) -> dict[str, Any]:
        return dict(self._send("GET", "/api/v2/monitor/health"))

    def unpause(self, dag: str, paused: bool = False) -> None:
        self.call("PATCH", f"/dags/{dag}", {"is_paused": paused})

    def await_dag(self, dag: str, seconds: float) -> None:
        """Wait until the DAG processor has read it; AirflowError with the import errors if not."""
        end = time.monotonic() + seconds
        while True:
            try:
                self.call("GET", f"/dags/{dag}")
                return
            except AirflowError as error:
                if error.status != 404:
                    raise
            if time.monotonic() > end:
                found = "; ".join(self.import_errors()) or "no import errors are known"
                raise AirflowError(f"DAG {dag!r} did not appear within {seconds:.0f} s: {found}")
            time.sleep(POLL_SECONDS)

    def import_errors(self) -> list[str]:
        """What is wrong with the DAG files, one text per file."""
        found = self.call("GET", "/importErrors")["import_errors"]
        return [f"{each['filename']}: {each['stack_trace']}" for each in found]

    def trigger(self, dag: str, conf: Mapping[str, Any] | None = None, run: str | None = None) -> str:
        """Start a run and return its id; AirflowError (400) if the conf is refused."""
        body: dict[str, Any] = {"logical_date": None, "conf": dict(conf or {})}
        if run is not None:
            body["dag_run_id"] = run
        return str(self.call("POST", f"/dags/{dag}/dagRuns", body)["dag_run_id"])

    def run(self, dag: str, run: str) -> dict[str, Any]:
        return self.call("GET", f"/dags/{dag}/dagRuns/{run}")

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """The newest 100 runs, newest first."""
        path = f"/dags/{dag}/dagRuns?order_by=-run_after&limit=100"
        return list(self.call("GET", path)["dag_runs"])

    def wait(
        self,
        dag: str,
        run: str,
        seconds: float,
        progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> str:
        """The final state of a run, "success" or "failed"; AirflowError when the time is over."""
        end = time.monotonic() + seconds
        while True:
            found = self.run(dag, run)
            if progress is not None:
                progress(found)
            if found["state"] in FINAL:
                return str(found["state"])
            if time.monotonic() > end:
                raise AirflowError(
                    f"run {run} of {dag} is {found['state']} after {seconds:.0f} s: "
                    f"look at {self.url}/dags/{dag}/runs/{run}"
                )
            time.sleep(POLL_SECONDS)

    def task_instances(self, dag: str, run: str) -> list[dict[str, Any]]:
        """All task instances of a run, mapped ones singly."""
        path = f"/dags/{dag}/dagRuns/{run}/taskInstances?limit=1000"
        return list(self.call("GET", path)["task_instances"])

    def clear(self, dag: str, run: str, tasks: list[str] | None = None) -> None:
        """Let tasks (all by default) of a run happen again."""
        body: dict[str, Any] = {"dry_run": False, "dag_run_id": run, "only_failed": False}
        if tasks is not None:
            body["task_ids"] = tasks
        self.call("POST", f"/dags/{dag}/clearTaskInstances", body)

    def log(self, dag: str, run: str, task: str, attempt: int = 1, index: int = -1) -> str:
        """The log of one attempt; `index` is the mapped task's."""
        path = f"/dags/{dag}/dagRuns/{run}/taskInstances/{task}/logs/{attempt}"
        content = self.call("GET", f"{path}?map_index={index}&full_content=true")["content"]
        lines = (each if isinstance(each, str) else _line(each) for each in content)
        return "\n".join(lines)

    def xcom(self, dag: str, run: str, task: str, key: str = "return_value", index: int = -1) -> Any:
        path = f"/dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/{key}"
        return self.call("GET", f"{path}?map_index={index}&deserialize=true")["value"]

    def set_pool(self, name: str, slots: int, description: str) -> None:
        """Create the pool, or change its number of slots."""
        body = {"name": name, "slots": slots, "description": description, "include_deferred": False}
        try:
            self.call("POST", "/pools", body)
        except AirflowError as error:
            if error.status != 409:
                raise
            self.call("PATCH", f"/pools/{name}", body)

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Any call below /api/v2, with a token that is renewed when it has run out."""
        if "Authorization" not in self._session.headers:
            self._authorise()
        try:
            return dict(self._send(method, "/api/v2" + path, body))
        except AirflowError as error:
            if error.status != 401:
                raise
        self._authorise()
        return dict(self._send(method, "/api/v2" + path, body))

    def _authorise(self) -> None:
        token = self._send("POST", "/auth/token", self._login)["access_token"]
        self._session.headers["Authorization"] = f"Bearer {token}"

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        try:
            answer = self._session.request(
                method,
                self.url + path,
                json=body,
                headers={"Accept": "application/json"},
                timeout=REQUEST_SECONDS,
            )
        except requests.RequestException as error:
            raise AirflowError(f"Airflow at {self.url} does not answer: {error}") from error
        if not answer.ok:
            raise AirflowError(f"{method} {path}: {answer.status_code} {answer.text[:2000]}", answer.status_code)
        return answer.json() if answer.content else {}


def _line(event: Mapping[str, Any]) -> str:
    """A structured log event as people read it: time, what happened, the error if it is one."""
    errors = [f"{each['exc_type']}: {each['exc_value']}" for each in event.get("error_detail") or []]
    level = str(event.get("level", "info")).upper()
    parts = [event.get("timestamp"), level if level != "INFO" else None, event.get("event"), *errors]
    return " ".join(str(part) for part in parts if part)
