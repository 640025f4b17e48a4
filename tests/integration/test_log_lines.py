"""Lines of logs as JSON: each says which job, run and shard it is about, whoever wrote it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from inference.base.database import Databases
from services.mlflow_server import MlflowServer
from tests.integration.test_secrets import register
from tests.stub import create_messages, job, sql

ROOT = Path(__file__).parents[2]
SHARD = """#!{interpreter}
import sys
sys.path.insert(0, {root!r})
from inference.shard import command as shard_command, shard
from tests.stub import Digest

print("a model prints what it likes")
print('{{"and": "this as well"}}', flush=True)
shard_command.load = lambda work: shard_command.log_lines.note_process(job=work.job) or Digest()
if sys.argv[-1] == {broken!r}:
    shard_command.shard.run = lambda *_: 1 / 0
sys.exit(shard_command.main(sys.argv[4:]))
"""
COMMAND = """
import sys
from pathlib import Path
from inference.cli import app as cli
from inference.runners import venv
venv.prepare = lambda registry, model: Path({interpreter!r})
sys.argv = ["inference", *sys.argv[1:]]
sys.exit(cli.main())
"""


class CommandLine:
    """`python -m inference` with a stub model, in a process of its own."""

    def __init__(self, databases: Databases, server: MlflowServer, folder: Path, broken: str) -> None:
        (folder / "jobs").mkdir()
        (folder / "jobs" / "intent.yaml").write_text(
            job(runner="venv", sizes__shard_rows=100).model_dump_json(by_alias=True)
        )
        self.interpreter = folder / "python"
        self.interpreter.write_text(SHARD.format(interpreter=sys.executable, broken=broken, root=str(ROOT)))
        self.interpreter.chmod(0o755)
        self.environment = {
            **os.environ, **server.env(), **databases.environment("predictions"), "PYTHONPATH": str(ROOT),
            "INFERENCE_JOBS": str(folder / "jobs"), "INFERENCE_STATE": str(folder / "state"),
        }  # fmt: skip

    def __call__(self, *arguments: str, form: str = "json") -> subprocess.CompletedProcess[str]:
        code = COMMAND.format(interpreter=str(self.interpreter))
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code, *arguments], capture_output=True, text=True, check=False,
            env={**self.environment, "INFERENCE_LOG": form}, cwd=ROOT,
        )  # fmt: skip


@pytest.fixture
def run(
    request: pytest.FixtureRequest, databases: Databases, mlflow_server: MlflowServer, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> CommandLine:  # fmt: skip
    for name, value in mlflow_server.env().items():
        monkeypatch.setenv(name, value)
    register(databases)
    create_messages(databases, [f"message {number}" for number in range(250)])
    return CommandLine(databases, mlflow_server, tmp_path, getattr(request, "param", "none"))


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def about(line: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(line.get(name) for name in ("level", "job", "run", "shard"))


def test_each_line_of_a_run_says_what_it_is_about(run: CommandLine) -> None:
    done = run("run", "intent")

    assert done.returncode == 0, done.stderr
    found = lines(done.stderr)
    for line in found:
        datetime.fromisoformat(line["time"])
    shards = {number: [line for line in found if line.get("shard") == number] for number in (1, 2, 3)}
    assert sum(map(len, shards.values())) == len(found) - 2  # planned, checked
    for number, said in shards.items():
        assert [about(line) for line in said] == [("info", "intent", 1, number)] * 3
        assert [line["message"] for line in said[:2]] == ["a model prints what it likes", '{"and": "this as well"}']
        assert said[2]["message"].startswith(f"run 1 shard {number}: ")
    assert {about(line) for line in found if "shard" not in line} == {("info", "intent", 1, None)}
    assert done.stdout.startswith("run 1 is published")


@pytest.mark.parametrize("run", ["2"], indirect=True)
def test_what_fails_says_so_in_one_line_with_its_stack_trace_beside_it(run: CommandLine) -> None:
    done = run("run", "intent")

    assert done.returncode == 75
    found = lines(done.stderr)
    (failed,) = [line for line in found if about(line) == ("error", "intent", 1, 2)]
    assert failed["message"] == "error: ZeroDivisionError: division by zero"
    assert found[-1]["message"] == "error: ZeroDivisionError: division by zero"
    assert about(found[-1]) == ("error", "intent", 1, None)


def test_a_shards_own_output_has_the_same_form(run: CommandLine, databases: Databases) -> None:
    run("plan", "intent")
    arguments = ["shard", "--run", "1", "--generation", "1", "--shard", "2"]

    done = subprocess.run(
        [run.interpreter, "-m", "inference", *arguments], capture_output=True, text=True, check=True, cwd=ROOT,
        env={**run.environment, "INFERENCE_LOG": "json"},
    )  # fmt: skip

    (line,) = [
        json.loads(line) for line in done.stdout.splitlines() if "message" in line and line.startswith('{"time"')
    ]
    assert about(line) == ("info", "intent", 1, 2)
    assert sql(databases, "SELECT shard FROM prediction.shard WHERE cursor = last_ordinal") == [(2,)]


def test_plain_lines_are_the_default_and_another_word_is_refused(run: CommandLine) -> None:
    plain = run("run", "intent", form="")
    wrong = run("status", form="xml")

    assert plain.returncode == 0
    assert plain.stderr.startswith("run 1: planned: 250 rows in 3 shards by intent version ")
    assert (wrong.returncode, wrong.stderr) == (65, "error: INFERENCE_LOG: 'xml' is neither `plain` nor `json`\n")
