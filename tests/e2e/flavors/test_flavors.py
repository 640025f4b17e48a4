"""Each flavour, registered as its documentation shows it, scored by a job, and compared with the model called directly.

Heavy entries are those that CI has no time for: `make e2e-flavors` runs all.
"""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from tests.e2e.flavors.conftest import Company
from tests.e2e.flavors.entries import ENTRIES
from tests.e2e.flavors.entry import Entry
from tests.e2e.flavors.rows import rows

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, on its import
TOLERANCE = 1e-5


def named(entries: list[Entry]) -> list[Any]:
    return [pytest.param(entry, id=entry.name, marks=[pytest.mark.heavy] if entry.heavy else []) for entry in entries]


@pytest.mark.parametrize("entry", named(ENTRIES))
def test_a_job_predicts_what_the_model_answers_when_called_directly(registry_company: Company, entry: Entry) -> None:
    scored(registry_company, entry, "venv")


@pytest.mark.heavy
@pytest.mark.parametrize("entry", [pytest.param(entry, id=entry.name) for entry in ENTRIES if entry.docker])
def test_the_same_holds_in_the_image_of_the_model(registry_company: Company, entry: Entry) -> None:
    scored(registry_company, entry, "docker")


def scored(company: Company, entry: Entry, runner: str) -> None:
    """Train the entry's model, score rows with it, and compare; the figures are printed."""
    started = time.monotonic()
    given = rows(entry)
    company.have(entry, given)
    job = company.write_job(entry, runner)
    python = company.command("models", "prepare", job).split()[-1]
    if runner == "docker":
        company.command("image", "build", entry.name)
    prepared = time.monotonic()
    company.command("run", job)
    done = time.monotonic()

    compared, difference = compare(company, entry, job, given, python)
    print(
        f"{entry.name} {runner}: {compared} of {len(given)} rows, largest difference {difference:.1e}; prepared "
        f"in {prepared - started:.0f} s, scored in {done - prepared:.0f} s"
    )


def compare(company: Company, entry: Entry, job: str, given: list[dict[str, Any]], python: str) -> tuple[int, float]:
    """Asserts that each row has the answer or the entry of the quarantine that it should have; how many rows have
    answers, and the largest relative difference of a number.
    """
    spoiled = {number for number, row in enumerate(given) if any(row[name] is None for name in entry.required)}
    whole = [number for number in range(len(given)) if number not in spoiled]
    assert len(whole) >= 1000
    assert any(None in row.values() for row in given)
    expected = company.directly(python, entry, [given[number] for number in whole])
    assert len(expected) in (1, len(entry.outputs))
    if len(expected) < len(entry.outputs):  # one column for each item of a row
        expected = [list(column) for column in zip(*expected[0], strict=True)]

    columns = ", ".join(f'"{name}"' for name in entry.outputs)
    found = {
        key: values
        for key, *values in company.sql(f"SELECT id, {columns} FROM prediction.{job}")  # noqa: S608
    }
    assert sorted(found) == whole
    quarantined = company.sql(
        "SELECT key[1]::bigint FROM prediction.quarantine WHERE job = :job AND state <> 'resolved'", job=job
    )
    assert {key for (key,) in quarantined} == spoiled
    largest = 0.0
    for place, column in enumerate(expected):
        for number, value in zip(whole, column, strict=True):
            largest = max(largest, apart(found[number][place], value))
    assert largest <= TOLERANCE
    return len(whole), largest


def apart(stored: Any, value: Any) -> float:
    """How far two answers are apart: floats relative to what is above 1; all else is 0 or infinity."""
    if isinstance(stored, list) and isinstance(value, list):
        assert len(stored) == len(value)
        return max((apart(*pair) for pair in zip(stored, value, strict=True)), default=0.0)
    missing = [item is None or (isinstance(item, float) and math.isnan(item)) for item in (stored, value)]
    if any(missing):
        return 0.0 if all(missing) else math.inf
    if isinstance(value, float):
        return abs(stored - value) / max(1.0, abs(value))
    return 0.0 if stored == value else math.inf
