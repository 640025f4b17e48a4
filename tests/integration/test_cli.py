"""The command line: what it prints, and the exit codes that scripts go by."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer.main
import yaml

from inference.base.database import Databases
from inference.cli import app
from tests.stub import Digest, Pipeline, create_messages, job, predictions, run_row, sql

ROOT = Path(__file__).parents[2]
JOBS = ROOT / "dags" / "jobs"


@dataclass
class Ended:
    code: int
    out: str
    err: str


class CommandLine:
    """`python -m inference ...` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch, self._captured = monkeypatch, capsys

    def __call__(self, *arguments: str) -> Ended:
        self._patch.setattr(sys, "argv", ["inference", *arguments])
        self._captured.readouterr()
        try:
            code: Any = app.main()
        except SystemExit as leave:
            code = leave.code or 0
        found = self._captured.readouterr()
        return Ended(code, found.out, found.err)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line without any connection."""
    for name in ("AIRFLOW_CONN_PREDICTIONS", "MLFLOW_TRACKING_URI", "INFERENCE_JOBS"):
        monkeypatch.delenv(name, raising=False)
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def connected(run: CommandLine, monkeypatch: pytest.MonkeyPatch, databases: Databases) -> CommandLine:
    """The command line with the test's database."""
    monkeypatch.setenv("AIRFLOW_CONN_PREDICTIONS", databases.url("predictions").render_as_string(False))
    return run


def commands(group: Any, path: tuple[str, ...] = ()) -> dict[str, Any]:
    """All commands by their words."""
    if not hasattr(group, "commands"):
        return {" ".join(path): group}
    found: dict[str, Any] = {" ".join(path): group} if group.invoke_without_command else {}
    for name, command in group.commands.items():
        found |= commands(command, (*path, name))
    return found


COMMANDS = commands(typer.main.get_command(app.app))


@pytest.mark.parametrize("words", sorted(COMMANDS))
def test_a_command_has_help_with_an_example_of_itself(run: CommandLine, words: str) -> None:
    ended = run(*words.split(), "--help")

    assert (ended.code, ended.err) == (0, "")
    command = COMMANDS[words]
    assert len((command.help or "").split()) >= 4
    assert (command.epilog or "").startswith(f"Example: python -m inference {words}")
    assert f"Example: python -m inference {words}" in " ".join(ended.out.split())


def test_the_readme_lists_the_commands() -> None:
    listed = re.search(r"`python -m inference --help` lists (.+?)\.\n", (ROOT / "README.md").read_text(), re.DOTALL)
    assert listed is not None
    assert sorted(name for item in re.findall(r"`([^`]+)`", listed[1]) for name in expanded(item)) == sorted(COMMANDS)


def expanded(item: str) -> list[str]:
    """`quarantine list|drop` as its two commands."""
    *first, last = item.split()
    return [" ".join([*first, choice]) for choice in last.split("|")]


