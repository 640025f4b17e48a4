"""Run last by scripts/test: what docs/reliability.md names has run in this run of all tests, and passed."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.unit.test_reliability_docs import NAMED

REPORTS = os.environ.get("TEST_REPORTS")  # a folder with the reports that pytest has written just now


def outcomes(folder: Path) -> dict[tuple[str, str], set[str]]:
    """What became of each test, by file and function; a parametrized one may have more than one outcome."""
    found: dict[tuple[str, str], set[str]] = {}
    for report in folder.glob("*.xml"):
        for case in ElementTree.parse(report).iter("testcase"):
            file = case.attrib["classname"].replace(".", "/") + ".py"
            kinds = {child.tag for child in case} & {"skipped", "failure", "error"}
            found.setdefault((file, case.attrib["name"].partition("[")[0]), set()).update(kinds or {"passed"})
    return found


def test_what_is_promised_has_been_tried() -> None:
    if REPORTS is None:
        pytest.skip("scripts/test runs it after all others")
    ran = outcomes(Path(REPORTS))

    named = {f"{file}::{name}": ran.get((file, name), {"not run"}) for file, name in NAMED if name}
    missing = {name: kinds for name, kinds in named.items() if kinds != {"passed"}}
    skipped = sorted(name for name, kinds in missing.items() if kinds <= {"passed", "skipped"})
    if skipped == sorted(missing) and skipped and "CI" not in os.environ:
        pytest.skip(f"without an engine for containers, these promises are not tried: {', '.join(skipped)}")
    assert missing == {}
