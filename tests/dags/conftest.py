"""Airflow, without its services: its home is a temporary folder, set before it is imported."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dags.receiver import SECRET, Receiver, receiving

ROOT = Path(__file__).parents[2]
HOME = tempfile.mkdtemp(prefix="airflow-tests-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
os.environ.update(
    AIRFLOW_HOME=HOME,
    AIRFLOW__CORE__DAGS_FOLDER=str(ROOT / "dags"),
    AIRFLOW__CORE__PLUGINS_FOLDER=str(ROOT / "plugins"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
)
sys.path.insert(0, str(ROOT / "plugins"))


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """What the Airflow connection `alarm` leads to."""
    from batch_prediction import webhook

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(webhook, "PAUSE", 0.01)
    with receiving() as found:
        monkeypatch.setenv("AIRFLOW_CONN_ALARM", f"http://127.0.0.1:{found.port}/services/{SECRET}")
        yield found
