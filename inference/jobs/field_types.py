"""The kinds of values that a job file has: what is allowed, and what is said when something else is there."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)  # fmt: skip

from inference.jobs.sql_expression import one_expression


class Section(BaseModel):
    """A mapping in a job file: its fields and no others, nothing cast."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _cron(text: str) -> str:
    # H and R are croniter's: another moment for each reader.
    drawn = re.search(r"(?i)(?<![a-z])[hr](?![a-z])", text)
    if len(text.split()) != 5 or drawn or not croniter.is_valid(text):
        raise ValueError("not a cron expression of five fields, such as `*/10 * * * *`")
    try:
        croniter(text).get_next()
    except CroniterBadDateError:
        raise ValueError("never comes") from None
    return text


def _time_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ValueError("not a time zone of the IANA list, such as `Asia/Seoul`") from None
    return text


def _duration(text: Any) -> Any:
    match = re.fullmatch(r"([0-9]+)\s*(s|min|h|d)", text) if isinstance(text, str) else None
    if not match:
        raise ValueError("not a duration: a whole number with s, min, h or d, such as `90min`")
    seconds = {"s": 1, "min": 60, "h": 3600, "d": 86400}[match[2]]
    if int(match[1]) * seconds > 3650 * 86400:
        raise ValueError("longer than ten years")
    return text


def _limit(text: str) -> str:
    if not seconds(text):
        raise ValueError("must be longer than 0, which would mean no limit")
    if seconds(text) > 24 * 86400:
        raise ValueError("longer than 24 days, the most that Postgres takes")
    return text


def seconds(duration: str) -> float:
    """Seconds of a duration such as `90min`."""
    number, unit = re.findall(r"\d+|[a-z]+", duration)
    return int(number) * {"s": 1, "min": 60, "h": 3600, "d": 86400}[unit]


def memory_bytes(memory: str) -> int:
    """Bytes of an amount such as `512Mi`."""
    return int(memory[:-2]) << {"Mi": 20, "Gi": 30}[memory[-2:]]


def interval(duration: str) -> timedelta:
    return timedelta(seconds=seconds(duration))


def plain(text: str) -> str:
    """Text that Postgres can hold."""
    if "\0" in text:
        raise ValueError("contains a NUL character")
    return text


def _at_most_63_bytes(text: str) -> str:
    if len(text.encode()) > 63:
        raise ValueError("longer than 63 bytes, which Postgres would cut")
    return text


# What the schema `prediction` holds of the pipeline's own, with indexes and sequences.
TAKEN = (
    "job", "job_pkey", "job_status", "migration", "migration_pkey", "model", "model_model_id_seq",
    "model_name_version_digest_key", "model_pkey", "pruned", "pruned_pkey", "quarantine", "quarantine_key",
    "quarantine_open", "quarantine_pkey", "quarantine_quarantine_id_seq", "run", "run_job",
    "run_job_orchestrator_external_id_key", "run_job_state", "run_one_open", "run_pkey", "run_published_after",
    "run_run_id_seq", "run_summary", "run_totals", "shard", "shard_batch_size", "shard_pkey",
)  # fmt: skip


def _free(name: str) -> str:
    if name in TAKEN:
        raise ValueError(f"names a part of the pipeline's own in the schema `prediction`; taken are {', '.join(TAKEN)}")
    if re.search("__(blue|current|history)(_pkey)?$", name):
        raise ValueError(
            "names a table or view that belongs to another job; taken are all names that end with __blue, __current or "
            "__history"
        )
    return name


Text = Annotated[str, StringConstraints(min_length=1, max_length=2000), AfterValidator(plain)]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(plain)]  # Airflow's limit
# Postgres cuts identifiers at 63 bytes without an error.
Identifier = Annotated[
    str,
    StringConstraints(min_length=1),
    AfterValidator(plain),
    AfterValidator(_at_most_63_bytes),
]
JobName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$"), AfterValidator(_free)]
ConnectionName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Cron = Annotated[str, AfterValidator(_cron)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Duration = Annotated[
    str, BeforeValidator(_duration), WithJsonSchema({"type": "string", "pattern": r"^[0-9]+\s*(s|min|h|d)$"})
]
Timeout = Annotated[Duration, AfterValidator(_limit)]
# As Kubernetes writes it, so that one job file serves both.
Memory = Annotated[str, StringConstraints(pattern=r"^[1-9]\d{0,6}(Mi|Gi)$")]
Rate = Annotated[float, Field(ge=0, le=1)]
Expression = Annotated[str, StringConstraints(min_length=1, max_length=4000), AfterValidator(one_expression)]


def _alias(text: str) -> str:
    """An alias by MLflow's rules, except for a bare number, which is a version everywhere here."""
    if text.isdigit():
        raise ValueError(f"a bare number means a version, not an alias: set an alias to version {text} and name that")
    if not re.fullmatch(r"[\w-]+", text):
        raise ValueError("an alias consists of letters, digits, underscores and hyphens")
    if text.lower() == "latest" or re.fullmatch(r"[vV]\d+", text):
        raise ValueError("MLflow reserves `latest` and `v` with a number: it knows no alias of that name")
    return text


def _version_or_alias(text: str) -> str:
    if not text.isdigit():
        return _alias(text)
    if not re.fullmatch(r"[1-9][0-9]{0,17}", text):
        raise ValueError("a version is a number from 1 on")
    return text


VersionOrAlias = Annotated[
    str, StringConstraints(min_length=1, max_length=255), AfterValidator(plain), AfterValidator(_version_or_alias)
]
Alias = Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(plain), AfterValidator(_alias)]


def _param(value: Any) -> Any:
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, (bool, int, float, str)) for item in items):
        raise ValueError("a parameter is true or false, a number, a text (in quotes), or a list of those")
    if any(isinstance(item, float) and not math.isfinite(item) for item in items):
        raise ValueError("a parameter is a finite number")
    for item in items:
        if isinstance(item, str):
            plain(item)
    return value


_SCALARS = ["boolean", "number", "string"]
Param = Annotated[
    Any,
    AfterValidator(_param),
    WithJsonSchema({"type": [*_SCALARS, "array"], "items": {"type": _SCALARS}}),
]


def explain(
    error: ValidationError, unknown: str, misread: Callable[[tuple[int | str, ...], Any], str | None] | None = None
) -> list[str]:
    """One line for each error: field, value, what is allowed; `unknown` is said of a field that there is not.

    `misread` says of a value that is no text what in the file it comes from.
    """
    lines = []
    for item in error.errors(include_url=False):
        place = item["loc"][:-2] if item["loc"][-1:] == ("[key]",) else item["loc"]
        field = ".".join(str(part) for part in place)
        message = item["msg"].removeprefix("Value error, ")
        if misread and item["type"] == "string_type" and (hint := misread(item["loc"], item["input"])):
            lines.append(f"{field}: {hint}")
        elif item["type"] == "missing":
            lines.append(f"{field}: is missing")
        elif item["type"] == "extra_forbidden":
            lines.append(f"{field}: {unknown}")
        elif isinstance(item["input"], (dict, BaseModel)):
            lines.append(f"{field}: {message}" if field else message)
        else:
            lines.append(f"{field}: {_short(item['input'])}: {message}")
    return lines


def _short(value: Any) -> str:
    """A value as a message shows it: a list of a thousand names says nothing by itself."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:150]}... ({len(text)} characters)"
