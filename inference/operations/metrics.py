"""Metrics: jobs and runs for Prometheus, asked of the database at each scrape.

GET /metrics gives them; while the database does not answer, status 503 and one line that says why.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import DBAPIError

from inference.base import queries
from inference.base.database import PREDICTIONS, Databases
from inference.errors import ConfigurationError, InferenceError

SQL = queries.load("operations/metrics")
log = logging.getLogger(__name__)

PREFIX = "batch_prediction_"
STATEMENT_TIMEOUT = "5s"  # Prometheus itself gives up after 10 s
IDLE = 10  # seconds after which a client that says nothing is left
PLAIN = "text/plain; charset=utf-8"
GAUGES = {
    "pending_rows": "Rows that the last plan found and that are not done.",
    "oldest_pending_age_seconds": "Age of the oldest row without a prediction: of the row itself where a run left it "
    "over, else at most this, the time since the last complete search.",
    "quarantined_rows": "Rows in quarantine that nobody has resolved.",
    "last_published_timestamp_seconds": "When the last published run became visible.",
    "last_published_rows_per_second": "Rows predicted in a second of a shard's work, in the last published run.",
}
ENDED = ("published", "failed", "empty", "superseded")
OPEN = ("planned", "predicting", "checked", "held")


class Exporter:
    """Answers scrapes, one at a time, so that they never hold more than one connection."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], int] = {}
        self._totals: dict[tuple[str, str], int] = {}

    def answer(self, accept: str) -> tuple[int, str, bytes]:
        """Status, content type and body of one scrape."""
        try:
            with self._lock:
                families = self._read()
        except (InferenceError, DBAPIError) as error:
            reason = str(error.orig if isinstance(error, DBAPIError) else error).strip().partition("\n")[0]
            log.warning("no metrics: %s", reason)
            return 503, PLAIN, f"{reason}\n".encode()
        except Exception:
            log.exception("a bug: no metrics")
            return 500, PLAIN, b"a bug: its stack trace is in the log of this process\n"
        encode, kind = choose_encoder(accept)
        return 200, kind, encode(_Read(families))

    def _read(self) -> list[Metric]:
        with self._databases.begin(PREDICTIONS, STATEMENT_TIMEOUT) as connection:
            jobs = [dict(row) for row in queries.run(connection, SQL["jobs"]).mappings()]
            runs = {(row.job, row.state): int(row.runs) for row in queries.run(connection, SQL["runs"])}
        return [*_gauges(jobs), _stages(jobs), *self._runs([row["job"] for row in jobs], runs)]

    def _runs(self, jobs: list[str], runs: dict[tuple[str, str], int]) -> list[Metric]:
        """A sample for every state, so that the first failure is an increase and not a new series."""
        ended = CounterMetricFamily(f"{PREFIX}runs", "Runs that ended, by state.", labels=("job", "state"))
        now = GaugeMetricFamily(f"{PREFIX}open_runs", "Runs that have not ended, by state.", labels=("job", "state"))
        for job in jobs:
            for state in ENDED:
                ended.add_metric((job, state), self._rising((job, state), runs.get((job, state), 0)))
            for state in OPEN:
                now.add_metric((job, state), runs.get((job, state), 0))
        return [ended, now]

    def _rising(self, series: tuple[str, str], count: int) -> int:
        """A counter must never fall, or Prometheus counts all of it again; a run that is started over leaves its
        state."""
        self._totals[series] = self._totals.get(series, 0) + max(count - self._seen.get(series, 0), 0)
        self._seen[series] = count
        return self._totals[series]


class _Read(Collector):
    """Metrics that were read already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _gauges(jobs: list[dict[str, Any]]) -> list[Metric]:
    families: list[Metric] = []
    for column, text in GAUGES.items():
        gauge = GaugeMetricFamily(PREFIX + column, text, labels=("job",))
        for row in jobs:
            if row[column] is not None:
                gauge.add_metric((row["job"],), float(row[column]))
        families.append(gauge)
    return families


def _stages(jobs: list[dict[str, Any]]) -> Metric:
    text = "Seconds of each stage of the last published run; of predict, the sum over its shards."
    gauge = GaugeMetricFamily(f"{PREFIX}last_published_stage_seconds", text, labels=("job", "stage"))
    for row in jobs:
        for stage, seconds in sorted((row["timings"] or {}).items()):
            gauge.add_metric((row["job"], stage), float(seconds))
    return gauge


def serve(databases: Databases, host: str, port: int) -> None:
    """Answer scrapes until SIGTERM or Ctrl-C. Raises ConfigurationError if there is no such address to listen on."""
    databases.url(PREDICTIONS)  # missing or wrong: said now, and not at each scrape
    with server(databases, host, port) as listening:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(0))
        shown = f"[{host}]" if ":" in host else host
        log.info("metrics at http://%s:%d/metrics", shown, listening.server_address[1])
        listening.serve_forever()


def server(databases: Databases, host: str, port: int) -> ThreadingHTTPServer:
    """The HTTP server, listening; port 0 is any free one."""
    kind = type("Server", (ThreadingHTTPServer,), {"address_family": _family(host)})
    try:
        made: ThreadingHTTPServer = kind((host, port), _handler(Exporter(databases)))
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host} port {port}: {error.strerror}. Choose another with --host and --port."
        ) from None
    return made


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _handler(exporter: Exporter) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = IDLE
        server_version, sys_version = "batch-prediction", ""

        def handle(self) -> None:
            with suppress(ConnectionError):  # the client did not wait for the answer
                super().handle()

        def do_GET(self) -> None:
            if self.path.partition("?")[0] == "/metrics":
                status, kind, body = exporter.answer(self.headers.get("Accept", ""))
            else:
                status, kind, body = 404, PLAIN, b"the metrics are at /metrics\n"
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """A line for each scrape helps nobody."""

    return Handler
