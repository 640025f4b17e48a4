"""Runner `venv`: each shard in a process of the virtual environment that the model was logged with."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
from pathlib import Path

from inference import artifact, environment, state
from inference.database import PREDICTIONS, Databases
from inference.errors import BY_EXIT_CODE, RetryableError
from inference.job import Job
from inference.model import Model
from inference.registry import Registry

ROOT = Path(__file__).resolve().parent.parent
log = logging.getLogger(__name__)

# What a shard gets of this process's environment; the rest is none of its business.
_PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "PGSSLROOTCERT")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def prepare(registry: Registry, model: Model) -> Path:
    """Fetch the model's files and make its environment; returns the interpreter. Quick the second time."""
    artifact.ensure(registry, model.version, model.artifact.digest)
    return environment.ensure(
        model.artifact.python_version,
        model.artifact.requirements,
        state.folder(),
        ROOT / "inference" / "requirements.txt",
        log.info,
    )


def run(
    databases: Databases, registry: Registry, job: Job, model: Model, run_id: int, generation: int, shard: int
) -> None:
    """Run one shard to its end. Raises what its exit code says, with the last line of its log."""
    python = prepare(registry, model)
    command = [str(python), "-m", "inference", "shard"]
    command += ["--run", str(run_id), "--generation", str(generation), "--shard", str(shard)]
    names = {PREDICTIONS, job.source.connection}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**_environment(job), **databases.environment(*names)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    restore = _pass_on_signals(process)
    try:
        last = _follow(process)
    finally:
        restore()
        if process.poll() is None:
            process.terminate()
            process.wait()
    _judge(process.returncode, f"run {run_id} shard {shard}", last)


def _environment(job: Job) -> dict[str, str]:
    passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
    passed |= {name: value for name, value in os.environ.items() if name.startswith("OPENBLAS_")}
    passed |= {name: str(job.resources.threads) for name in _THREADS}
    return {
        **passed,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "INFERENCE_STATE": str(state.folder()),
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": str(job.model.allow_pickle).lower(),
        "MLFLOW_DISABLE_SCHEMA_DETAILS": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def _pass_on_signals(process: subprocess.Popen[str]):  # type: ignore[no-untyped-def]
    """SIGTERM to this process goes to the shard, which finishes its chunk; returns a function that restores."""
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    return lambda: signal.signal(signal.SIGTERM, before)


def _follow(process: subprocess.Popen[str]) -> str:
    """Pass the shard's output to the log line by line; returns its last error, or its last line."""
    last = error = ""
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            last = line.rstrip() or last
            if last.startswith("error: "):
                error = last.removeprefix("error: ")
            log.info("%s", line.rstrip())
    process.wait()
    return error or last


def _judge(code: int, what: str, last: str) -> None:
    if code == 0:
        return
    if code in BY_EXIT_CODE:
        raise BY_EXIT_CODE[code](last)
    if code == -signal.SIGKILL:
        raise RetryableError(f"{what}: its process was killed (SIGKILL): by somebody, or for want of memory. {last}")
    if code < 0:
        raise RetryableError(f"{what}: its process died by {signal.Signals(-code).name}. {last}")
    raise RetryableError(f"{what}: its process ended with exit code {code}. {last}")


RUNNERS = {"venv": run}
