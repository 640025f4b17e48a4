"""`python -m inference models`: registered models, their signatures and their environments."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from inference.base import state_folder
from inference.base.database import Databases
from inference.base.root import ROOT
from inference.cli import terminal
from inference.cli.options import JOBS, Folder, JobName, Json, find
from inference.errors import RequestError
from inference.models import environment, listing, logged, model_version, reference, sign
from inference.models.mlflow_rest import Registry
from inference.models.packages import PackagesError
from inference.runners import venv
from inference.schema import migrate

app = typer.Typer(no_args_is_help=True, help="Registered models, their signatures and their environments.")
HOW_TO_REGISTER = (
    "no model is registered. Log one with its flavour, for example mlflow.sklearn.log_model(model, name='model', "
    "input_example=rows, registered_model_name='NAME'), and set an alias: MlflowClient().set_registered_model_alias("
    "'NAME', 'champion', 1). Or train and register a folder: python -m inference models register --help"
)


@app.command("list", epilog="Example: python -m inference models list intent")
def list_models(
    name: Annotated[str | None, typer.Argument(help="One model; all without it.")] = None,
    limit: Annotated[int, typer.Option(help="Versions to show, the newest.", min=1)] = 30,
    as_json: Json = False,
) -> None:
    """Show the registered versions with alias, signature, size and environment, the newest first."""
    rows = [asdict(item) for item in listing.models(Registry(), name, limit)]
    if rows or as_json:
        terminal.show(rows, as_json)
    else:
        print(HOW_TO_REGISTER)


@app.command("sign", epilog="Example: python -m inference models sign intent --example rows.json")
def sign_model(
    model: Annotated[str, typer.Argument(help="MODEL, MODEL@ALIAS or MODEL:VERSION; @champion without either.")],
    example: Annotated[Path, typer.Option(help="Rows that the model takes: a file of JSON or CSV.")],
    alias: Annotated[str | None, typer.Option(help="Alias to move to the new version.")] = None,
    allow_pickle: Annotated[bool, typer.Option("--allow-pickle", help="Load a model that is unpickled.")] = False,
) -> None:
    """Register a version again with a signature, which is inferred from the model's answer to an example."""
    registry = Registry()
    made, signature = sign.sign(registry, registry.resolve(*reference.parse(model)), example, allow_pickle, print)
    if alias is not None:
        registry.call("POST", "registered-models/alias", name=made.name, alias=alias, version=made.version)
    print(f"{made}: {signature}")
    if alias is None:
        print(f"Its alias is not set: python -m inference models alias {made.name}:{made.version} champion")


@app.command("alias", epilog="Example: python -m inference models alias intent:3 champion")
def set_alias(
    model: Annotated[str, typer.Argument(help="MODEL:VERSION, or MODEL@ALIAS.")],
    alias: Annotated[str, typer.Argument(help="The alias to move to that version.")],
) -> None:
    """Move an alias to a version. The next run of the jobs that name the alias uses it."""
    registry = Registry()
    version = registry.resolve(*reference.parse(model))
    registry.call("POST", "registered-models/alias", name=version.name, alias=alias, version=version.version)
    print(f"{version.name}@{alias} is version {version.version}")


@app.command("prepare", epilog="Example: python -m inference models prepare intent")
def models_prepare(name: JobName, folder: Folder = JOBS) -> None:
    """Fetch the model that a job's alias means now, and make its environment, ahead of the first run."""
    job, registry = find(name, folder), Registry()
    databases = Databases()
    migrate.require(databases)
    found = model_version.resolve(databases, registry, job.model.name, job.model.alias, job.model.allow_pickle)
    print(f"{found}: {venv.prepare(registry, found)}")


@app.command("register", epilog="Example: python -m inference models register examples/keyword --name keyword")
def models_register(
    folder: Annotated[Path, typer.Argument(help="Folder with train.py and requirements.txt.")],
    name: Annotated[str, typer.Option(help="Name in the registry.")],
    alias: Annotated[str, typer.Option(help="Alias to move to the new version.")] = "champion",
    data: Annotated[Path | None, typer.Option(help="Data to train on, passed on as --data.")] = None,
) -> None:
    """Train a model in an environment of its own requirements, register the version, move the alias."""
    for needed in ("train.py", "requirements.txt"):
        if not (folder / needed).is_file():
            raise RequestError(f"{folder}: has no {needed}; a model's folder holds train.py and requirements.txt")
    try:
        requirements = logged.requirements(folder / "requirements.txt")
    except PackagesError as error:
        raise RequestError(f"{folder}: {error}") from None
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    runtime = ROOT / "inference" / "requirements.txt"
    python = environment.ensure(version, requirements, state_folder.folder(), runtime, print)
    command = [str(python), str(folder / "train.py"), "--name", name, "--alias", alias]
    command += ["--data", str(data)] if data else []
    raise typer.Exit(subprocess.run(command, check=False).returncode)
