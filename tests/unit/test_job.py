"""A wrong job file is answered with file, field, value and what is allowed; nothing in a right one is SQL."""

from __future__ import annotations

import datetime
import math
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from inference.errors import JobError
from inference.jobs.field_types import TAKEN
from inference.jobs.job import Job, load, load_all
from inference.runners.process import settings
from tests.stub import job

RIGHT: dict[str, Any] = {
    "name": "intent",
    "description": "What customers want",
    "owner": "support",
    "source": {"relation": "message", "key": ["id"], "inputs": ["text"]},
    "model": {"name": "intent"},
}

# Field, a value that is wrong, and what the answer says. None: the field is left out.
WRONG: list[tuple[str, Any, str]] = [
    ("name", None, "name: is missing"),
    ("name", "Intent", "name: 'Intent': String should match pattern"),
    ("name", "intent; drop", "name: 'intent; drop': String should match pattern"),
    ("name", "intent\n", "name: 'intent\\n': String should match pattern"),
    ("name", "a" * 41, "String should match pattern"),
    ("name", "other", "name: 'other' must be the file's name, 'intent'"),
    ("description", "", "description: '': String should have at least 1 character"),
    ("description", 5, 'description: write "5" in quotes: YAML reads it as 5'),
    ("owner", "a\0b", "owner: 'a\\x00b': contains a NUL character"),
    ("owner", "\ud800", "owner: '\\ud800': Input should be a valid string"),
    ("tags", "one", "tags: 'one': Input should be a valid tuple"),
    ("source", None, "source: is missing"),
    ("source", "message", "source: 'message': Input should be a valid dictionary"),
    ("source.relation", None, "source.relation: is missing"),
    ("source.relation", "x" * 64, "longer than 63 bytes, which Postgres would cut"),
    ("source.relation", "한" * 22, "longer than 63 bytes"),
    ("source.relation", "a\0", "contains a NUL character"),
    ("source.schema", "", "source.schema: '': String should have at least 1 character"),
    ("source.connection", "My-DB", "source.connection: 'My-DB': String should match pattern"),
    ("source.connection", "x'; --", "String should match pattern"),
    ("source.key", [], "source.key: []: Tuple should have at least 1 item"),
    ("source.key", "id", "source.key: 'id': Input should be a valid tuple"),
    ("source.key", ["id", "id"], "source: key: 'id' is listed twice"),
    ("source.inputs", ["text", "text"], "source: inputs: 'text' is listed twice"),
    ("source.inputs", [1], 'source.inputs.0: write "1" in quotes: YAML reads it as 1'),
    ("source.where", "id IN (SELECT 1)", "source.where: 'id IN (SELECT 1)': a subselect is not allowed"),
    ("source.where", "true; DROP TABLE x", "'true; DROP TABLE x': is not one closed expression: syntax error"),
    ("source.where", "", "source.where: '': String should have at least 1 character"),
    ("source.lookback", "1 hour", "source.lookback: '1 hour': not a duration: a whole number with s, min, h or d"),
    ("source.lookback", 60, "source.lookback: 60: not a duration"),
    ("source.lookback", "99999d", "source.lookback: '99999d': longer than ten years"),
    ("source.sweep", "daily", "source.sweep: 'daily': not a cron expression of five fields"),
    ("source.sweep", "0 0 * * * *", "not a cron expression of five fields"),
    ("source.on_delete", "drop", "source.on_delete: 'drop': Input should be 'keep' or 'delete'"),
    ("source.max_delete_rate", 1.5, "source.max_delete_rate: 1.5: Input should be less than or equal to 1"),
    ("source.changes", "some", "source.changes: 'some': Input should be 'hash' or 'none'"),
    ("source.tabel", "x", "source.tabel: is no field of a job file; the fields are in docs/job-file.md"),
    ("model.alias", "a b", "model.alias: 'a b': an alias consists of letters, digits, underscores and hyphens"),
    ("model.alias", "3", "model.alias: '3': a bare number means a version, not an alias"),
    ("model.alias", "Latest", "model.alias: 'Latest': MLflow reserves `latest` and `v` with a number"),
    ("model.alias", "v12", "model.alias: 'v12': MLflow reserves `latest` and `v` with a number"),
    ("model.alias", "a" * 256, "String should have at most 255 characters"),
    ("model.environment", {"set": {"HF_TOKEN": "x"}}, "HF_TOKEN looks like the name of a secret, and a job file is no"),
    ("model.environment", {"set": {"DB_PASSWORD": "x"}}, "DB_PASSWORD looks like the name of a secret"),
    ("model.environment", {"set": {"OPENAI_API_KEY": "x"}}, "OPENAI_API_KEY looks like the name of a secret"),
    ("model.environment", {"set": {"HTTPS_PROXY": "http://me:pw@proxy:3128"}}, "the address holds a password"),
    ("model.environment", {"set": {"OMP_NUM_THREADS": "4"}}, "OMP_NUM_THREADS is set from resources.threads"),
    ("model.environment", {"set": {"PYTHONPATH": "/x"}}, "PYTHONPATH belongs to the pipeline"),
    ("model.environment", {"set": {"PGHOST": "/x"}}, "PGHOST belongs to the pipeline"),
    ("model.environment", {"set": {"mlflow_allow_pickle_deserialization": "true"}}, "belongs to the pipeline"),
    ("model.environment", {"set": {"two words": "x"}}, "String should match pattern"),
    ("model.environment", {"set": {"N": 3}}, 'model.environment.set.N: write "3" in quotes'),
    ("model.environment", {"pass": ["AIRFLOW_CONN_PREDICTIONS"]}, "AIRFLOW_CONN_PREDICTIONS belongs to the pipeline"),
    ("model.environment", {"keep": ["X"]}, "model.environment.keep: is no field of a job file"),
    ("model.outputs", ["a", "a"], "model: outputs: 'a' is listed twice"),
    ("model.nulls", "drop", "model.nulls: 'drop': Input should be 'quarantine' or 'nan'"),
    ("model.params", {"k": {"a": 1}}, "model.params.k: a parameter is true or false, a number, a text"),
    ("model.params", {"k": None}, "model.params.k: None: a parameter is true or false, a number, a text"),
    ("model.params", {"k": [1, math.inf]}, "model.params.k: [1, inf]: a parameter is a finite number"),
    ("model.params", {"k": datetime.date(2026, 1, 31)}, "a text (in quotes), or a list of those"),
    ("model.environment", {"set": {"A": "x"}, "pass": ["A"]}, "A is named twice: set it, or pass it on"),
    ("model.environment", {"set": {"A": "me:pw@host:1,b"}}, "set.A: the address holds a password"),
    ("source.inputs", [f"c{n}" for n in range(1501)], "characters): Tuple should have at most 1500 items"),
    ("model.on_new_version", "ask", "Input should be 'new_rows' or 'rescore'"),
    ("model.allow_pickle", "yes", "model.allow_pickle: 'yes': Input should be a valid boolean"),
    ("schedule.cron", "61 * * * *", "schedule.cron: '61 * * * *': not a cron expression"),
    ("schedule.cron", "@daily", "schedule.cron: '@daily': not a cron expression"),
    ("schedule.time_zone", "Seoul", "schedule.time_zone: 'Seoul': not a time zone of the IANA list"),
    ("schedule.time_zone", "../etc/passwd", "not a time zone of the IANA list"),
    ("sizes.shard_rows", 0, "sizes.shard_rows: 0: Input should be greater than or equal to 1"),
    ("sizes.shard_rows", "50000", "sizes.shard_rows: '50000': Input should be a valid integer"),
    ("sizes.chunk_bytes", 10, "sizes.chunk_bytes: 10: Input should be greater than or equal to 1024"),
    ("sizes.max_shards", 1001, "sizes.max_shards: 1001: Input should be less than or equal to 1000"),
    ("cost", "length(text", "cost: 'length(text': is not one closed expression: syntax error at end of input"),
    ("cost", 1, 'cost: write "1" in quotes: YAML reads it as 1'),
    ("owner", ["a"], "owner: ['a']: Input should be a valid string"),
    ("max_planned_rows", -1, "max_planned_rows: -1: Input should be greater than or equal to 1"),
    ("hold_timeout", "soon", "hold_timeout: 'soon': not a duration"),
    ("history", "all", "history: 'all': Input should be 'none' or 'append'"),
    ("checks.max_quarantine_rate", 2, "checks.max_quarantine_rate: 2: Input should be less than or equal to 1"),
    ("checks.outputs", {"x": {"minimum": 1}}, "checks.outputs.x.minimum: is no field of a job file"),
    ("checks.outputs", {"x": {"values": []}}, "checks.outputs.x.values"),
    ("runner", "ssh", "runner: 'ssh': Input should be 'venv'"),
    ("retries.count", -1, "retries.count: -1: Input should be greater than or equal to 0"),
    ("notify.on_failure", [{"notifier": "os; rm"}], "notify.on_failure.0.notifier: 'os; rm': String should match"),
    ("notify.max_age", "1w", "notify.max_age: '1w': not a duration"),
    ("notify.max_age", "١h", "notify.max_age: '١h': not a duration"),
    ("schedule.cron", "0 0 31 2 *", "schedule.cron: '0 0 31 2 *': never comes"),
    ("schedule.cron", "R 3 * * *", "schedule.cron: 'R 3 * * *': not a cron expression"),
    ("sizes.rows_per_second", 0.5, "sizes.rows_per_second: 0.5: Input should be greater than or equal to 1"),
    ("sizes.rows_per_second", float("inf"), "sizes.rows_per_second: inf: Input should be a finite number"),
    ("timeouts.batch", "0s", "timeouts.batch: '0s': must be longer than 0, which would mean no limit"),
    ("timeouts.page", "25d", "timeouts.page: '25d': longer than 24 days, the most that Postgres takes"),
    ("timeouts.plan", 60, "timeouts.plan: 60: not a duration"),
    ("checks.outputs", {"x": {"min": float("nan")}}, "checks.outputs.x.min: nan: Input should be a finite number"),
    ("checks.outputs", {"x": {"min": 2, "max": 1}}, "checks.outputs.x: min 2 is above max 1: no value would do"),
    ("max_planned_rows", True, "max_planned_rows: True: Input should be a valid integer"),
    ("owner", datetime.date(2024, 1, 1), 'owner: write "2024-01-01" in quotes: YAML reads it as 2024-01-01, a date'),
]


