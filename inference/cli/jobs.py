"""`python -m inference jobs`: the job files."""

from __future__ import annotations

import csv
import json
import logging
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from inference import pipeline
from inference.authoring import new_job
from inference.authoring.new_job import Given
from inference.authoring.questions import Questions
from inference.base.database import Databases
from inference.cli import terminal
from inference.cli.options import JOBS, Folder, Json
from inference.errors import JobError, RequestError
from inference.jobs import job as jobs_module
from inference.jobs.job import Job
from inference.jobs.request import Request
from inference.models.mlflow_rest import Registry
from inference.operations import status

log = logging.getLogger(__name__)
app = typer.Typer(invoke_without_command=True)


@app.callback(epilog="Example: python -m inference jobs --schema > jobs.schema.json")
def list_jobs(
    context: typer.Context,
    folder: Folder = JOBS,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of a job file.")] = False,
    drop: Annotated[str | None, typer.Option(help="Drop a removed job's tables, view and runs.")] = None,
    as_json: Json = False,
) -> None:
    """List the job files, those that are wrong, and jobs that have tables but no file."""
    if context.invoked_subcommand is not None:
        return
    if schema:
        print(json.dumps(Job.model_json_schema(), indent=2))
        return
    found, errors = jobs_module.load_all(folder)
    files = {path.stem for path in folder.glob("*.yaml")}  # a wrong one is a job's as well
    if drop is not None:
        if drop in files:
            raise RequestError(f"job {drop!r} has a job file; remove {folder / (drop + '.yaml')} first")
        status.drop(Databases(), drop)
        print(f"dropped what job {drop!r} had left")
        return
    removed = sorted(set(status.known(Databases())) - files) if os.environ.get("AIRFLOW_CONN_PREDICTIONS") else []
    rows = [
        {"job": job.name, "schedule": job.schedule.cron, "model": f"{job.model.name}@{job.model.alias}",
         "owner": job.owner, "description": job.description} for job in found.values()
    ]  # fmt: skip
    rows += [{"job": name, "description": "removed: no job file; --drop drops its tables"} for name in removed]
    terminal.show(rows, as_json)
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    if errors:
        raise typer.Exit(JobError.exit_code)


@app.command("new", epilog="Example: python -m inference jobs new sentiment --model sentiment --source shop.review")
def new(
    name: Annotated[str, typer.Argument(help="Name of the new job: small letters, digits and _.")],
    from_source: Annotated[
        str, typer.Option("--source", help="[CONNECTION:][SCHEMA.]RELATION; without a schema, public.")
    ],
    model: Annotated[str | None, typer.Option(help="MODEL, MODEL@ALIAS or MODEL:VERSION in MLflow.")] = None,
    key: Annotated[str | None, typer.Option(help="Columns of the key, with commas between.")] = None,
    inputs: Annotated[str | None, typer.Option(help="Columns of the model's inputs, with commas between.")] = None,
    cursor: Annotated[str | None, typer.Option(help="A timestamptz that each insert and update sets.")] = None,
    cron: Annotated[str | None, typer.Option(help="When to run, five fields in UTC; by hand without it.")] = None,
    owner: Annotated[str | None, typer.Option(help="Who answers for the job.")] = None,
    description: Annotated[str | None, typer.Option(help="One sentence for people.")] = None,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Accept a model whose loading runs its code.")
    ] = False,
    set_alias: Annotated[
        bool, typer.Option("--set-alias", help="Set the model's alias in MLflow if it does not lead there.")
    ] = False,
    dry_run: Annotated[
        bool | None, typer.Option("--dry-run/--no-dry-run", help="Then show ten samples; writes no prediction.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the job file if there is one.")] = False,
    folder: Folder = JOBS,
) -> None:
    """Write a job file that fits a registered model and a table or view; asks where it is unsure."""
    given = Given(
        name, from_source, model, _names("--key", key), _names("--inputs", inputs), cursor, cron, owner, description,
        allow_pickle, set_alias, force,
    )  # fmt: skip
    databases, questions = Databases(), Questions()
    job = new_job.make(databases, Registry(), given, folder, questions)
    path = (folder / f"{name}.yaml").absolute()
    print(f"wrote {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}; read its comments")
    if dry_run is None and questions.terminal:
        dry_run = typer.confirm("Show ten samples now? This makes the model's environment, and writes no prediction")
    if dry_run:
        print(pipeline.run(databases, job, Request(dry_run=True), log.info, terminal.watch(databases)).message)
    place = "" if folder == Path(os.environ.get("INFERENCE_JOBS", JOBS)) else f" --folder {shlex.quote(str(folder))}"
    look = new_job.SQL["look"].format(view=f"prediction.{name}")
    print(f"next:\n  python -m inference run {name}{place}\n  psql \"$AIRFLOW_CONN_PREDICTIONS\" -c '{look}'")
    print(f"If that folder is Airflow's, its DAG {name} is there within seconds: un-pause it.")


def _names(option: str, text: str | None) -> tuple[str, ...]:
    """Names with commas between; one with a comma stands in double quotes."""
    names = tuple(next(csv.reader([text], skipinitialspace=True), [])) if text is not None else ()
    if text is not None and (not names or "" in names or len(set(names)) < len(names)):
        raise RequestError(f"{option} {text!r}: names of columns with commas between, each once")
    return names
