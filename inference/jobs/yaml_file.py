"""A job file as data: plain YAML, of a size and depth that a person writes."""

from __future__ import annotations

import json
from collections.abc import Hashable
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from inference.errors import JobError

BYTES, VALUES, DEPTH = 100_000, 10_000, 20


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice: YAML's own would forget the first without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is there twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def read(path: Path) -> dict[str, Any]:
    """Raises JobError that names the file. One bad file must neither stop nor slow down the reading of the others."""
    if not path.is_file():
        raise JobError(f"{path.name}: no file, or one that cannot be followed; a job is a file of YAML")
    try:
        data = path.read_bytes()
        if len(data) > BYTES:
            raise JobError(f"{path.name}: has {len(data)} bytes; a job file has at most {BYTES}")
        content = yaml.load(data.decode("utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise JobError(f"{path.name}: not YAML in UTF-8: {error}") from None
    except RecursionError:
        raise JobError(f"{path.name}: values are nested in more than {DEPTH} others") from None
    except OSError as error:
        raise JobError(f"{path.name}: cannot be read: {error.strerror}") from None
    if not isinstance(content, dict):
        raise JobError(f"{path.name}: a job file is a mapping with name, source, model; see docs/job-file.md")
    _refuse_bulk(path, content)
    return content


def misread(path: Path, place: tuple[int | str, ...], value: Any) -> str | None:
    """What to say if the file holds, at the place of an error, a word that YAML does not take for a text: `no`."""
    node: Any = yaml.compose(path.read_text(encoding="utf-8"), _Loader)
    keys = place[-1:] == ("[key]",)  # pydantic's word for a mapping's key; the one before it is no place in the file
    try:
        for part in place[: -2 if keys else None]:
            node = node.value[part] if isinstance(part, int) else {key.value: item for key, item in node.value}[part]
        words = [key.value for key, _ in node.value if repr(yaml.safe_load(key.value)) == repr(value)] if keys else []
    except (LookupError, TypeError, AttributeError):  # not in the file: a default, or an alias in a mapping's place
        return None
    if isinstance(node, yaml.ScalarNode) and node.style is None:
        words = [node.value]
    if not words:
        return None
    read = f"{value}, a date" if isinstance(value, date) else json.dumps(value)
    return f'write "{words[0]}" in quotes: YAML reads it as {read}'


def _refuse_bulk(path: Path, content: Any) -> None:
    """Aliases (`&a`, `*a`) can make endless or gigantic data of a few lines."""
    count, rest = 0, [(content, 0)]
    while rest:
        value, depth = rest.pop()
        count += 1
        if depth > DEPTH:
            raise JobError(f"{path.name}: values are nested in more than {DEPTH} others")
        if count > VALUES:
            raise JobError(f"{path.name}: holds more than {VALUES} values")
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        rest += [(item, depth + 1) for item in inner]
