"""The runner: what a shard's process is given, and what its end means."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from inference.base.database import Databases
from inference.errors import BadInput, InferenceError, PermanentError, ProcessDied, RetryableError, TakenOver
from inference.models import runtime
from inference.models.artifact import Artifact
from inference.models.mlflow_rest import Registry, Version
from inference.models.model_version import Model
from inference.runners import process, venv
from tests.stub import TEXT, job

URL = "postgresql://scorer:a%2Fword@db.example:5433/company"
MODEL = Model(1, Version("intent", "1", "models:/m-1", None), Artifact("d" * 64, "3.11.7", (), TEXT, False))
REGISTRY = Registry("http://127.0.0.1:1")


def python(folder: Path, code: str) -> Path:
    """An "interpreter" that runs `code`, whatever it is told."""
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\n{code}")
    path.chmod(0o755)
    return path


def run(monkeypatch: pytest.MonkeyPatch, interpreter: Path, **connections: str) -> None:
    monkeypatch.setattr(venv, "prepare", lambda registry, model: interpreter)
    databases = Databases({"predictions": URL, **connections})
    a_job = job(source__connection="shop" if connections else "predictions", resources={"threads": 3})
    venv.run(databases, REGISTRY, a_job, MODEL, 17, 2, 5)


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        (2, BadInput, "the disk is full"),
        (65, PermanentError, "the disk is full"),
        (66, TakenOver, "the disk is full"),
        (75, RetryableError, "the disk is full"),
        (1, ProcessDied, "run 17 shard 5: its process ended with exit code 1. the disk is full"),
        (137, ProcessDied, "run 17 shard 5: its process ended with exit code 137. the disk is full"),
        (-9, RetryableError, "run 17 shard 5: its process was killed (SIGKILL): by somebody, or for want of memory. "
                             "the disk is full"),
        (-11, ProcessDied, "run 17 shard 5: its process died by SIGSEGV. the disk is full"),
    ],
)  # fmt: skip
def test_an_exit_code_becomes_the_error_with_the_shards_last_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, error: type[InferenceError], message: str
) -> None:
    end = f"os._exit({code})" if code > 0 else f"os.kill(os.getpid(), {-code})"
    lines = ["error: an earlier one", "chunk 1", "error: the disk is full", "goodbye", ""]
    interpreter = python(tmp_path, f"import os\nprint({chr(10).join(lines)!r}, flush=True)\n{end}")

    with pytest.raises(error) as raised:
        run(monkeypatch, interpreter)

    assert (type(raised.value), str(raised.value)) == (error, message)


def test_without_an_error_line_the_last_line_that_says_something_is_quoted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = "import sys\nprint('began')\nsys.stderr.write('MemoryError\\n\\n  \\n')\nsys.exit(1)"

    with pytest.raises(RetryableError, match=r"ended with exit code 1\. MemoryError$"):
        run(monkeypatch, python(tmp_path, code))


def test_a_shard_that_ends_well_raises_nothing_and_its_output_is_the_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    run(monkeypatch, python(tmp_path, r"import os; os.write(1, b'error: only a word\n\xff\ndone\n')"))

    assert caplog.messages == ["error: only a word", "\ufffd", "done"]


def test_the_child_gets_its_connections_and_nothing_else_of_this_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = f"import json, os, sys\njson.dump([sys.argv[1:], dict(os.environ)], open({str(tmp_path / 'seen')!r}, 'w'))"
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "planted")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "planted")
    monkeypatch.setenv("AIRFLOW_CONN_PAYROLL", "postgresql://planted")
    monkeypatch.setenv("PYTHONPATH", "/planted")
    monkeypatch.setenv("INFERENCE_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("TZ", "Asia/Seoul")
    monkeypatch.setenv("PGSERVICEFILE", "/services")  # without it `?service=one` would lead nowhere, or elsewhere
    monkeypatch.setenv("PGPASSWORD", "planted")

    run(monkeypatch, python(tmp_path, code), shop="postgresql://shop:s@shop.example/shop")

    arguments, environment = json.loads((tmp_path / "seen").read_text())
    assert arguments == ["-m", "prediction_runtime", "shard", "--run", "17", "--generation", "2", "--shard", "5"]
    own: dict[str, Any] = {
        "AIRFLOW_CONN_PREDICTIONS": URL.replace("postgresql", "postgresql+psycopg2"),
        "AIRFLOW_CONN_SHOP": "postgresql+psycopg2://shop:s@shop.example/shop",
        "PYTHONPATH": str(runtime.folder()),
        "INFERENCE_STATE": str(tmp_path / "state"),
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "OMP_NUM_THREADS": "3",
        "THP_MEM_ALLOC_ENABLE": "1",
        "TZ": "Asia/Seoul",
    }
    assert {name: environment[name] for name in own} == own
    assert "planted" not in json.dumps(environment)
    allowed = {*own, *venv._PASSED, *process._THREADS, "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE",
               "MLFLOW_DISABLE_SCHEMA_DETAILS", "MLFLOW_DISABLE_TELEMETRY", "LC_CTYPE"}  # fmt: skip
    assert environment["PGSERVICEFILE"] == "/services"
    assert {name for name in environment if not name.startswith(("OPENBLAS_", "PG"))} <= allowed


def test_a_shard_gets_the_connections_of_its_own_role_under_the_names_that_it_knows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = f"import json, os\njson.dump(dict(os.environ), open({str(tmp_path / 'seen')!r}, 'w'))"
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_SHARD", "postgresql://less:s@shop.example/shop")
    others = {"shop": "postgresql://more:s@shop.example/shop", "predictions_shard": "postgresql://less:p@db.example/x"}

    run(monkeypatch, python(tmp_path, code), **others)

    seen = {name: url for name, url in json.loads((tmp_path / "seen").read_text()).items() if "CONN" in name}
    assert seen == {
        "AIRFLOW_CONN_PREDICTIONS": "postgresql+psycopg2://less:p@db.example/x",
        "AIRFLOW_CONN_SHOP": "postgresql+psycopg2://less:s@shop.example/shop",
    }


def test_sigterm_is_passed_on_and_the_handler_is_put_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = f"""
import pathlib, signal, sys, time
def stop(*_):
    print("error: stopped after the chunk at hand", flush=True)
    sys.exit(75)
signal.signal(signal.SIGTERM, stop)
pathlib.Path({str(tmp_path / "ready")!r}).touch()
time.sleep(60)
"""
    before = signal.getsignal(signal.SIGTERM)
    started = time.monotonic()

    def terminate() -> None:
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=terminate)
    thread.start()
    with pytest.raises(RetryableError, match=r"^stopped after the chunk at hand$"):
        run(monkeypatch, python(tmp_path, code))
    thread.join()

    assert signal.getsignal(signal.SIGTERM) is before
    assert time.monotonic() - started < 30


def test_no_shard_outlives_a_runner_that_is_interrupted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(process: subprocess.Popen[bytes]) -> str:
        children.append(process)
        raise KeyboardInterrupt

    children: list[subprocess.Popen[bytes]] = []
    monkeypatch.setattr(venv, "_follow", interrupted)

    with pytest.raises(KeyboardInterrupt):
        run(monkeypatch, python(tmp_path, "import time\ntime.sleep(60)"))

    assert children[0].returncode == -signal.SIGTERM
    assert children[0].stdout is not None
    children[0].stdout.close()
