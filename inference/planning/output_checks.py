"""The output checks of a job file, judged at plan: is each of them about an output that it can be asked of?"""

from __future__ import annotations

from sqlalchemy.engine import Connection

from inference.base.outputs import Output
from inference.errors import JobError
from inference.jobs.job import Job
from inference.schema import job_tables

_NUMBERS = {"integer", "bigint", "real", "double precision"}


def validate(connection: Connection, job: Job, outputs: tuple[Output, ...]) -> None:
    """Raise JobError unless the job's output checks fit the model's outputs, or those of a version before it."""
    kinds = {**job_tables.outputs_of(connection, job.name), **{item.name: item.type for item in outputs}}
    for name, wanted in job.checks.outputs.items():
        if name not in kinds:
            raise JobError(f"checks.outputs.{name}: is no output of {job.model.name}, which has: {', '.join(kinds)}")
        if (wanted.min is not None or wanted.max is not None) and kinds[name] not in _NUMBERS:
            raise JobError(f"checks.outputs.{name}: min and max are for numbers; this output is {kinds[name]}")
