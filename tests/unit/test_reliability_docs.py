"""docs/reliability.md names tests and faults: each must exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from chaos.mutants import MUTANTS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)
ROWS = [line for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith("| promise")]


@pytest.mark.parametrize(("file", "name"), NAMED, ids=map("::".join, NAMED))
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert not name or name in names


@pytest.mark.parametrize("row", ROWS)
def test_every_promise_has_something_that_tries_to_break_it(row: str) -> None:
    _, promise, tests, _ = row.split("|")
    assert promise.strip()
    assert "::test_" in tests or "`make chaos" in tests


def test_every_mutant_is_named() -> None:
    assert set(re.findall(r"mutant `(\w+)`", TEXT)) == set(MUTANTS)