def test_an_example_is_one_that_its_command_understands() -> None:
    for words, command in COMMANDS.items():
        if words == "shard":  # it runs apart from typer, in the model's environment
            continue
        example = (command.epilog or "").removeprefix(f"Example: python -m inference {words}").split(">")[0].split()
        context = command.make_context(words, list(example), resilient_parsing=False)
        context.close()


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["status", "--limit", "many"], ["check"], ["release", "seventeen"], ["jobs", "--nope"],
     ["jobs", "--folder", "/nowhere"], ["run", "intent", "--row-limit", "0"], ["run", "nobody"],
     ["plan", "intent", "--mode", "all"], ["quarantine", "drop", "intent"],
     ["quarantine", "replay", "intent", "--all", "--key", "1"], ["models", "register", "docs", "--name", "x"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_ends_with_2_and_says_why_without_a_stack_trace(run: CommandLine, arguments: list[str]) -> None:
    ended = run(*arguments)

    assert (ended.code, ended.out) == (2, "")
    assert re.search("error: ", ended.err, re.IGNORECASE)
    assert "Traceback" not in ended.err


def test_without_arguments_the_commands_are_listed(run: CommandLine) -> None:
    ended = run()

    assert all(re.search(rf"^  {words.split()[0]} ", ended.out + ended.err, re.MULTILINE) for words in COMMANDS)


@pytest.mark.parametrize(
    "arguments", [["status"], ["db", "upgrade"], ["check", "1"], ["quarantine", "list"], ["run", "intent"]]
)
def test_a_connection_without_an_address_ends_with_65_and_the_variables_name(
    run: CommandLine, arguments: list[str]
) -> None:
    ended = run(*arguments)

    assert ended == Ended(
        65, "", "error: connection 'predictions': no address. Set AIRFLOW_CONN_PREDICTIONS=postgresql://user:password@"
                "host/database, or add a connection 'predictions' in Airflow.\n"
    )  # fmt: skip


@pytest.mark.parametrize("address", ["mysql://boss:geheim@host/x", "postgresql//boss:geheim@host", "geheim"])
def test_an_address_that_is_none_of_postgres_ends_with_65_and_is_not_repeated(
    run: CommandLine, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PREDICTIONS", address)

    ended = run("status")

    assert ended == Ended(
        65, "", "error: connection 'predictions': its address is not one of PostgreSQL. Write "
                "postgresql://user:password@host:port/database.\n"
    )  # fmt: skip


def test_a_database_that_does_not_answer_ends_with_75_and_no_password(databases: Databases) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    for url, cause in (
        (f"postgresql://boss:geheim@127.0.0.1:{port}/company", "refused"),
        (databases.url("predictions").set(password="geheim").render_as_string(False), "password authentication failed"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "inference", "status"], cwd=ROOT, capture_output=True, text=True, check=False,
            env={**os.environ, "AIRFLOW_CONN_PREDICTIONS": url},
        )  # fmt: skip

        assert (done.returncode, done.stdout) == (75, "")
        assert re.fullmatch(
            rf"error: connection 'predictions' \(127\.0\.0\.1:\d+/\w+\) does not answer: .*{cause}.*\n", done.stderr
        )
        assert "geheim" not in done.stderr


def test_a_bug_ends_with_1_and_its_stack_trace(monkeypatch: pytest.MonkeyPatch, connected: CommandLine) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(app.status, "runs", broken)

    with pytest.raises(ZeroDivisionError, match="a bug"):
        connected("status")


def test_db_upgrade_says_what_it_did(connected: CommandLine) -> None:
    assert connected("db", "upgrade") == Ended(0, "the schema is up to date\n", "")


# jobs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One job file, `sentiment`."""
    content = (JOBS / "intent.yaml").read_text().replace("name: intent", "name: sentiment", 1)
    (tmp_path / "sentiment.yaml").write_text(content)
    return tmp_path


def test_jobs_lists_the_files(run: CommandLine, folder: Path) -> None:
    ended = run("jobs", "--folder", str(folder))

    assert (ended.code, ended.err) == (0, "")
    header, line = ended.out.splitlines()
    assert header.split() == ["job", "schedule", "model", "owner", "description"]
    assert re.split(r" {2,}", line.strip()) == [
        "sentiment", "*/2 * * * *", "intent@champion", "messages", "The intent of each message that reached us."
    ]  # fmt: skip
    ended = run("jobs", "--json", "--folder", str(folder))
    assert json.loads(ended.out) == [
        {"job": "sentiment", "schedule": "*/2 * * * *", "model": "intent@champion", "owner": "messages",
         "description": "The intent of each message that reached us."}
    ]  # fmt: skip


def test_jobs_names_every_error_of_every_wrong_file_and_ends_with_2(run: CommandLine, folder: Path) -> None:
    content = (folder / "sentiment.yaml").read_text().replace("name: sentiment", "name: wrong", 1)
    (folder / "wrong.yaml").write_text(content.replace("10min", "soon") + "colour: red\n")
    (folder / "broken.yaml").write_text("name: [")

    ended = run("jobs", "--json", "--folder", str(folder))

    assert (ended.code, [row["job"] for row in json.loads(ended.out)]) == (2, ["sentiment"])
    assert ended.err.startswith("error: broken.yaml: not YAML in UTF-8: ")
    assert "error: wrong.yaml: 2 error(s)\n" in ended.err
    assert "  source.lookback: 'soon': not a duration" in ended.err
    assert "  colour: is no field of a job file; the fields are in docs/job-file.md\n" in ended.err


def test_the_json_schema_accepts_the_job_files_and_refuses_an_unknown_field(run: CommandLine) -> None:
    schema = json.loads(run("jobs", "--schema").out)
    checker = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    checker.check_schema(schema)
    validator = checker(schema)

    for path in JOBS.glob("*.yaml"):
        content = yaml.safe_load(path.read_text())
        assert list(validator.iter_errors(content)) == []
        for wrong in ({**content, "colour": "red"}, {**content, "source": {**content["source"], "colour": "red"}}):
            (error,) = validator.iter_errors(wrong)
            assert "'colour' was unexpected" in error.message
        del content["model"]
        assert [error.message for error in validator.iter_errors(content)] == ["'model' is a required property"]


def test_jobs_lists_a_removed_job_and_drop_takes_all_that_it_left(
    connected: CommandLine, databases: Databases, folder: Path
) -> None:
    create_messages(databases, ["a", "bad", "c"])
    stub = Pipeline(databases, job(history="append"), Digest(lambda text: text == "bad"))
    stub.run()
    stub.plan(mode="key_range", key_from="1")  # open, with its work tables

    other = Pipeline(databases, job(name="other"))
    other.run()
    (folder / "other.yaml").write_text((folder / "sentiment.yaml").read_text().replace("sentiment", "other"))

    listed = json.loads(connected("jobs", "--json", "--folder", str(folder)).out)
    assert [row["job"] for row in listed] == ["other", "sentiment", "intent"]
    assert listed[-1] == {"job": "intent", "description": "removed: no job file; --drop drops its tables"}

    ended = connected("jobs", "--drop", "intent", "--folder", str(folder))

    assert ended == Ended(0, "dropped what job 'intent' had left\n", "")
    relations = sql(databases, "SELECT relname FROM pg_class WHERE relnamespace::regnamespace::text ~ '^prediction' "
                               "AND relkind IN ('r', 'v') AND relname ~ '^(intent|other|work|result|gone)' "
                               "ORDER BY relname")  # fmt: skip
    assert relations == [("other",), ("other__blue",), ("other__current",)]
    for table in ("run", "quarantine"):
        assert sql(databases, f"SELECT FROM prediction.{table} WHERE job = 'intent'") == []
    assert sql(databases, "SELECT name FROM prediction.job") == [("other",)]
    assert len(predictions(databases, "prediction.other")) == 3
    again = connected("jobs", "--drop", "intent", "--folder", str(folder))
    assert again == Ended(2, "", "error: job 'intent' has no tables; those that have: other\n")


@pytest.mark.parametrize("wrong", [False, True], ids=["right", "wrong"])
def test_drop_refuses_a_job_that_has_a_file(
    connected: CommandLine, databases: Databases, folder: Path, wrong: bool
) -> None:
    create_messages(databases, ["a"])
    Pipeline(databases, job(name="sentiment")).run()
    path = folder / "sentiment.yaml"
    if wrong:
        path.write_text(path.read_text() + "colour: red\n")

    ended = connected("jobs", "--drop", "sentiment", "--folder", str(folder))

    assert ended == Ended(2, "", f"error: job 'sentiment' has a job file; remove {path} first\n")
    assert len(predictions(databases, "prediction.sentiment")) == 1
    assert "removed" not in connected("jobs", "--folder", str(folder)).out


# status and quarantine


def test_status_shows_jobs_and_runs(connected: CommandLine, databases: Databases) -> None:
    assert json.loads(connected("status", "--json").out) == {"jobs": [], "runs": []}
    assert connected("status") == Ended(0, "none\nnone\n", "")
    create_messages(databases, ["a", "bad", "c"])
    stub = Pipeline(databases, None, Digest(lambda text: text == "bad"))
    first = stub.run()
    second = stub.run()

    ended = connected("status", "intent", "--json")

    found = json.loads(ended.out)
    (row,) = found["jobs"]
    known = {"job": "intent", "last_run": second.run_id, "last_state": "empty", "pending": 0, "quarantined": 1,
             "published_run": first.run_id, "model_name": "intent", "model_version": "1",
             "last_message": "nothing is pending"}  # fmt: skip
    assert {name: row[name] for name in known} == known
    assert 0 <= row["age"] < 60
    runs = [
        (run["run_id"], run["state"], run["planned"], run["predicted"], run["quarantined"]) for run in found["runs"]
    ]
    assert runs == [(second.run_id, "empty", 0, 0, 0), (first.run_id, "published", 3, 2, 1)]
    assert json.loads(connected("status", "--limit", "1", "--json").out)["runs"] == found["runs"][:1]
    assert json.loads(connected("status", "nobody", "--json").out) == {"jobs": [], "runs": []}
    text = connected("status").out
    assert re.search(r"^intent +\d+ +empty +0 +1 .* intent +1 +nothing is pending", text, re.MULTILINE)


@pytest.fixture
def quarantined(databases: Databases) -> Pipeline:
    """A job with three rows in quarantine: 2, 3 and 5; brackets and colons are text to people too."""
    create_messages(databases, ["a", "[/bad] :smile:", "[bold]bad", "d", "bad"])
    stub = Pipeline(databases, job(checks={"max_quarantine_rate": 1}), Digest(lambda text: "bad" in text))
    stub.run()
    return stub


def keys(databases: Databases, state: str) -> list[str]:
    found = sql(databases, "SELECT key[1] FROM prediction.quarantine WHERE state = :state ORDER BY 1", state=state)
    return [key for (key,) in found]


def test_quarantine_list_shows_rows_and_errors_as_they_are(
    connected: CommandLine, quarantined: Pipeline, databases: Databases
) -> None:
    ended = connected("quarantine", "list", "--json")

    found = {row["key"][0]: row for row in json.loads(ended.out)}
    assert {key: row["message"] for key, row in found.items()} == {
        "2": "cannot score '[/bad] :smile:'", "3": "cannot score '[bold]bad'", "5": "cannot score 'bad'"
    }  # fmt: skip
    assert {(row["job"], row["error"], row["state"], row["model_version"]) for row in found.values()} == {
        ("intent", "ValueError", "open", "1")
    }
    text = connected("quarantine", "list", "intent")
    assert (text.code, text.err) == (0, "")
    assert all(row["message"] in text.out for row in found.values())
    assert len(json.loads(connected("quarantine", "list", "--limit", "2", "--json").out)) == 2
    assert connected("quarantine", "list", "nobody") == Ended(0, "none\n", "")


def test_quarantine_replay_marks_entries_that_the_next_run_tries(
    connected: CommandLine, quarantined: Pipeline, databases: Databases
) -> None:
    ended = connected("quarantine", "replay", "intent", "--key", "2", "--key", "5", "--key", "99")

    said = "2 entries marked; the next run of intent tries them (at once: run intent --mode replay)\n"
    assert ended == Ended(0, said, "")
    assert (keys(databases, "replay"), keys(databases, "open")) == (["2", "5"], ["3"])
    quarantined.predictor = Digest()
    quarantined.run()
    assert (keys(databases, "resolved"), keys(databases, "open")) == (["2", "5"], ["3"])
    assert set(predictions(databases)) == {1, 2, 4, 5}
    assert connected("quarantine", "replay", "intent", "--all").out.startswith("1 entries marked")


def test_quarantine_drop_forgets_entries_whose_rows_are_pending_again(
    connected: CommandLine, quarantined: Pipeline, databases: Databases
) -> None:
    assert connected("quarantine", "drop", "intent", "--key", "3") == Ended(0, "1 entries dropped\n", "")
    assert keys(databases, "open") == ["2", "5"]
    assert quarantined.plan().planned == 1

    assert connected("quarantine", "drop", "intent", "--all") == Ended(0, "2 entries dropped\n", "")
    assert keys(databases, "open") == []
    assert connected("quarantine", "drop", "intent", "--all") == Ended(0, "0 entries dropped\n", "")


# held runs


def held(databases: Databases) -> tuple[Pipeline, int]:
    create_messages(databases, ["a", "b"])
    stub = Pipeline(databases)
    planned = stub.plan(publish="hold")
    stub.predict(planned)
    assert stub.finish(planned) == "held"
    return stub, planned.run_id


def test_release_publishes_a_held_run(connected: CommandLine, databases: Databases) -> None:
    _, number = held(databases)
    assert predictions(databases) == {}

    ended = connected("release", str(number))

    message = "2 rows in 1 shards by intent version 1; predicted 2"
    assert ended == Ended(0, f"run {number} is published: {message}\n", "")
    assert set(predictions(databases)) == {1, 2}
    again = connected("release", str(number))
    said = f"error: run {number} is published; only a held run can be released or discarded\n"
    assert again == Ended(2, "", said)


def test_release_of_a_run_that_was_too_large_allows_the_next_one(connected: CommandLine, databases: Databases) -> None:
    create_messages(databases, ["a", "b", "c"])
    stub = Pipeline(databases, job(max_planned_rows=2))
    with pytest.raises(app.InferenceError, match="3 rows are pending, above max_planned_rows 2"):
        stub.plan()
    ((number,),) = sql(databases, "SELECT run_id FROM prediction.run")

    ended = connected("release", str(number))

    assert ended == Ended(0, f"run {number} is released: the next run of intent may plan 3 rows\n", "")
    stub.run()
    assert set(predictions(databases)) == {1, 2, 3}


def test_discard_ends_a_held_run_and_its_rows_are_pending_again(connected: CommandLine, databases: Databases) -> None:
    stub, number = held(databases)

    ended = connected("discard", str(number))

    assert ended == Ended(0, f"run {number} is discarded: its rows are pending again\n", "")
    row = run_row(databases, number)
    assert (row["state"], row["message"].partition(":")[0], predictions(databases)) == ("failed", "discarded", {})
    assert connected("discard", str(number)).code == 2
    assert stub.plan().planned == 2


def test_a_run_that_there_is_not_ends_with_65(connected: CommandLine) -> None:
    for command in ("check", "publish", "release", "discard"):
        assert connected(command, "99") == Ended(
            65, "", "error: there is no run 99; python -m inference status shows the latest\n"
        )


def test_check_and_publish_go_on_where_plan_and_shards_ended(
    connected: CommandLine, databases: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    create_messages(databases, ["a", "b"])
    stub = Pipeline(databases)
    planned = stub.plan()
    early = connected("check", str(planned.run_id))
    assert (early.code, early.out) == (65, "")
    assert early.err.startswith(f"error: run {planned.run_id}: shards 1 are not done; see their logs")
    stub.predict(planned)

    message = "2 rows in 1 shards by intent version 1; predicted 2"
    assert connected("check", str(planned.run_id)) == Ended(0, f"{message}\n", "")
    ended = connected("publish", str(planned.run_id))

    # Published although MLflow has no address: the report is a warning.
    assert ended == Ended(0, f"run {planned.run_id} is published: {message}\n", "")
    assert "is published, but not reported to MLflow" in caplog.text
    assert set(predictions(databases)) == {1, 2}