def job_file(folder: Path, field: str = "", value: Any = None) -> Path:
    content = yaml.safe_load(yaml.safe_dump(RIGHT))
    section, name = content, field
    if "." in field:
        outer, name = field.split(".")
        section = content.setdefault(outer, {})
    if field and value is None:
        section.pop(name)
    elif field:
        section[name] = value
    path = folder / "intent.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(("field", "value", "wanted"), WRONG, ids=lambda item: str(item)[:30])
def test_a_wrong_field_is_named_with_its_value_and_what_is_allowed(
    tmp_path: Path, field: str, value: Any, wanted: str
) -> None:
    with pytest.raises(JobError) as caught:
        load(job_file(tmp_path, field, value))
    assert str(caught.value).startswith("intent.yaml: ")
    assert wanted in str(caught.value)
    assert "pydantic" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "field", "word", "read"),
    [
        ("source: {relation: m, key: [id], inputs: [text, no]}", "source.inputs.1", "no", "false"),
        ("source: {relation: m, key: [on], inputs: [text]}", "source.key.0", "on", "true"),
        ("source: {relation: m, key: [id], inputs: [~, text]}", "source.inputs.0", "~", "null"),
        ("source: {relation: m, key: [id], inputs: [NULL]}", "source.inputs.0", "NULL", "null"),
        ("source: {relation: m, key: [id], inputs: [text], cursor: off}", "source.cursor", "off", "false"),
        ("source: {relation: m, key: [0x1F], inputs: [text]}", "source.key.0", "0x1F", "31"),
        ("source: {relation: m, key: [12:30], inputs: [text]}", "source.key.0", "12:30", "750"),
        ("source: {relation: m, key: [2024-12-31], inputs: [a]}", "source.key.0", "2024-12-31", "2024-12-31, a date"),
        ("checks: {outputs: {label: {values: [yes, 'no']}}}", "checks.outputs.label.values.0", "yes", "true"),
        ("checks: {outputs: {a: {min: 1}, no: {values: ['x']}}}", "checks.outputs", "no", "false"),
        ("checks: {outputs: {007: {values: ['x']}}}", "checks.outputs", "007", "7"),
        ("shared: &x [no]\nsource: {relation: m, key: *x, inputs: [text]}", "source.key.0", "no", "false"),
    ],
)  # fmt: skip
def test_words_that_yaml_reads_as_something_else(tmp_path: Path, line: str, field: str, word: str, read: str) -> None:
    """F22"""
    rest = {name: value for name, value in RIGHT.items() if not line.startswith(name) and f"\n{name}:" not in line}
    path = tmp_path / "intent.yaml"
    path.write_text(yaml.safe_dump(rest) + line, encoding="utf-8")

    with pytest.raises(JobError) as caught:
        load(path)

    assert f'  {field}: write "{word}" in quotes: YAML reads it as {read}\n' in str(caught.value) + "\n"


