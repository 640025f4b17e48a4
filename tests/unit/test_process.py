"""Children end with their parent and say why they failed: services/process.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from services.process import Child, ServiceError, start

REPOSITORY = Path(__file__).parents[2]
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


def alive(pid: int) -> bool:
    """A zombie that its new parent has not collected yet is not alive."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def number_in(file: Path) -> int:
    assert eventually(lambda: file.exists() and file.read_text().endswith("\n"))
    return int(file.read_text())


def ready_when_logged(child: Child) -> Child:
    child.await_ready(lambda: "ready" in child.log.read_text(), 10)
    return child


def test_output_goes_to_a_private_log_and_a_second_start_appends(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "child.log"
    for word in ("first", "second"):
        child = start("child", python(f"print({word!r})"), log)
        assert child.wait(10)
    assert log.read_text() == "first\nsecond\n"
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_large_log_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.process.LARGEST_LOG", 3)
    log = tmp_path / "child.log"
    for word in ("first", "second"):
        assert start("child", python(f"print({word!r})"), log).wait(10)
    assert (log.read_text(), (tmp_path / "child.log.old").read_text()) == ("second\n", "first\n")


def test_a_failed_start_quotes_the_log_and_names_it(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    code = "for n in range(100): print('line', n)\nraise SystemExit(3)"
    child = start("the server", python(code), log)
    with pytest.raises(ServiceError) as caught:
        child.await_ready(lambda: False, 10)
    message = str(caught.value)
    assert message.startswith("the server ended with exit code 3. The last lines of ")
    assert str(log) in message
    assert "line 99" in message
    assert "line 10\n" not in message
    assert "start again" in message


def test_a_server_that_never_answers_is_an_error(tmp_path: Path) -> None:
    child = start("the server", python("import time; time.sleep(60)"), tmp_path / "log")
    try:
        with pytest.raises(ServiceError, match="not ready after 0 s"):
            child.await_ready(lambda: False, 0.3)
    finally:
        child.kill()


def test_a_program_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="/no/such/program installed"):
        start("the server", ["/no/such/program"], tmp_path / "log")


def test_stop_is_polite_first(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(print('goodbye', flush=True)))\n"
        "print('ready', flush=True)\ntime.sleep(60)"
    )
    child = start("child", python(code), tmp_path / "log", stop_signal=signal.SIGINT)
    ready_when_logged(child).stop()
    assert child.log.read_text() == "ready\ngoodbye\n"


def test_stop_ends_a_stubborn_child_and_its_own_children(tmp_path: Path) -> None:
    grandchild = tmp_path / "pid"
    code = (
        f"{STUBBORN}import os\n"
        f"if os.fork() == 0: open({str(grandchild)!r}, 'w').write(f'{{os.getpid()}}\\n')\n"
        "print('ready', flush=True)\ntime.sleep(60)"
    )
    child = ready_when_logged(start("child", python(code), tmp_path / "log"))
    pid = number_in(grandchild)

    child.stop(seconds=0.2)
    assert not child.running
    assert eventually(lambda: not alive(pid))


def test_a_child_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    children: list[Child] = []
    code = python("import time; print('ready', flush=True); time.sleep(60)")
    thread = threading.Thread(target=lambda: children.append(start("c", code, tmp_path / "log")))
    thread.start()
    thread.join()
    (child,) = children
    try:
        ready_when_logged(child)
        assert not child.wait(0.3)
    finally:
        child.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a parent-death signal")
def test_a_child_dies_with_its_parent_even_on_kill_9(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    code = (
        "import pathlib, sys, time; from services.process import start\n"
        "child = start('c', [sys.executable, '-c', 'import time; time.sleep(60)'],"
        f" pathlib.Path({str(tmp_path / 'log')!r}))\n"
        f"pathlib.Path({str(file)!r}).write_text(f'{{child.pid}}\\n'); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    parent = subprocess.Popen([sys.executable, "-c", code], env=environment)
    try:
        pid = number_in(file)
        assert alive(pid)
    finally:
        parent.kill()
        parent.wait()
    assert eventually(lambda: not alive(pid))


def test_not_even_grandchildren_outlive_a_parent_that_was_killed(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    child = (
        f"{STUBBORN}import os\n"
        "if os.fork() == 0:\n"
        "    os.setpgid(0, 0)\n"
        f"    open({str(file)!r}, 'w').write(f'{{os.getpid()}}\\n')\n"
        "time.sleep(60)"
    )
    code = (
        "import pathlib, sys, time; from services import guard, process\n"
        f"process.start('c', {python(child)!r}, pathlib.Path({str(tmp_path / 'log')!r}))\n"
        "time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    parent = subprocess.Popen([sys.executable, "-c", code], env=environment)
    try:
        pid = number_in(file)
        assert alive(pid)
    finally:
        parent.kill()
        parent.wait()
    assert eventually(lambda: not alive(pid), 15)
