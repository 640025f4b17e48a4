"""`python -m inference db`: the schema `prediction`."""

from __future__ import annotations

import typer

from inference.base.database import Databases
from inference.cli.options import JOBS, Folder, JobName, find
from inference.models import model_version
from inference.models.mlflow_rest import Registry
from inference.planning import plan
from inference.schema import migrate

app = typer.Typer(no_args_is_help=True, help="The schema `prediction`.")


@app.command("upgrade", epilog="Example: python -m inference db upgrade")
def upgrade() -> None:
    """Apply the migrations of sql/migrations that are missing, and grant what sql/roles.sql is about."""
    applied = migrate.upgrade(Databases(), print)
    print(f"{len(applied)} migrations applied" if applied else "the schema is up to date")


@app.command("prepare", epilog="Example: python -m inference db prepare intent")
def prepare(name: JobName, folder: Folder = JOBS) -> None:
    """Make or extend a job's tables as the schema's owner, for a planner that may not (docs/security.md)."""
    job, databases = find(name, folder), Databases()
    migrate.require(databases)
    found = model_version.resolve(databases, Registry(), job.model.name, job.model.alias, job.model.allow_pickle)
    plan.prepare(databases, job, found)
    print(f"prediction.{name} is ready")
