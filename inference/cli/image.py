"""`python -m inference image`: the images of model versions."""

from __future__ import annotations

from typing import Annotated

import typer

from inference.base.database import Databases
from inference.cli.options import JOBS, Folder
from inference.images import image
from inference.jobs import job as jobs_module
from inference.models import reference
from inference.models.mlflow_rest import Registry
from inference.schema import migrate

app = typer.Typer(no_args_is_help=True, help="Images of model versions, for the runners `docker` and `kubernetes`.")


@app.command("build", epilog="Example: python -m inference image build intent@champion")
def build(
    model: Annotated[str, typer.Argument(help="MODEL, MODEL@ALIAS or MODEL:VERSION; @champion without either.")],
    torch: Annotated[str | None, typer.Option(help="A build of torch: cpu, or CUDA such as cu128.")] = None,
    folder: Folder = JOBS,
) -> None:
    """Build a version's image, check that it keeps the contract, and record it with the version in MLflow."""
    name, wanted = reference.parse(model)
    jobs = [job for job in jobs_module.load_all(folder)[0].values() if job.model.name == name]
    databases = Databases()
    migrate.require(databases)
    found, built = image.build(databases, Registry(), name, wanted, jobs, torch)
    print(f"{found}: {built.name} ({built.id})")


@app.command("prune", epilog="Example: python -m inference image prune")
def prune() -> None:
    """Remove this machine's images of versions that are neither live nor previous in any job."""
    removed = image.prune(Databases())
    print(f"{len(removed)} images removed" + "".join(f"\n{name}" for name in removed))