@pytest.mark.parametrize("name", [*TAKEN, "x__blue", "intent__current", "x__history", "x__blue_pkey"])
def test_names_of_the_pipelines_own_are_taken(tmp_path: Path, name: str) -> None:
    """F35"""
    path = job_file(tmp_path, "name", name).rename(tmp_path / f"{name}.yaml")

    with pytest.raises(JobError, match=f"name: '{name}': names a .* taken are .*(run_summary|__current)"):
        load(path)


@pytest.mark.parametrize("name", ["runs", "blue", "x_blue", "current", "x__blue_sky", "x__historical", "run_"])
def test_names_beside_them_are_free(tmp_path: Path, name: str) -> None:
    """F35"""
    assert load(job_file(tmp_path, "name", name).rename(tmp_path / f"{name}.yaml")).name == name


CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"deduplicate": True, "source": {"changes": "none"}}, "deduplicate: true needs source.changes: hash"),
    ({"source": {"changes": "none", "cursor": "at"}}, "source.cursor: finds changed rows; with source.changes: none"),
    ({"notify": {"on_stale": [{"notifier": "a.b.C"}]}}, "notify.on_stale: needs notify.max_age"),
    (
        {"notify": {"on_quarantine": [{"notifier": "a.b.C"}]}},
        "notify.on_quarantine: needs notify.max_quarantine_rate",
    ),
]


