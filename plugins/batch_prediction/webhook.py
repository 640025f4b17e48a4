"""A notifier that posts each event as JSON to the address of an Airflow connection, so that no job file holds it."""

from __future__ import annotations

import base64
import json
import logging
import time
import urllib.error
import urllib.request
from dataclasses import asdict
from http.client import BadStatusLine
from typing import Any
from urllib.parse import quote, urlencode

from airflow.sdk import BaseNotifier, Connection

from batch_prediction.notices import EVENT, Event

log = logging.getLogger(__name__)

ATTEMPTS = 3
PAUSE = 1.0  # seconds before the second attempt; doubles
PATH = "/:@!$&'()*+,;=~"  # what stands for itself in a path
# An answer that may be another one later; other codes of 400 to 499 are about the request.
PASSING = {408, 425, 429}


class WebhookNotifier(BaseNotifier):
    """Posts {event, job, run, state, message, counts, link}; an address that does not take it is a warning.

    `url_connection`: name of the Airflow connection. `timeout`: seconds for each of three attempts.
    """

    def __init__(self, url_connection: str, timeout: float = 5.0) -> None:
        super().__init__()
        self.url_connection = url_connection
        self.timeout = timeout

    def notify(self, context: Any) -> None:
        """Post the event of the context; without one, it is a failure that nothing else is known of."""
        event = context.get(EVENT) or _failure(context)
        try:
            request = _request(Connection.get(self.url_connection), json.dumps(asdict(event)).encode())
            reason = self._post(request)
        except Exception as error:
            reason = type(error).__name__
        if reason:
            log.warning("webhook %s was not told of %s of job %s: %s",
                        self.url_connection, event.event, event.job, reason)  # fmt: skip

    def _post(self, request: urllib.request.Request) -> str:
        """Why nobody took it, in words that never repeat the address: its path is a secret. Empty if somebody did."""
        reason = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(PAUSE * 2 ** (attempt - 1))
            try:
                # Not requests: urllib3 writes the path into its log.
                with _OPENER.open(request, timeout=self.timeout):
                    return ""
            except urllib.error.HTTPError as error:
                error.close()
                reason = f"it answered {error.code}"
                if error.code < 500 and error.code not in PASSING:
                    return reason
            except (OSError, BadStatusLine) as error:
                cause = getattr(error, "reason", None)
                reason = type(cause if isinstance(cause, Exception) else error).__name__
        return f"{reason}, {ATTEMPTS} times"


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET without its body: an error instead."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Stay)


def _failure(context: Any) -> Event:
    return Event.of("failure", context["ti"].dag_id, None, f"task {context['ti'].task_id} failed", context)


def _request(connection: Connection, body: bytes) -> urllib.request.Request:
    headers = {"Content-Type": "application/json", "User-Agent": "batch-prediction"}
    if connection.login:
        pair = base64.b64encode(f"{connection.login}:{connection.password or ''}".encode()).decode()
        headers["Authorization"] = f"Basic {pair}"
    elif connection.password:
        headers["Authorization"] = f"Bearer {connection.password}"
    return urllib.request.Request(_address(connection), body, headers, method="POST")


def _address(connection: Connection) -> str:
    """The URL that the connection was made from: as a URI, or typed into Airflow's form with the URL as its host."""
    host, path = connection.host or "", connection.schema or ""
    if "://" not in host:
        # Airflow's own HTTP connections keep the protocol where others keep a path.
        scheme, path = (path, "") if path in ("http", "https") else (connection.conn_type, path)
        host = f"{scheme}://{host}"
    scheme, _, rest = host.partition("://")
    if scheme not in ("http", "https"):
        raise ValueError("not an address of http or https")
    name, slash, inside = rest.partition("/")
    port = f":{connection.port}" if connection.port else ""
    tail = f"{slash}{inside}" if slash else f"/{quote(path, safe=PATH)}"
    query = urlencode(connection.extra_dejson)
    return f"{scheme}://{name}{port}{tail}" + (f"{'&' if '?' in tail else '?'}{query}" if query else "")
