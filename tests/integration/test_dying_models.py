"""A model that ends its own process: the row that it dies on is found, and the others are scored."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from inference.base.database import Databases
from inference.base.root import ROOT
from inference.errors import PermanentError, ProcessDied, RetryableError
from inference.models.mlflow_rest import Registry
from inference.planning.plan import Planned
from inference.runners import deaths, runner, venv
from tests.dying_process import DEATHS
from tests.stub import Pipeline, counts, create_messages, digest, job, predictions, sql

ROWS, CHUNK, BATCH = 60, 20, 8


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The runner `venv`, with the stub's process in place of the model's environment."""
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\nshift 2\ncd {ROOT}\nPYTHONPATH={ROOT} exec {sys.executable} -m tests.dying_process "$@"\n'
    )
    python.chmod(0o755)
    monkeypatch.setattr(venv, "prepare", lambda registry, model: python)


def planned(databases: Databases, texts: dict[int, str], **changes: object) -> tuple[Pipeline, Planned]:
    create_messages(databases, [texts.get(number, f"message {number}") for number in range(1, ROWS + 1)])
    sizes = {"chunk_rows": CHUNK, "batch_rows": BATCH}
    pipeline = Pipeline(databases, job(cost="1", sizes=sizes, timeouts={"batch": "2s"}, **changes))
    return pipeline, pipeline.plan()


def predict(databases: Databases, run: Planned) -> None:
    runner.run(databases, Registry("http://127.0.0.1:9"), run.run_id, run.generation, 1)


SAID = {
    "leave a child": "its process ended with exit code 4",
    "segfault": "its process died by SIGSEGV",
    "exit 3": "its process ended with exit code 3",
    "exit 0": "its process ended with exit code 0 before its work was done",
    "sys.exit": "the model called sys.exit(65)",
    "sleep": "the model took longer than timeouts.batch for one call",
    "backtrack": "the model took longer than timeouts.batch for one call",
}


@pytest.mark.usefixtures("dying")
@pytest.mark.parametrize("death", DEATHS)
def test_the_row_that_a_process_dies_on_is_quarantined_and_the_others_are_scored(
    databases: Databases, death: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    pipeline, run = planned(databases, {30: death})

    predict(databases, run)

    left = [psutil.Process(int(number)) for number in re.findall(r"child (\d+)$", caplog.text, re.MULTILINE)]
    assert len(left) == (3 if death == "leave a child" else 0)
    for child in left:  # nobody waited for them
        child.kill()
    assert pipeline.finish(run) == "published"
    assert counts(databases, run.run_id) == {"planned": ROWS, "predicted": ROWS - 1, "quarantined": 1}
    ((key, error, message),) = sql(databases, "SELECT key, error, message FROM prediction.quarantine")
    assert (key, error) == (["30"], "BadOutput" if death == "sys.exit" else "ProcessDied")
    assert SAID[death] in message
    assert {key: row["digest"] for key, row in predictions(databases).items()} == {
        number: digest(f"message {number}") for number in range(1, ROWS + 1) if number != 30
    }
    ((died, attempts),) = sql(databases, "SELECT deaths, attempt FROM prediction.shard")
    assert (died, attempts) == ((0, 1) if death == "sys.exit" else (3, 4))
    if death != "sys.exit":
        assert "The next attempt notes what it calls the model with" in caplog.text
        assert "The next attempt tries the 8 rows from ordinal 29 on one by one" in caplog.text
        assert "It did so on ordinal 30 alone, which goes into quarantine" in caplog.text
    if death == "backtrack":  # where the model hangs stands in the log
        assert "Timeout (0:00:02" in caplog.text
        assert "in match" in caplog.text
    assert pipeline.run().planned == 0


@pytest.mark.usefixtures("dying")
def test_several_culprits_side_by_side_and_apart(databases: Databases) -> None:
    culprits = (1, 2, 60)
    pipeline, run = planned(databases, dict.fromkeys(culprits, "segfault"))

    predict(databases, run)

    assert pipeline.finish(run) == "published"
    assert {key[0] for (key,) in sql(databases, "SELECT key FROM prediction.quarantine")} == {"1", "2", "60"}
    assert set(predictions(databases)) == set(range(1, ROWS + 1)) - set(culprits)


@pytest.mark.usefixtures("dying")
def test_a_model_that_dies_on_every_row_fails_the_run_and_silences_nothing(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deaths, "MOST", 2)
    pipeline, run = planned(databases, {number: f"exit 3 {number}" for number in range(1, ROWS + 1)})

    with pytest.raises(PermanentError, match=r"exit code 3.* So it did on 3 rows, each by itself: it is the model"):
        predict(databases, run)

    with pytest.raises(PermanentError, match="shards 1 are not done"):
        pipeline.finish(run)
    assert sql(databases, "SELECT FROM prediction.quarantine") == []


def test_a_process_that_dies_before_it_scores_is_no_fault_of_a_row(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho nothing here; exit 7\n")
    python.chmod(0o755)
    monkeypatch.setattr(venv, "prepare", lambda registry, model: python)
    _, run = planned(databases, {})

    with pytest.raises(ProcessDied, match=r"run 1 shard 1: its process ended with exit code 7\. nothing here"):
        predict(databases, run)
    assert sql(databases, "SELECT deaths, culprits FROM prediction.shard") == [(2, {})]


def test_a_process_that_somebody_kills_is_tried_again_and_blames_no_row(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nkill -KILL $$\n")
    python.chmod(0o755)
    monkeypatch.setattr(venv, "prepare", lambda registry, model: python)
    _, run = planned(databases, {})

    with pytest.raises(RetryableError, match="SIGKILL") as caught:
        predict(databases, run)
    assert not isinstance(caught.value, ProcessDied)
    assert sql(databases, "SELECT deaths, culprits FROM prediction.shard") == [(0, {})]