@pytest.mark.parametrize(("changes", "wanted"), CONTRADICTIONS)
def test_fields_that_contradict_each_other(tmp_path: Path, changes: dict[str, Any], wanted: str) -> None:
    content = {**RIGHT, **changes, "source": {**RIGHT["source"], **changes.get("source", {})}}
    path = tmp_path / "intent.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(JobError) as caught:
        load(path)
    assert wanted in str(caught.value)


BROKEN = {
    "no mapping": ("- a\n- b", "a job file is a mapping with name, source, model"),
    "empty": ("", "a job file is a mapping"),
    "no YAML": ("a: [", "not YAML in UTF-8"),
    "code": ("!!python/object/apply:os.system ['true']", "not YAML in UTF-8"),
    "latin": ("name: é".encode("latin-1"), "not YAML in UTF-8"),
    "control": ("name: \x07", "not YAML in UTF-8"),
    "two": ("name: a\n---\nname: b", "expected a single document"),
    "a key twice": ("name: intent\nsource: {key: [id], key: [other]}", "'key' is there twice"),
    "a list as a key": ("? [a]\n: b", "unhashable key"),
    "a large number": (f"name: {'9' * 5000}", "Exceeds the limit (4300 digits)"),
    "endless": ("tags: &tags [*tags]", "values are nested in more than 20 others"),
    "deep": (f"tags: {'[' * 2000}{']' * 2000}", "values are nested in more than 20 others"),
    "a billion": (
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{two}: &{two} [{', '.join(['*' + one] * 10)}]\n" for one, two in zip("abcdefgh", "bcdefghi")),
        "holds more than 10000 values",
    ),
    "large": ("name: intent # " + "x" * 100_000, "a job file has at most 100000"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_no_job_at_all(tmp_path: Path, name: str) -> None:
    content, wanted = BROKEN[name]
    path = tmp_path / "intent.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(JobError) as caught:
        load(path)
    assert str(caught.value).startswith("intent.yaml: ")
    assert wanted in str(caught.value)


def test_what_is_no_file_costs_itself_only(tmp_path: Path) -> None:
    job_file(tmp_path)
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "gone.yaml").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.yaml")

    jobs, errors = load_all(tmp_path)

    assert list(jobs) == ["intent"]
    assert [str(error).partition(":")[0] for error in errors] == ["folder.yaml", "gone.yaml", "pipe.yaml"]


def test_all_errors_come_at_once_and_other_files_are_still_loaded(tmp_path: Path) -> None:
    job_file(tmp_path)
    (tmp_path / "bad.yaml").write_text("{name: 5, owner: 6}")

    jobs, errors = load_all(tmp_path)

    assert list(jobs) == ["intent"]
    assert len(errors) == 1
    assert str(errors[0]).startswith("bad.yaml: 5 error(s)\n")


HOSTILE = "'; DROP TABLE x; -- \" %(x)s %s {y} {} :z $1 é"


def test_text_and_names_may_hold_anything_that_is_quoted_later(tmp_path: Path) -> None:
    content = {**RIGHT, "description": HOSTILE, "owner": HOSTILE, "tags": [HOSTILE], "pool": HOSTILE}
    content["source"] = {"schema": HOSTILE, "relation": HOSTILE, "key": [HOSTILE], "inputs": [HOSTILE]}
    content["model"] = {"name": HOSTILE}
    path = tmp_path / "intent.yaml"
    path.write_text(yaml.safe_dump(content))

    job = load(path)

    assert (job.source.relation, job.source.key, job.model.name) == (HOSTILE, (HOSTILE,), HOSTILE)


def test_the_schema_is_valid_and_agrees_with_the_files() -> None:
    schema = Job.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(RIGHT)
    assert validator.is_valid({**RIGHT, "schedule": {"cron": "*/10 * * * *", "time_zone": "Asia/Seoul"}})
    assert not validator.is_valid({**RIGHT, "nothing": 1})
    assert not validator.is_valid({**RIGHT, "sizes": {"shard_rows": 0}})
    assert not validator.is_valid({**RIGHT, "hold_timeout": "soon"})


def test_every_field_has_a_description() -> None:
    for name, section in Job.model_json_schema()["$defs"].items():
        for field, content in section["properties"].items():
            assert content.get("description"), f"{name}.{field}"


@pytest.mark.parametrize(
    ("cost", "deduplicate", "changes", "wanted"),
    [
        ("1", None, "hash", False),
        (" 2.5 ", None, "hash", False),
        ("length(text)", None, "hash", True),
        ("1", True, "hash", True),
        ("length(text)", False, "hash", False),
        ("length(text)", None, "none", False),
    ],
)
def test_equal_inputs_are_scored_once_where_a_row_costs_something(
    cost: str, deduplicate: bool | None, changes: str, wanted: bool
) -> None:
    source = {**RIGHT["source"], "changes": changes}
    job = Job.model_validate({**RIGHT, "cost": cost, "deduplicate": deduplicate, "source": source})
    assert job.scores_once is wanted


@pytest.mark.parametrize(
    ("resources", "threads"),
    [({}, "1"), ({"cpus": 0.5}, "1"), ({"cpus": 3.9}, "3"), ({"cpus": 4, "threads": 2}, "2")],
    ids=str,
)
def test_a_models_threads_follow_the_processors_of_its_container(resources: dict[str, Any], threads: str) -> None:
    environment = settings(job(resources=resources))

    assert {environment[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")} == {threads}


@pytest.mark.parametrize("alias", ["2024-q4", "_prod", "운영", "v1-beta", "latest-2", "a" * 255])
def test_aliases_are_those_of_mlflow(tmp_path: Path, alias: str) -> None:
    """F23."""
    content = yaml.safe_load(yaml.safe_dump(RIGHT))
    content["model"]["alias"] = alias
    path = tmp_path / "intent.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")

    assert load(path).model.alias == alias


def test_variables_of_the_model_that_are_no_secrets_are_taken(tmp_path: Path) -> None:
    """F27."""
    content = yaml.safe_load(yaml.safe_dump(RIGHT))
    variables = {"NLTK_DATA": "/data", "TOKENIZERS_PARALLELISM": "false", "KEYWORDS": "a,b", "http_proxy": "http://p:1"}
    content["model"]["environment"] = {"set": variables, "pass": ["HF_TOKEN", "CUDA_VISIBLE_DEVICES"]}
    path = tmp_path / "intent.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")

    job = load(path)

    assert job.model.environment.set_ == variables
    assert job.model.environment.pass_ == ("HF_TOKEN", "CUDA_VISIBLE_DEVICES")
    assert job.model.answers == {"environment": variables}


def test_too_many_inputs_are_said_in_one_short_line(tmp_path: Path) -> None:
    """F24."""
    content = yaml.safe_load(yaml.safe_dump(RIGHT))
    content["source"]["inputs"] = [f"column_{number}" for number in range(1501)]
    path = tmp_path / "intent.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")

    with pytest.raises(JobError) as raised:
        load(path)

    assert len(str(raised.value)) < 400
    assert "at most 1500 items" in str(raised.value)
