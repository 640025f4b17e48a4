"""Which columns of a relation a model is given that knows its inputs by position: tensors, and inputs without names."""

from __future__ import annotations

from collections.abc import Sequence

from inference.authoring.questions import Questions
from inference.authoring.relation import Relation, quoted
from inference.base.matching import said, taken
from inference.base.signature import Input, Signature

FLAG = "--inputs COLUMN,COLUMN"
SHOWN = 30  # columns that a question names


def choose(
    relation: Relation, signature: Signature, key: Sequence[str], given: Sequence[str], questions: Questions
) -> tuple[tuple[str, ...], str]:
    """The columns in the order of the model's input, and what is in the way; `given`: the answer of --inputs."""
    if given:
        return tuple(given), _unknown(given, relation)
    only = signature.inputs[0]
    if len(signature.inputs) > 1:
        return _asked(f"The model takes {len(signature.inputs)} inputs without names", relation, key, questions)
    if only.shape is not None:
        return _of_tensor(relation, only, key, questions)
    properties = (only.declared or {}).get("properties") or {}
    required = {name for name, kind in properties.items() if kind.get("required", True)}
    if properties and required <= relation.columns.keys():
        return tuple(name for name in properties if name in relation.columns), ""
    return _one_of(relation, only, key, questions)


def _of_tensor(
    relation: Relation, item: Input, key: Sequence[str], questions: Questions
) -> tuple[tuple[str, ...], str]:
    kinds = taken(item)[1]
    fitting = [name for name in _others(relation, key) if relation.columns[name].kind in kinds]
    arrays = [name for name in fitting if relation.columns[name].kind.startswith("_")]
    single = [name for name in fitting if name not in arrays]
    if item.width is not None and len(single) == item.width:
        return tuple(single), ""
    if item.width != 1 and len(arrays) == 1:
        return (arrays[0],), ""
    count = "any number of" if item.width is None else str(item.width)
    if not single and not arrays:
        return (), (
            f"the model takes a tensor of {item.dtype}, {count} value(s) a row: no column beside the key is of type "
            f"{said(kinds)}; {relation.name} has: {_shown(relation, key)}. Convert columns in a view"
        )
    return _asked(
        f"The model takes a tensor of {item.dtype}, {count} value(s) a row, in their order", relation, key, questions
    )


def _one_of(relation: Relation, item: Input, key: Sequence[str], questions: Questions) -> tuple[tuple[str, ...], str]:
    words, kinds = taken(item)
    fitting = [name for name in _others(relation, key) if relation.columns[name].kind in kinds]
    if not fitting:
        return (), (
            f"the model takes one {words} without a name: no column beside the key is of type {said(kinds)}; "
            f"{relation.name} has: {_shown(relation, key)}"
        )
    if len(fitting) == 1:
        return (fitting[0],), ""
    choices = [f"{quoted(name)} ({relation.columns[name].type})" for name in fitting]
    number = questions.choose(f"Which column is the {words} that the model takes?", choices, "--inputs COLUMN")
    return ((fitting[number],) if number is not None else ()), ""


def _asked(question: str, relation: Relation, key: Sequence[str], questions: Questions) -> tuple[tuple[str, ...], str]:
    answer = questions.text(
        f"{question}. {relation.name} has: {_shown(relation, key)}. Which columns, with commas between?", FLAG
    )
    names = tuple(name.strip() for name in answer.split(",") if name.strip())
    return names, _unknown(names, relation)


def _unknown(names: Sequence[str], relation: Relation) -> str:
    unknown = [name for name in names if name not in relation.columns]
    known = ", ".join(map(quoted, relation.columns))
    return f"--inputs: {unknown[0]!r} is no column of {relation.name}, which has: {known}" if unknown else ""


def _others(relation: Relation, key: Sequence[str]) -> list[str]:
    return [name for name in relation.columns if name not in key and name not in relation.unreadable]


def _shown(relation: Relation, key: Sequence[str]) -> str:
    names = [f"{quoted(name)} {relation.columns[name].type}" for name in _others(relation, key)]
    return ", ".join(names[:SHOWN]) + (f", ... ({len(names)} in all)" if len(names) > SHOWN else "")
