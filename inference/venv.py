"""Runner `venv`: each shard in a process of the virtual environment that the model was logged with."""

from __future__ import annotations

import logging
import os
import subprocess
from pathlib import Path

from inference import artifact, environment, state
from inference.database import PREDICTIONS, Databases
from inference.job import Job
from inference.model import Model
from inference.process import arguments, follow, judge, on_sigterm, settings
from inference.registry import Registry

ROOT = Path(__file__).resolve().parent.parent
log = logging.getLogger(__name__)

# What a shard gets of this process's environment; the rest is none of its business.
_PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "PGSSLROOTCERT")


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
    command = [str(python), "-m", "inference", *arguments(run_id, generation, shard)]
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
    passed |= {name: value for name, value in os.environ.items() if name.startswith("OPENBLAS_")}
    return {
        **passed,
        **settings(job),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "INFERENCE_STATE": str(state.folder()),
    }


def _follow(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    with process.stdout:
        last = follow(process.stdout)
    process.wait()
    return last
