"""`python -m inference doctor|repair`: is everything as a run needs it, and what is left of runs that are over."""

from __future__ import annotations

import typer

from inference import doctor, migrate
from inference import job as jobs_module
from inference.database import Databases
from inference.options import JOBS, Folder
from inference.repair import repair

app = typer.Typer()


@app.command("doctor", epilog="Example: python -m inference doctor")
def examine(folder: Folder = JOBS) -> None:
    """Check connections, roles, schema, models, disk, clocks and leftovers; exit code 1 if a run would fail."""
    jobs, errors = jobs_module.load_all(folder)
    findings = [doctor.Finding("error", str(error)) for error in errors]
    for finding in findings:
        _show(finding)
    for finding in doctor.examine(Databases(), jobs.values()):
        _show(finding)
        findings.append(finding)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(1)


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
