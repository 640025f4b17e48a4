"""Which registered model a new job uses: a name and an alias that leads to a version."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from inference.authoring.questions import Questions
from inference.errors import ModelError, RequestError
from inference.models.mlflow_rest import Registry, Version

REGISTER = (
    "Register one where it is trained: mlflow.<flavor>.log_model(..., registered_model_name=NAME), or from a folder "
    "with train.py: python -m inference models register FOLDER --name NAME"
)
SHOWN = 50  # models in a message


@dataclass(frozen=True)
class Chosen:
    name: str
    alias: str
    version: Version
    reason: str


def choose(registry: Registry, given: str | None, set_alias: bool, questions: Questions) -> Chosen | None:
    """The model that --model says, or that is chosen; None where a question is open. `set_alias`: make the alias if it
    is not there. Raises RequestError or ModelError that says what there is and how to register."""
    if given is None:
        names = _names(registry)
        if not names:
            raise RequestError(f"--model: MLflow at {registry.public_address} has no model yet. {REGISTER}")
        number = questions.choose("Which model scores the rows?", names, "--model MODEL[@ALIAS]")
        if number is None:
            return None
        given = names[number]
    name, separator, reference = _split(given)
    alias = reference if separator == "@" else "champion"
    if re.fullmatch("[A-Za-z][A-Za-z0-9_-]{0,99}", alias) is None:
        raise RequestError(
            f"--model: {alias!r} is no alias that a job can have: a letter, then letters, digits, - or _"
        )
    model = _get(registry, name)
    aliases = {item["alias"]: str(item["version"]) for item in model.get("aliases", [])}
    wanted = reference if separator == ":" else None
    if wanted is not None:
        leading = [item for item, version in aliases.items() if version == wanted]
        alias = leading[0] if leading and "champion" not in leading else "champion"
    if alias in aliases and wanted in (None, aliases[alias]):
        return Chosen(name, alias, registry.resolve(name, alias), "plan resolves it to a version, once a run")
    return _aliased(registry, name, alias, wanted, model, aliases, set_alias, questions)


def _aliased(
    registry: Registry, name: str, alias: str, wanted: str | None, model: dict[str, Any], aliases: dict[str, str],
    set_alias: bool, questions: Questions,
) -> Chosen | None:  # fmt: skip
    """The model once its alias leads to `wanted` or to the latest version."""
    versions = [str(item["version"]) for item in model.get("latest_versions", [])]
    if not versions:
        raise ModelError(f"--model: model {name!r} has no version. {REGISTER}")
    version = wanted or max(versions, key=int)
    registry.resolve(name, version)  # it is there
    there = ", ".join(f"{item} (version {number})" for item, number in sorted(aliases.items())) or "no alias"
    means = f"now version {aliases[alias]}" if alias in aliases else "not there"
    question = (
        f"A job follows an alias, so that a new version needs no edit: {alias!r} of model {name!r} is {means}; the "
        f"model has: {there}. Shall {alias!r} mean version {version}?"
    )
    others = f" or --model '{name}@{min(aliases)}'" if aliases and wanted is None else ""
    if not set_alias and not questions.confirm(question, f"--set-alias{others}"):
        if questions.terminal:
            raise RequestError(f"--model: no alias leads to version {version} of {name!r}; use --set-alias{others}")
        return Chosen(name, alias, registry.resolve(name, version), "")
    registry.call("POST", "registered-models/alias", name=name, alias=alias, version=version)
    return Chosen(name, alias, registry.resolve(name, alias), f"set to version {version} by this command")


def _split(given: str) -> tuple[str, str, str]:
    match = re.fullmatch(r"([^@:]+)(?:([@:])(.+))?", given)
    if match is None or (match[2] == ":" and not match[3].isdigit()):
        raise RequestError(f"--model {given!r}: is not MODEL, MODEL@ALIAS or MODEL:VERSION")
    return match[1], match[2] or "", match[3] or ""


def _get(registry: Registry, name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = registry.call("GET", "registered-models/get", name=name)["registered_model"]
    except ModelError:
        there = ", ".join(_names(registry)) or "none"
        raise ModelError(
            f"--model: MLflow at {registry.public_address} has no model {name!r}; there are: {there}. {REGISTER}"
        ) from None
    return found


def _names(registry: Registry) -> list[str]:
    answer = registry.call("GET", "registered-models/search", max_results=SHOWN)
    return [item["name"] for item in answer.get("registered_models", [])]
