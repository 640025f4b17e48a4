"""The view that a person is shown where a relation's own columns do not fit a model."""

from __future__ import annotations

from inference.authoring.input_choice import Inputs
from inference.authoring.relation import Name, Relation, quoted
from inference.base import queries

SQL = queries.load("authoring/new_job")


def text(name: str, relation: Relation, key: tuple[str, ...], inputs: Inputs, taken: set[str]) -> str:
    """CREATE VIEW with the key and the inputs. `taken`: names that no key column may have."""
    converted = set(inputs.views)
    keys = [
        quoted(part) if part not in taken | converted else f"{quoted(part)} AS {quoted(f'{part}_key')}" for part in key
    ]
    others = [inputs.views.get(part, quoted(part)) for part in inputs.columns if part not in key or part in converted]
    again = [
        quoted(part) for part in inputs.columns if part in key and part in taken and part not in converted
    ]  # it is called something else as a key
    lines = ",\n       ".join([*keys, *others, *again])
    return SQL["view"].format(view=view(name, relation), columns=lines, source=relation.name) + ";"


def view(name: str, relation: Relation) -> Name:
    """What the view is called."""
    return Name(relation.name.connection, relation.name.schema, f"{name}_source")


def advice(name: str, relation: Relation, key: tuple[str, ...], inputs: Inputs, taken: set[str]) -> str:
    """What to do with the view, with its text."""
    where = f"--source '{relation.name.connection}:{view(name, relation)}'"
    return (
        f"A view can convert them. See that each cast keeps what you need: it may round, or fail on a row. Run in the "
        f"database of connection {relation.name.connection!r}, then use {where}:\n"
        + text(name, relation, key, inputs, taken)
    )
