"""Health checks that cost little: Airflow's own commands take seconds of processor time each.

python health.py api-server                         this container's API answers
python health.py scheduler|dag_processor|triggerer  the API says that its heartbeat is fresh
python health.py worker                             this container's Celery worker answers
"""

from __future__ import annotations

import json
import os
import socket
import sys
import urllib.request

SECONDS = 5


def monitor(host: str) -> dict[str, dict[str, str]]:
    with urllib.request.urlopen(f"http://{host}:8080/api/v2/monitor/health", timeout=SECONDS) as answer:
        return dict(json.load(answer))


def worker() -> bool:
    from celery import Celery

    name = f"celery@{socket.getfqdn()}"
    app = Celery(broker=os.environ["AIRFLOW__CELERY__BROKER_URL"])
    return bool(app.control.inspect(destination=[name], timeout=SECONDS).ping())


def healthy(name: str) -> bool:
    if name == "worker":
        return worker()
    if name == "api-server":
        return monitor("127.0.0.1")["metadatabase"]["status"] == "healthy"
    return monitor("airflow-api-server")[name]["status"] == "healthy"


if __name__ == "__main__":
    sys.exit(not healthy(sys.argv[1]))
