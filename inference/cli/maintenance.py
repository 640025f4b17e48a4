"""`python -m inference doctor|repair|prune`: what is wrong, what runs that are over have left, and what is old."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from inference.base.database import Databases
from inference.cli.options import JOBS, Folder
from inference.errors import PermanentError, RequestError
from inference.jobs import job as jobs_module
from inference.jobs.field_types import Duration, interval
from inference.models.mlflow_rest import Registry
from inference.operations import doctor
from inference.operations import prune as pruning
from inference.operations.repair import repair
from inference.schema import migrate

app = typer.Typer()


@app.command("doctor", epilog="Example: python -m inference doctor")
def examine(folder: Folder = JOBS) -> None:
    """Check connections, roles, schema, models, disk, clocks and leftovers; exit code 65 if a run would fail."""
    jobs, errors = jobs_module.load_all(folder)
    findings = [doctor.Finding("error", str(error)) for error in errors]
    for finding in findings:
        _show(finding)
    for finding in doctor.examine(Databases(), jobs.values()):
        _show(finding)
        findings.append(finding)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(PermanentError.exit_code)


def _show(finding: doctor.Finding) -> None:
    print(f"{finding.level:8} {finding.text}")


@app.command("repair", epilog="Example: python -m inference repair")
def remove_leftovers(folder: Folder = JOBS) -> None:
    """Remove work tables, sessions and containers of runs that are over or dead; never of live ones."""
    databases = Databases()
    migrate.require(databases)
    removed = 0
    for what in repair(databases, jobs_module.load_all(folder)[0].values()):
        print(what)
        removed += 1
    if not removed:
        print("nothing to remove")


@app.command("prune", epilog="Example: python -m inference prune --older-than 90d")
def prune(older_than: Annotated[str, typer.Option(help="A duration such as 90d.")]) -> None:
    """Remove old runs with their reports in MLflow, and old resolved quarantine; never what a next run goes by."""
    try:
        age = interval(TypeAdapter(Duration).validate_python(older_than))
    except ValidationError as error:
        raise RequestError(
            f"--older-than {older_than!r}: {error.errors()[0]['msg'].removeprefix('Value error, ')}"
        ) from None
    databases = Databases()
    migrate.require(databases)
    removed = list(pruning.prune(databases, age, lambda: Registry(retries=4)))
    print("\n".join(removed) or "nothing to remove")
