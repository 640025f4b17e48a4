"""Stored definitions of jobs, as other versions of the code would have written them."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from inference.base.protocol import FORMAT
from inference.errors import PermanentError
from inference.jobs import definition
from inference.jobs.job import Job
from inference.jobs.sections import Model, Sizes, Source
from inference.shard.attempt import DEFAULTS, completed
from tests.stub import job

FIRST = Path(__file__).parents[1] / "integration" / "first_version.sql"
RICH = job(
    source__cursor="updated_at",
    tags=["a", "b"],
    checks__outputs={"length": {"min": 0}},
    kubernetes={"tolerations": [{"key": "gpu", "operator": "Exists"}], "node_selector": {"disk": "ssd"}},
    notify__on_failure=[{"notifier": "company.Notifier", "arguments": {"channel": "x"}}],
)


def stored(a_job: Job = RICH) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(definition.write(a_job))
    return found


def test_what_is_written_has_a_format_and_is_read_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    assert stored()["format"] == FORMAT

    assert definition.read(stored(), 7) == RICH
    assert caplog.messages == []


def test_a_definition_of_the_first_version_is_read(caplog: pytest.LogCaptureFixture) -> None:
    found = re.findall(r"'(\{\"cost\": .+?\})', '\{\"mode\"", FIRST.read_text())
    assert len(found) == 4

    read = definition.read(json.loads(found[0]), 1)

    assert read == job(source__cursor="updated_at", history="append", resources__threads=1)
    assert caplog.messages == []


def test_unknown_fields_are_ignored_at_every_depth_and_missing_ones_have_their_defaults(
    caplog: pytest.LogCaptureFixture,
) -> None:
    given = stored()
    given |= {"priority": 3, "windows": {"start": "1h"}}
    given["source"]["watermark"] = ["updated_at"]
    given["kubernetes"]["tolerations"][0]["seconds"] = 30
    given["notify"]["on_failure"][0]["retries"] = {"count": 1}
    del given["timeouts"], given["sizes"]["chunk_rows"], given["checks"]["tolerance"], given["model"]["alias"]
    del given["kubernetes"]["tolerations"][0]["effect"], given["format"]

    read = definition.read(given, 7)

    assert read == RICH.model_copy(update={"sizes": RICH.sizes.model_copy(update={"chunk_rows": 2048})})
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("section", "field", "value", "said"),
    [
        ("sizes", "chunk_rows", 0, "chunk_rows: 0: Input should be greater than or equal to 1"),
        ("model", "alias", "??", "alias: '??': an alias consists of letters, digits, underscores and hyphens"),
        ("notify", "on_failure", [{"arguments": {"token": "secret"}}], "on_failure.0.notifier: Field required"),
        ("kubernetes", "node_selector", 3, "node_selector: 3: Input should be a valid dictionary"),
    ],
)  # fmt: skip
def test_a_value_that_is_no_longer_allowed_gives_way_to_the_default_and_is_named(
    section: str, field: str, value: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    given = stored()
    given[section][field] = value

    with caplog.at_level(logging.WARNING):
        read = definition.read(given, 7)

    expected = stored()
    del expected[section][field]
    assert read == definition.read(expected, 7)
    assert caplog.messages == [
        f"run 7 was planned by other code: {section}.{said}; {section}.{field} is left out, and its default counts"
    ]


def test_fields_that_no_longer_fit_together_are_kept() -> None:
    given = stored(job(source__changes="none"))
    given["deduplicate"] = True

    assert definition.read(given, 7).deduplicate


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("checks", "max_quarantine_rate"), 3, r"checks\.max_quarantine_rate: 3: .* less than or equal to 1"),
        (("checks", "outputs", "length", "min"), "much", r"checks\.outputs\.length\.min: 'much': "),
        (("checks", "outputs", "length", "max"), -1, r"checks\.outputs\.length: min 0 is above max -1"),
        (("checks", "outputs"), ["length"], r"checks\.outputs: Input should be a valid dictionary"),
        (("source", "relation"), "", r"source\.relation: '': .*; source\.relation is left out, and its default counts; "
                                     r"source\.relation: Field required; .*source: Field required"),
        (("name",), "Not A Name", r"name: 'Not A Name': "),
    ],
)  # fmt: skip
def test_what_has_no_default_or_would_loosen_a_check_is_refused_in_words(
    path: tuple[str, ...], value: Any, said: str
) -> None:
    given = at = stored()
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value

    with pytest.raises(PermanentError, match=rf"^run 7 was planned .*{said}.* python -m inference discard 7"):
        definition.read(given, 7)


def test_a_check_that_exists_no_longer_is_named(caplog: pytest.LogCaptureFixture) -> None:
    given = stored()
    given["checks"]["drift"] = 0.1

    assert definition.read(given, 7) == RICH
    assert caplog.messages == [
        "run 7 was planned by other code: checks.drift: is no field any more, and is not checked"
    ]


def test_a_newer_format_is_refused_in_words() -> None:
    with pytest.raises(PermanentError, match=rf"^run 7: its definition has format {FORMAT + 1}, and this code knows "
                                             rf"formats up to {FORMAT}: .*let the job plan a new run$"):  # fmt: skip
        definition.read({**stored(), "format": FORMAT + 1}, 7)


@pytest.mark.parametrize(("name", "section"), [("source", Source), ("sizes", Sizes), ("model", Model)])
def test_the_defaults_of_shards_are_those_of_job_files(name: str, section: type[BaseModel]) -> None:
    fields = {field.alias or key: field for key, field in section.model_fields.items()}

    assert DEFAULTS[name] == {field: fields[field].default for field in DEFAULTS[name]}


def test_a_shard_is_given_defaults_for_what_is_missing() -> None:
    given = stored(job(source__where="id > 1", max_parallel_shards=5))
    kept = {"source": {name: given["source"][name] for name in ("relation", "key", "inputs", "where")}}

    found = completed(kept)

    assert found["source"] == {**kept["source"], **{k: v for k, v in DEFAULTS["source"].items() if k != "where"}}
    assert (found["sizes"], found["model"], found["max_parallel_shards"]) == (DEFAULTS["sizes"], DEFAULTS["model"], 2)
    assert completed(given)["max_parallel_shards"] == 5
    assert DEFAULTS["max_parallel_shards"] == Job.model_fields["max_parallel_shards"].default
