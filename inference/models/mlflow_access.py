"""How a client of ours shows MLflow who it is: by the settings that MLflow's own client goes by.

MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD    basic authentication; else from ~/.mlflow/credentials
MLFLOW_TRACKING_TOKEN                                 a bearer token, if there is no user with a password
MLFLOW_TRACKING_SERVER_CERT_PATH                      the authority that has signed the server's certificate
MLFLOW_TRACKING_INSECURE_TLS                          `true`: the server's certificate is not verified
MLFLOW_TRACKING_CLIENT_CERT_PATH                      a certificate of the client, with its key
"""

from __future__ import annotations

import configparser
import os
import re
from pathlib import Path

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from inference.errors import ConfigurationError

# Settings of MLflow's client by which it signs requests or asks a plugin.
_UNKNOWN = ("MLFLOW_TRACKING_AWS_SIGV4", "MLFLOW_TRACKING_AUTH")
_LONGEST = 300  # characters of what a server says


class _Bearer(AuthBase):
    """A token in the header of each request. Without it, requests would take a password from ~/.netrc instead."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def prepare(session: requests.Session) -> None:
    """Give a session credentials and certificates. Raises ConfigurationError for a setting that we cannot follow."""
    for name in _UNKNOWN:
        if os.environ.get(name, "").lower() not in ("", "false", "0"):
            raise ConfigurationError(
                f"{name} is set, and this project's own client of MLflow knows no such authentication. Set "
                "MLFLOW_TRACKING_TOKEN, or a user and password, or put a proxy in front of MLflow that authenticates"
            )
    user, password = _user()
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    if user and password:
        session.auth = HTTPBasicAuth(user.encode(), password.encode())  # as MLflow does; the default is Latin-1
    elif token:
        session.auth = _Bearer(token)
    insecure = os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1")
    session.verify = os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or not insecure
    session.cert = os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH") or None


def _user() -> tuple[str, str]:
    """User and password, each from the environment or else from MLflow's file."""
    file = configparser.ConfigParser()
    file.read(Path.home() / ".mlflow" / "credentials", encoding="utf-8")
    kept = file["mlflow"] if file.has_section("mlflow") else {}
    names = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
    user, password = (os.environ.get(name) or kept.get(name.lower()) or "" for name in names)
    return user, password


def reason(response: requests.Response) -> str:
    """What a server says of an error: the message of its JSON, or else its first line of text; empty without either.

    It is one line, and has no addresses with passwords.
    """
    try:
        content = response.json()
        said = content.get("message") if isinstance(content, dict) else None
    except ValueError:
        said = re.sub(r"<[^>]*>", " ", response.text) if "html" in response.headers.get("Content-Type", "") else None
        said = response.text if said is None else said
    lines = [line.strip() for line in str(said or "").splitlines() if line.strip()]
    line = "".join(letter for letter in (lines[0] if lines else "") if letter.isprintable())
    line = re.sub(r"//\S*@", "//", " ".join(line.split()))
    for secret in filter(None, (_user()[1], os.environ.get("MLFLOW_TRACKING_TOKEN"))):
        line = line.replace(secret, "***")
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "..."
