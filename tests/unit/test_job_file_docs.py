"""docs/job-file.md says what the model class says: every field, its default and its description, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from inference.jobs.field_types import Section
from inference.jobs.job import Job
from inference.jobs.kubernetes_section import Toleration
from inference.jobs.sections import Notifier, OutputCheck

ROOT = Path(__file__).parents[2]


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from fields(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + (field.alias or name), field


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is None:
        return "—"
    if field.default in ((), {}):
        return "none"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def test_every_field_is_documented_with_its_default_and_nothing_else_is() -> None:
    text = (ROOT / "docs" / "job-file.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `([^`]+)` \| (.+?) \| (.+) \|$", text, flags=re.MULTILINE)
    declared = [
        *fields(Job), *fields(OutputCheck, "checks.outputs.<column>."), *fields(Notifier), *fields(Toleration)
    ]  # fmt: skip

    assert sorted(documented) == sorted((name, default(field), field.description) for name, field in declared)
