"""A job file: one declared batch prediction. `dags/jobs/<name>.yaml`, validated here, documented in
`docs/job-file.md`; `python -m inference jobs --schema` writes its JSON Schema for editors.

INFERENCE_RUNNER            the runner of job files that name none, instead of `venv`: for a deployment whose shards all
                            run in one way, such as docker-compose.yaml
"""

from __future__ import annotations

import json
import os
import re
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, model_validator

from inference.errors import JobError
from inference.jobs import yaml_file
from inference.jobs.field_types import Duration, Expression, JobName, Section, Tag, Text, explain
from inference.jobs.kubernetes_section import Placement
from inference.jobs.sections import Checks, Model, Notify, Resources, Retries, Schedule, Sizes, Source, Timeouts

STORED = "stored"  # context of validation: the job of a run, whose fields fitted together by the rules of its time


class Job(Section):
    """One batch prediction: source, model, target, schedule."""

    name: JobName = Field(
        description="Equal to the file's name; names the DAG, the view `prediction.<name>` and its tables."
    )
    description: Text = Field(description="One sentence for people; the heading of the DAG's page.")
    owner: Text = Field(description="Who answers for this job.")
    tags: tuple[Tag, ...] = Field((), strict=False, description="Tags of the DAG.")
    source: Source
    model: Model
    schedule: Schedule = Schedule()
    sizes: Sizes = Sizes()
    timeouts: Timeouts = Timeouts()
    cost: Expression = Field("1", description="SQL expression over the source's columns: what scoring a row costs.")
    deduplicate: bool | None = Field(
        None, description="Score equal inputs once a run. Default: only if `cost` is not constant."
    )
    max_planned_rows: int = Field(10_000_000, ge=1, description="A run that plans more is held.")
    hold_timeout: Duration = Field("1d", description="How long a held run blocks the next ones.")
    history: Literal["none", "append"] = Field("none", description="`append` keeps superseded predictions.")
    checks: Checks = Checks()
    runner: Literal["venv", "docker", "kubernetes"] = Field(
        "venv",
        description="Where shards run: `venv`, a virtual environment per model; `docker`, its image; "
        "`kubernetes`, its image in a cluster.",
    )
    resources: Resources = Resources()
    kubernetes: Placement = Placement()
    retries: Retries = Retries()
    pool: Text = Field("default_pool", description="Airflow pool that the shards take slots from.")
    max_parallel_shards: int = Field(2, ge=1, le=1000, description="Shards of one run at a time.")
    notify: Notify = Notify()

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> Job:
        if info.context == STORED:
            return self
        if self.source.changes == "none" and self.deduplicate:
            raise ValueError("deduplicate: true needs source.changes: hash, since equal inputs are found by hash")
        if self.source.changes == "none" and self.source.cursor:
            raise ValueError("source.cursor: finds changed rows; with source.changes: none remove it")
        if self.notify.on_stale and not self.notify.max_age:
            raise ValueError("notify.on_stale: needs notify.max_age")
        if self.notify.on_quarantine and self.notify.max_quarantine_rate is None:
            raise ValueError("notify.on_quarantine: needs notify.max_quarantine_rate")
        if self.runner == "kubernetes" and self.name.endswith("_"):
            raise ValueError("name: labels of pods cannot end with an underscore; with runner: kubernetes rename it")
        return self

    @property
    def constant_cost(self) -> bool:
        return re.fullmatch(r"\s*\d+(\.\d+)?\s*", self.cost) is not None

    @property
    def by_key(self) -> bool:
        """Whether the ordinals of a run follow the key."""
        return self.constant_cost and not self.scores_once

    @property
    def scores_once(self) -> bool:
        """Whether equal inputs are scored once."""
        if self.source.changes == "none":
            return False
        return not self.constant_cost if self.deduplicate is None else self.deduplicate


def section(job: Job) -> dict[str, Any]:
    """What decides which rows are pending, as data that travels to shards.

    It is the section `source`, and `answers` with what the job sets for its model, if it sets anything: as text, since
    jsonb writes numbers in a form of its own.
    """
    answers = json.dumps(job.model.answers, ensure_ascii=False, sort_keys=True)
    given = {"answers": answers} if job.model.answers else {}
    return {**job.source.model_dump(mode="json", by_alias=True), **given}


def load(path: Path) -> Job:
    """Read one job file. Raises JobError: file, field, value, what is allowed; all errors at once."""
    content = yaml_file.read(path)
    given = {"runner": os.environ["INFERENCE_RUNNER"]} if os.environ.get("INFERENCE_RUNNER") else {}
    try:
        job = Job.model_validate({**given, **content})
    except ValidationError as error:
        unknown = "is no field of a job file; the fields are in docs/job-file.md"
        lines = "\n".join(f"  {line}" for line in explain(error, unknown, partial(yaml_file.misread, path)))
        raise JobError(f"{path.name}: {error.error_count()} error(s)\n{lines}") from None
    if job.name != path.stem:
        raise JobError(f"{path.name}: name: {job.name!r} must be the file's name, {path.stem!r}")
    return job


def load_all(folder: Path) -> tuple[dict[str, Job], list[JobError]]:
    """All jobs of a folder by name, and the errors of the files that are no jobs."""
    jobs, errors = {}, []
    for path in sorted(folder.glob("*.yaml")):
        try:
            jobs[path.stem] = load(path)
        except JobError as error:
            errors.append(error)
    return jobs, errors
