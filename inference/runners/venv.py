"""Runner `venv`: each shard in a process of the virtual environment that the model was logged with."""

from __future__ import annotations

import logging
import os
import selectors
import subprocess
from collections.abc import Iterator
from pathlib import Path

from inference.base import state_folder
from inference.base.database import PREDICTIONS, Databases
from inference.base.root import ROOT
from inference.jobs.job import Job
from inference.models import artifact, environment, runtime
from inference.models.mlflow_rest import Registry
from inference.models.model_version import Model
from inference.runners.process import arguments, follow, judge, lines, on_sigterm, settings

LOOK = 1.0  # seconds between looks whether a process that says nothing is still there
log = logging.getLogger(__name__)

# What a shard gets of this process's environment; the rest is none of its business.
_PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "PGSSLROOTCERT")


def prepare(registry: Registry, model: Model) -> Path:
    """Fetch the model's files and make its environment; returns the interpreter. Quick the second time."""
    artifact.ensure(registry, model.version, model.artifact.digest)
    return environment.ensure(
        model.artifact.python_version,
        model.artifact.requirements,
        state_folder.folder(),
        ROOT / "inference" / "requirements.txt",
        log.info,
    )


def run(
    databases: Databases, registry: Registry, job: Job, model: Model, run_id: int, generation: int, shard: int
) -> None:
    """Run one shard to its end. Raises what its exit code says, with the last line of its log."""
    python = prepare(registry, model)
    command = [str(python), "-m", runtime.PACKAGE, *arguments(run_id, generation, shard)]
    names = {PREDICTIONS, job.source.connection}
    process = subprocess.Popen(
        command,
        cwd=runtime.folder(),  # `-m` makes this importable, and nothing else beside the model shall be
        env={**_environment(job), **databases.environment(*names)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
    )
    with on_sigterm(process.terminate):
        try:
            last = _follow(process)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    judge(process.returncode, f"run {run_id} shard {shard}", last)


def _environment(job: Job) -> dict[str, str]:
    passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
    # What libpq goes by where an address is silent, but for a password: a shard may have another role's.
    passed |= {name: value for name, value in os.environ.items() if name.startswith(("OPENBLAS_", "PG"))}
    passed.pop("PGPASSWORD", None)
    return {
        **passed,
        **job.model.environment.passed(),
        **settings(job),
        "PYTHONPATH": str(runtime.folder()),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "INFERENCE_STATE": str(state_folder.folder().absolute()),
    }


def _follow(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    with process.stdout:
        last = follow(lines(_chunks(process)))
    process.wait()
    return last


def _chunks(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """What a process writes, until it ends: a child that its model has left behind may keep the pipe open for ever."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            ended = process.poll() is not None
            if selector.select(0 if ended else LOOK):
                chunk = process.stdout.read(65536)
                if not chunk:
                    return
                yield chunk
            elif ended:
                return
