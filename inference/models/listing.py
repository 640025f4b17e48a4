"""What the registry knows of its models: their versions with alias, signature, size and environment."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import yaml

from inference.base import mlmodel
from inference.base.signature import Signature
from inference.errors import InferenceError, ModelError
from inference.models.mlflow_rest import Registry, Version

PAGE = 100  # of the registry's answers
PACKAGES = 3  # of an environment that are named


@dataclass(frozen=True)
class Listed:
    """One version, as `models list` shows it."""

    name: str
    version: int
    aliases: tuple[str, ...]
    registered: datetime
    signature: str
    size: str
    environment: str


def models(registry: Registry, name: str | None, limit: int) -> Iterator[Listed]:
    """The latest `limit` versions of one model, or of all, newest first. Raises ModelError if there is no such one."""
    aliases: dict[tuple[str, int], list[str]] = {}
    for model in _models(registry, name):
        for item in model.get("aliases", []):
            aliases.setdefault((model["name"], int(item["version"])), []).append(item["alias"])
    for found in _versions(registry, name, limit):
        number = int(found["version"])
        version = Version(found["name"], str(number), found["source"], found.get("run_id") or None)
        signature, environment, size = _described(registry, version)
        moment = datetime.fromtimestamp(int(found["creation_timestamp"]) / 1000, timezone.utc)
        named = tuple(sorted(aliases.get((found["name"], number), [])))
        yield Listed(found["name"], number, named, moment, signature, size, environment)


def _models(registry: Registry, name: str | None) -> list[dict[str, Any]]:
    if name is not None:
        return [registry.call("GET", "registered-models/get", name=name)["registered_model"]]
    return _pages(registry, "registered-models/search", "registered_models")


def _versions(registry: Registry, name: str | None, limit: int) -> list[dict[str, Any]]:
    """The latest, newest first."""
    query: dict[str, Any] = {"order_by": ["creation_timestamp DESC"]}
    if name is not None:
        query["filter"] = "name='{}'".format(name.replace("'", "''"))
    return _pages(registry, "model-versions/search", "model_versions", limit, **query)[:limit]


def _pages(registry: Registry, path: str, field: str, limit: float = math.inf, **query: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    token: str | None = ""
    while token is not None and len(rows) < limit:
        answer = registry.call("GET", path, max_results=PAGE, **query, **({"page_token": token} if token else {}))
        rows += answer.get(field, [])
        token = answer.get("next_page_token") or None
    return rows


def _described(registry: Registry, version: Version) -> tuple[str, str, str]:
    """Signature, environment and size in short; where the files cannot be reached, what is missing."""
    try:
        content = yaml.safe_load(registry.file(version, "MLmodel"))
        size = content.get("model_size_bytes")
        flavor = content["flavors"].get("python_function", {})
        environment = f"Python {flavor.get('python_version', '?')}, {_packages(content['flavors'])}"
        return _signature(content, version), environment, f"{int(size) / 1e6:.1f} MB" if size else ""
    except (InferenceError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return "its files cannot be read", "", ""


def _packages(flavors: dict[str, Any]) -> str:
    """The versions of libraries that the flavours name."""
    named = [
        f"{key.removesuffix('_version')} {value}"
        for flavor, section in flavors.items()
        if flavor != "python_function"
        for key, value in section.items()
        if key.endswith("_version") and value
    ]
    return ", ".join(named[:PACKAGES]) or "pyfunc"


def _signature(content: dict[str, Any], version: Version) -> str:
    try:
        parsed = mlmodel.parse(content.get("signature"), str(version), bool(content.get("is_signature_from_type_hint")))
    except ModelError:
        return "none that can be used: models sign adds one" if not content.get("signature") else "not supported"
    return in_words(parsed)


def in_words(signature: Signature) -> str:
    """Inputs and outputs in short, such as `text string -> intent text, confidence double precision`."""
    inputs = [
        " ".join(filter(None, [item.name, f"{item.dtype} {item.shape}" if item.shape else item.type]))
        for item in signature.inputs
    ]
    outputs = [f"{item.name} {item.type}" for item in signature.outputs]
    return f"{_short(inputs)} -> {_short(outputs)}"


def _short(items: list[str]) -> str:
    return ", ".join(items[:4]) + (f", ... ({len(items)})" if len(items) > 4 else "")
