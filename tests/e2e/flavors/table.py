"""The table of flavours in the README, from the entries of the matrix:

    python -m tests.e2e.flavors.table

writes it there, between two comments.
"""

from __future__ import annotations

from pathlib import Path

from tests.e2e.flavors.entries import ENTRIES
from tests.e2e.flavors.entry import Entry

README = Path(__file__).parents[3] / "README.md"
BEGIN, END = "<!-- flavors: written by tests/e2e/flavors/table.py -->\n", "<!-- flavors: end -->"
HEAD = (
    "| flavour | how it is logged | input columns | output columns | `allow_pickle` | tested with | runners |\n"
    "|---|---|---|---|---|---|---|\n"
)


def table() -> str:
    return HEAD + "".join(f"| {' | '.join(cells(entry))} |\n" for entry in ENTRIES)


def cells(entry: Entry) -> list[str]:
    return [
        entry.flavour,
        entry.logged,
        ", ".join(sorted(set(entry.columns.values()))),
        ", ".join(f"`{name}`" for name in entry.outputs),
        "needed" if entry.allow_pickle else "no",
        entry.version if entry.tested == "mlflow" else f"{entry.version}, mlflow {entry.mlflow}",
        ", ".join(f"`{runner}`" for runner in entry.runners),
    ]


def replaced(readme: str) -> str:
    """The README with the present table. Raises ValueError if it has no place for one."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README needs the lines {BEGIN.strip()!r} and {END!r}")
    return before + begin + table() + end + after


if __name__ == "__main__":
    README.write_text(replaced(README.read_text(encoding="utf-8")), encoding="utf-8")
