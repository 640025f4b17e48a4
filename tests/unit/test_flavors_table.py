"""The table of flavours in the README is what the matrix says, and each entry has its script."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.flavors.entries import ENTRIES
from tests.e2e.flavors.table import README, replaced

TRAINING = Path(__file__).parents[1] / "e2e" / "flavors" / "training"


def test_the_readme_has_the_table_of_the_matrix() -> None:
    readme = README.read_text(encoding="utf-8")

    assert readme == replaced(readme), "run: python -m tests.e2e.flavors.table"


def test_each_entry_has_a_name_and_a_script_of_its_own() -> None:
    names = [entry.name for entry in ENTRIES]

    assert len(set(names)) == len(names)
    assert [name for name in names if not (TRAINING / f"{name}.py").is_file()] == []


def test_two_entries_run_in_their_image_as_well() -> None:
    assert len([entry for entry in ENTRIES if entry.docker]) == 2
