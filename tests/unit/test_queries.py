"""SQL lives in files: each named block is used, each that is used exists, and Python holds none."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from inference.base import queries
from inference.base.queries import expression, fill
from inference.base.root import ROOT

CODE = ROOT / "inference"
STAGES = sorted(
    str(path.relative_to(queries.FOLDER).with_suffix(""))
    for path in queries.FOLDER.glob("*/*.sql")
    if path.parent.name != "migrations"
)
FILES = sorted(CODE.rglob("*.py"))
STATEMENT = re.compile(
    r"\b(SELECT\b.+\bFROM|INSERT\s+INTO|UPDATE\s+\S+\s+SET|DELETE\s+FROM|CREATE\s+(UNLOGGED\s+)?(TABLE|VIEW|FUNCTION)"
    r"|ALTER\s+TABLE|DROP\s+(TABLE|VIEW)|TRUNCATE\s|COPY\s.+\b(FROM|TO)\s+STD|LOCK\s+TABLE)\b",
    re.DOTALL,
)


def own_stage(path: Path) -> str | None:
    """What a module loads as its SQL."""
    loads = re.search(r'^SQL = queries\.load\("([\w/]+)"\)', path.read_text(), re.M)
    return loads[1] if loads else None


def stages_by_name(path: Path) -> dict[str, str | None]:
    """The stage behind each name by which a module takes blocks: `SQL` is its own, `other.SQL` another module's."""
    found = {"SQL": own_stage(path)}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("inference")):
            start = path.parents[node.level - 1] if node.level else CODE.parent
            folder = start.joinpath(*(node.module or "").split(".")) if node.module else start
            for item in node.names:
                if item.name == "SQL":
                    found["SQL"] = own_stage(folder.with_suffix(".py"))
                elif (folder / f"{item.name}.py").exists():
                    found[f"{item.asname or item.name}.SQL"] = own_stage(folder / f"{item.name}.py")
    return found


def uses() -> set[tuple[str, str]]:
    """(stage, block) of every `SQL["..."]` in the code, and of conditional and variable names of blocks."""
    found = set()
    for path in FILES:
        text, stages = path.read_text(), stages_by_name(path)
        for name, inside in re.findall(r"((?:\w+\.)?SQL)\[(.+?)\]", text):
            found |= {(str(stages[name]), block) for block in re.findall(r'"(\w+)"', inside)}
        for block in re.findall(r'"((?:count|parse)_\w+)"', text):  # chosen by a variable
            found.add((str(stages["SQL"]), block))
    return found


def test_every_block_is_used_and_every_used_block_exists() -> None:
    defined = {(stage, name) for stage in STAGES for name in queries.load(stage)}

    assert uses() == defined


@pytest.mark.parametrize("stage", STAGES)
def test_no_block_is_defined_twice_or_empty(stage: str) -> None:
    names = re.findall(r"^-- name: (\w+)$", (queries.FOLDER / f"{stage}.sql").read_text(), re.M)
    assert len(names) == len(set(names)) == len(queries.load(stage))
    assert all(queries.load(stage).values())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_python_holds_no_statement(path: Path) -> None:
    tree = ast.parse(path.read_text())
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            assert not STATEMENT.search(node.value), f"line {node.lineno}: {node.value[:60]!r}"


@pytest.mark.parametrize("stage", STAGES)
def test_values_are_bound_and_never_with_colons(stage: str) -> None:
    for name, block in queries.load(stage).items():
        assert not re.search(r"(?<![:\w]):[a-z_]+", re.sub(r"'[^']*'", "", block)), name


def test_an_expression_keeps_its_braces_and_percent_signs() -> None:
    assert fill("({e})", e=expression("a LIKE '%{b}%'")).as_string(None) == "(a LIKE '%%{b}%%')"


@pytest.mark.parametrize("stage", STAGES)
def test_a_comment_stands_inside_its_block(stage: str) -> None:
    """A comment above a `-- name:` line would belong to the block before it, and would stay there when blocks move."""
    lines = (queries.FOLDER / f"{stage}.sql").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("-- name: "))
    above = [line for before, line in zip(lines[first:], lines[first + 1 :]) if line.startswith("-- name: ") and before]
    assert not above, "a block begins without an empty line before it, or under a comment"
