"""MLflow over REST: resolve a version, log a run. No import of mlflow, which costs seconds."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from inference.errors import ConfigurationError, ModelError, Unavailable
from inference.models import mlflow_access


@dataclass(frozen=True)
class Version:
    """A registered model version. `artifact`: where MLflow keeps its files."""

    name: str
    version: str
    artifact: str
    run_id: str | None

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


class Registry:
    """The tracking server at `address` (default: MLFLOW_TRACKING_URI). `retries`: of each call.

    `public_address` is for people: without a password that the address may hold.
    """

    def __init__(self, address: str | None = None, retries: int = 0) -> None:
        given = address or os.environ.get("MLFLOW_TRACKING_URI", "")
        if not given.startswith(("http://", "https://")):
            raise ConfigurationError(
                f"MLFLOW_TRACKING_URI: {public(given)!r} is no address of an MLflow server; set http://host:port"
            )
        self.address = given.rstrip("/")
        self.public_address = public(self.address)
        self._session = requests.Session()
        mlflow_access.prepare(self._session)
        retry = Retry(
            retries,
            backoff_factor=1,
            status_forcelist=(500, 502, 503, 504),
            allowed_methods=None,
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry))

    def call(self, method: str, path: str, **values: Any) -> dict[str, Any]:
        """One REST call; raises Unavailable, ConfigurationError or ModelError, with the server's words."""
        place: dict[str, Any] = {"params": values} if method == "GET" else {"json": values}
        try:
            url = f"{self.address}/api/2.0/mlflow/{path}"
            response = self._session.request(method, url, timeout=(5, 30), verify=self._session.verify, **place)
        except OSError as error:  # of requests; a file of certificates that is not there is a plain one
            raise Unavailable(
                f"MLflow at {self.public_address} does not answer: {public(_cause(error))}. Is the server up, and is "
                "MLFLOW_TRACKING_URI right?"
            ) from None
        if response.status_code >= 500:
            raise Unavailable(
                f"MLflow at {self.public_address} answers {response.status_code} to {path}{_said(response)}; "
                "see its log"
            )
        if response.status_code in (401, 403):
            raise ConfigurationError(
                f"MLflow at {self.public_address} answers {response.status_code} to {path}{_said(response)}. If that "
                "is about who asks: check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
                "MLFLOW_TRACKING_TOKEN, and what that user may do"
            )
        content = _json(response)
        if not isinstance(content, dict):
            raise Unavailable(
                f"MLflow at {self.public_address} answers {response.status_code} without JSON to {path}"
                f"{_said(response)}; is that address an MLflow server?"
            )
        if response.status_code >= 400:
            raise ModelError(f"MLflow at {self.public_address}: {content.get('message', response.status_code)}")
        return content

    def resolve(self, name: str, reference: str) -> Version:
        """The version that an alias (or a version number) means now."""
        try:
            if reference.isdigit():
                found = self.call("GET", "model-versions/get", name=name, version=reference)
            else:
                found = self.call("GET", "registered-models/alias", name=name, alias=reference)
        except ModelError as error:
            what = f"version {reference}" if reference.isdigit() else f"alias {reference!r}"
            raise ModelError(
                f"model {name!r} has no {what} ({error}). Register a version and set the alias: "
                "python -m inference models register --help"
            ) from None
        version = found["model_version"]
        return Version(version["name"], str(version["version"]), version["source"], version.get("run_id") or None)

    def place(self, version: Version) -> str:
        """Where the files of a version can be fetched from."""
        found = self.call("GET", "model-versions/get-download-uri", name=version.name, version=version.version)
        return str(found["artifact_uri"])

    def file(self, version: Version, path: str) -> str:
        """The text of one file of a version, which the server passes on. Raises ModelError if it does not."""
        values = {"name": version.name, "version": version.version, "path": path}
        try:
            url = f"{self.address}/model-versions/get-artifact"
            response = self._session.get(url, params=values, timeout=(5, 30), verify=self._session.verify)
        except OSError as error:
            raise Unavailable(f"MLflow at {self.public_address} does not answer: {public(_cause(error))}") from None
        if response.status_code != 200:
            raise ModelError(f"{version}: MLflow has no file {path!r} of it{_said(response)}")
        response.encoding = "utf-8"
        return response.text

    def tags(self, version: Version) -> dict[str, str]:
        """The tags of a version."""
        found = self.call("GET", "model-versions/get", name=version.name, version=version.version)
        return {tag["key"]: tag["value"] for tag in found["model_version"].get("tags", [])}

    def tag(self, version: Version, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        for key, value in tags.items():
            self.call(
                "POST", "model-versions/set-tag", name=version.name, version=version.version, key=key, value=value
            )


def public(text: str) -> str:
    """Without the user and the password of an address."""
    return re.sub(r"//\S*@", "//", text)


def _said(response: requests.Response) -> str:
    words = mlflow_access.reason(response)
    return f", and says: {words}" if words else ""


def _json(response: requests.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _cause(error: OSError) -> str:
    inner: BaseException = error
    while inner.__cause__ or inner.__context__:
        inner = inner.__cause__ or inner.__context__ or inner
    return str(inner)
