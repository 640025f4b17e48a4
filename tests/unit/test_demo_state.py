"""One demo at a time: demo/state.py."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.state import DemoError, Lock

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until SIGTERM."""
    code = (
        "import sys, time; from pathlib import Path; from demo.state import Lock\n"
        f"lock = Lock(Path({str(tmp_path)!r})); lock.acquire(); print('held', flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_demo_is_refused_and_told_what_to_do(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(DemoError, match=rf"running already \(process {holder.pid}\).*make demo-down"):
        Lock(tmp_path).acquire()
    assert Lock(tmp_path).is_held()


def test_the_holder_can_be_stopped_from_elsewhere(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    Lock(tmp_path).stop_holder()
    assert holder.wait(10) != 0
    assert not Lock(tmp_path).is_held()


def test_a_killed_holder_leaves_nothing_behind(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    lock = Lock(tmp_path)
    lock.acquire()
    lock.release()
    assert not Lock(tmp_path).is_held()


def test_a_holder_that_does_not_stop_is_named(
    tmp_path: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("demo.state.STOP_SECONDS", 0.1)
    monkeypatch.setattr(os, "kill", lambda pid, number: None)
    with pytest.raises(DemoError, match=f"kill -9 {holder.pid}"):
        Lock(tmp_path).stop_holder()
