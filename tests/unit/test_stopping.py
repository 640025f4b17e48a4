"""A shard's process is gone within seconds of SIGTERM, whatever the model is doing."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from inference.scoring.stopping import GRACE, stopping

ROOT = Path(__file__).parents[2]
CODE = """
import sys, time
from inference.scoring.stopping import stopping
with stopping() as stop:
    print("ready", flush=True)
    {work}
    print("seen", stop.is_set(), flush=True)
sys.exit(3)
"""


def terminated(work: str) -> tuple[int, str, float]:
    """Exit code, output and seconds after SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-c", CODE.format(work=work)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=30)[0]
    return process.returncode, said, time.monotonic() - started


def test_work_that_looks_at_the_event_ends_in_its_own_way() -> None:
    code, said, _ = terminated("stop.wait(20)")

    assert (code, said) == (3, "seen True\n")


def test_the_chunk_at_hand_is_finished_if_it_takes_less_than_the_grace() -> None:
    code, said, _ = terminated("time.sleep(0.8)")

    assert (code, said) == (3, "seen True\n")


@pytest.mark.parametrize(
    "work", ["time.sleep(20)", "__import__('hashlib').pbkdf2_hmac('sha256', b'', b'', 60_000_000)"]
)
def test_longer_work_is_left_behind_also_inside_one_long_call(work: str) -> None:
    code, said, seconds = terminated(work)

    assert code == 75
    assert said.startswith("error: stopped by a signal; the chunk at hand took longer than 1.5 s")
    assert GRACE <= seconds < 3


def test_handlers_are_put_back_and_no_thread_is_left() -> None:
    handlers, threads = signal.getsignal(signal.SIGTERM), threading.active_count()

    with stopping() as stop:
        assert signal.getsignal(signal.SIGTERM) is not handlers
        assert threading.active_count() == threads + 1

    assert (signal.getsignal(signal.SIGTERM), threading.active_count()) == (handlers, threads)
    assert not stop.is_set()
