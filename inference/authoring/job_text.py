"""The text of a new job file: what was decided with the reasons, and what people often change with its default."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import yaml


@dataclass(frozen=True)
class Decisions:
    """The values of a new job and why they are so."""

    name: str
    description: str
    owner: tuple[str, str]
    connection: str
    schema: str
    relation: str
    key: tuple[tuple[str, ...], str]
    inputs: tuple[str, ...]
    left_out: tuple[str, ...]
    cursor: tuple[str | None, str]
    model: str
    alias: tuple[str, str]
    pickle: bool
    cron: str | None


def write(job: Decisions) -> str:
    """YAML that says just these values, whatever they are."""
    lines = [
        f"# Made by `python -m inference jobs new {job.name}`. All fields: docs/job-file.md",
        f"name: {value(job.name)}",
        f"description: {value(job.description)}  # proposed: say what people get",
        f"owner: {value(job.owner[0])}  # {note(job.owner[1])}",
        "source:",
        f"  connection: {value(job.connection)}  # Airflow's name of the database",
        f"  schema: {value(job.schema)}",
        f"  relation: {value(job.relation)}",
        *_listed("key", job.key[0], note(job.key[1])),
        *_listed("inputs", job.inputs, "as the model's signature names them"),
    ]
    if job.left_out:
        lines.append(f"  # Optional inputs without a column: {', '.join(map(value, job.left_out))}")
    lines.append('  # where: "true"  # an SQL condition: the rows that the job is about; default: all')
    cursor, reason = job.cursor
    if cursor is None:
        lines.append(f"  # No cursor (a timestamptz that makes the search cheap): {note(reason)}")
    else:
        lines.append(f"  cursor: {value(cursor)}  # {note(reason)}")
        lines.append("  # lookback: 1h  # longer than the longest transaction that writes the source")
    lines += [
        "  # on_delete: keep  # or delete: predictions whose row is gone",
        "  # changes: hash  # or none: rows are only ever added, and updates are not seen",
        "model:",
        f"  name: {value(job.model)}",
        f"  alias: {value(job.alias[0])}  # {note(job.alias[1])}",
        "  # on_new_version: new_rows  # or rescore: score all rows again when the alias moves",
    ]
    if job.pickle:
        lines.append("  allow_pickle: true  # you said so: loading it may run any code of whoever logged it")
    if job.cron is None:
        lines += ["# schedule:  # without it, runs start by hand", '#   cron: "0 3 * * *"', "#   time_zone: UTC"]
    else:
        lines += ["schedule:", f"  cron: {value(job.cron)}  # as --cron says", "  # time_zone: UTC"]
    lines += [
        '# cost: "1"  # for texts of mixed lengths: length(COLUMN) + 20',
        "# history: none  # or append: keep superseded predictions",
        "# runner: venv  # or docker, kubernetes: docs/containers.md",
        "# max_parallel_shards: 2",
        "# checks:  # what must hold before anything is visible",
        "#   max_quarantine_rate: 0.01",
    ]
    return "\n".join(lines) + "\n"


def _listed(field: str, names: Sequence[str], reason: str) -> list[str]:
    together = f"  {field}: [{', '.join(map(value, names))}]  # {reason}"
    if len(together) <= 120:
        return [together]
    return [f"  {field}:  # {reason}", *(f"    - {value(name)}" for name in names)]


def value(text: str) -> str:
    """A text as YAML has it: in quotes unless it is a plain word that no reader takes for anything else."""
    if re.fullmatch("[A-Za-z_][A-Za-z0-9_-]*", text) and yaml.safe_load(text) == text and text.lower() not in "yn":
        return text
    return '"' + "".join(map(_character, text)) + '"'


def note(text: str) -> str:
    """A text that ends no comment, whatever names are in it."""
    return "".join(letter if letter.isprintable() else _character(letter) for letter in text)


def _character(letter: str) -> str:
    if letter in '"\\':
        return "\\" + letter
    if letter.isprintable() and letter != "\ufeff":
        return letter
    number = ord(letter)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}" if number < 65536 else f"\\U{number:08x}"
