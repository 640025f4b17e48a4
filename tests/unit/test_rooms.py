"""The rooms of `inference/` and which of them may import which; what the model's side is given."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.base.root import ROOT
from inference.models import runtime

CODE = ROOT / "inference"
# A room may import the rooms of the lines above its own, and of its own line none but itself.
FLOORS = [
    {"base"},
    {"scoring", "jobs"},
    {"shard", "models", "schema"},
    {"images", "planning", "publishing"},
    {"runners"},
    {"operations"},
    {"pipeline"},
    {"authoring"},
    {"cli"},
]
LINES = 300  # of a file at most


def room(module: str) -> str:
    """The room of a dotted name below `inference`; of a module at the top, its name."""
    return module.split(".")[0]


def files() -> list[Path]:
    return sorted(path for path in CODE.rglob("*.py") if path.stem not in ("__init__", "__main__"))


def imports(path: Path) -> Iterator[str]:
    """The modules of the package that a file imports, as dotted names below `inference`."""
    package = path.relative_to(CODE).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            start = package[: len(package) - node.level + 1]
        elif node.module and node.module.split(".")[0] == "inference":
            start = ()
        else:
            continue
        named = (node.module or "").split(".") if node.module else []
        named = named[1:] if not node.level else named
        for item in node.names:
            yield ".".join([*start, *named, item.name])


def floor(name: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if name in rooms)


def test_every_file_is_in_a_room_and_the_top_has_four() -> None:
    assert {path.name for path in CODE.glob("*.py")} == {"__init__.py", "__main__.py", "errors.py", "pipeline.py"}
    rooms = {path.name for path in CODE.iterdir() if path.is_dir() and path.name[0] not in "_."}
    assert rooms == set().union(*FLOORS) - {"pipeline"}


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(CODE)))
def test_a_room_imports_lower_rooms_only(path: Path) -> None:
    own = room(".".join(path.relative_to(CODE).with_suffix("").parts))
    if own == "errors":
        assert not list(imports(path))
        return
    others = {room(module) for module in imports(path)} - {own, "errors"}

    assert {name for name in others if floor(name) >= floor(own)} == set()


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(CODE)))
def test_the_models_side_imports_nothing_else_and_by_relative_names_only(path: Path) -> None:
    own = path.relative_to(CODE).parts[0]
    if own not in runtime.ROOMS:
        return
    absolute = [
        node.module for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and not node.level and str(node.module).split(".")[0] == "inference"
    ]  # fmt: skip

    assert absolute == []
    assert {room(module) for module in imports(path)} <= {*runtime.ROOMS, "errors"}


def test_only_the_model_side_itself_and_the_command_line_name_the_shard() -> None:
    naming = {
        str(path.relative_to(CODE)) for path in CODE.rglob("*.py") if {room(name) for name in imports(path)} & {"shard"}
    }

    assert {name for name in naming if not name.startswith("shard/")} == {"__main__.py"}


def test_no_module_imports_itself_in_a_circle() -> None:
    names = {".".join(path.relative_to(CODE).with_suffix("").parts): path for path in files()}
    graph = {
        name: {
            other for other in names for module in imports(path) if module == other or module.startswith(f"{other}.")
        }
        for name, path in names.items()
    }
    done: set[str] = set()
    while ready := {name for name, needed in graph.items() if name not in done and needed - {name} <= done}:
        done |= ready

    assert set(graph) - done == set()


@pytest.mark.parametrize("folder", ["inference", "dags", "plugins"])
def test_no_file_is_longer_than_one_can_read(folder: str) -> None:
    longer = {
        str(path.relative_to(ROOT))
        for path in (ROOT / folder).rglob("*.py")
        if len(path.read_text().splitlines()) > LINES
    }

    assert longer == set()


def test_what_runs_beside_a_model_is_three_rooms_and_their_sql(tmp_path: Path) -> None:
    runtime.copy(tmp_path / "runtime")

    copied = {
        str(path.relative_to(tmp_path / "runtime")) for path in (tmp_path / "runtime").rglob("*") if path.is_file()
    }
    code = {
        str(Path("prediction_runtime", path.relative_to(CODE)))
        for one in runtime.ROOMS
        for path in (CODE / one).glob("*.py")
    }
    top = {f"prediction_runtime/{name}.py" for name in ("__init__", "__main__", "errors")}
    queries = {str(path.relative_to(ROOT)) for one in runtime.ROOMS for path in (ROOT / "sql" / one).glob("*.sql")}
    assert copied == code | top | queries
