"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inference.base.root import ROOT
from inference.errors import JobError
from inference.jobs import job as jobs_module
from inference.jobs.job import Job

JOBS = ROOT / "dags" / "jobs"
JobName = Annotated[str, typer.Argument(help="Name of the job: its file in dags/jobs without `.yaml`.")]
RunId = Annotated[int, typer.Argument(help="Number of a run, as `status` shows it.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Folder = Annotated[
    Path, typer.Option(help="Folder of the job files.", envvar="INFERENCE_JOBS", exists=True, file_okay=False)
]


def find(name: str, folder: Path) -> Job:
    """The job of that name; raises JobError with the names that there are."""
    path = folder / f"{name}.yaml"
    if not path.exists():
        names = ", ".join(sorted(item.stem for item in folder.glob("*.yaml")))
        raise JobError(f"there is no job {name!r} in {folder}; there are: {names or 'none'}")
    return jobs_module.load(path)
