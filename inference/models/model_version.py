"""`prediction.model`: what a prediction was made by. A version is met once, then known by its row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection

from inference.base import queries, state_folder
from inference.base.database import PREDICTIONS, Databases
from inference.base.digest import digest
from inference.base.signature import Signature
from inference.errors import ModelError
from inference.models import artifact
from inference.models.artifact import Artifact
from inference.models.mlflow_rest import Registry, Version

SQL = queries.load("models/model_version")


@dataclass(frozen=True)
class Image:
    """A container image: a name that the engine finds it by, and the id that it must have."""

    name: str
    id: str


@dataclass(frozen=True)
class Model:
    """A row of `prediction.model`; `image`: of the run that it was planned for, if its runner needs one.

    judged: whether its row says all that this code would say of the version's files.
    """

    model_id: int
    version: Version
    artifact: Artifact
    image: Image | None = None
    judged: bool = True

    def __str__(self) -> str:
        return str(self.version)

    def named(self, outputs: Sequence[str]) -> Model:
        """The model as a job has it that names its outputs. Raises ModelError if the names do not fit."""
        signature = self.artifact.signature.named(outputs, str(self))
        return replace(self, artifact=replace(self.artifact, signature=signature))


def resolve(databases: Databases, registry: Registry, name: str, reference: str, allow_pickle: bool) -> Model:
    """Resolve an alias or a version number to a known model; a version never met is fetched.

    Raises Unavailable if MLflow does not answer, ModelError if the version cannot serve.
    """
    model = meet(databases, registry, registry.resolve(name, reference))
    if model.artifact.pickled and not allow_pickle:
        raise ModelError(
            f"{model}: {artifact.unpickled(state_folder.model_folder(model.artifact.digest))}. Or set "
            "model.allow_pickle: true in the job file, if you trust who logged it"
        )
    return model


def meet(databases: Databases, registry: Registry, version: Version) -> Model:
    if found := known(databases, version):
        return found if found.judged else _judged_again(databases, found)
    fetched = artifact.fetch(registry, version)
    read = artifact.read(state_folder.model_folder(fetched), version)
    with databases.begin(PREDICTIONS) as connection:
        return Model(_add(connection, version, read), version, read)


def _judged_again(databases: Databases, found: Model) -> Model:
    """What older code kept of a version says less than its files do; without them here, it is all there is."""
    path = state_folder.model_folder(found.artifact.digest)
    if not path.exists() or digest(path) != found.artifact.digest:
        return found
    read = artifact.read(path, found.version)
    with databases.begin(PREDICTIONS) as connection:
        return Model(_add(connection, found.version, read), found.version, read)


def known(databases: Databases, version: Version) -> Model | None:
    """The row of a version that was met before."""
    with databases.begin(PREDICTIONS) as connection:
        return _find(connection, version)


def by_run(connection: Connection, run_id: int) -> Model:
    """The model that a run was planned with."""
    row = queries.run(connection, SQL["by_run"], run_id=run_id).mappings().one()
    version = Version(row["name"], row["version"], row["artifact"], row["mlflow_run_id"])
    image = Image(row["image"], row["image_id"]) if row["image"] else None
    outputs = row["definition"].get("model", {}).get("outputs", ())
    return Model(row["model_id"], version, _artifact(dict(row)), image).named(outputs)


def _find(connection: Connection, version: Version) -> Model | None:
    values = {"name": version.name, "version": version.version, "artifact": version.artifact}
    row = queries.run(connection, SQL["find"], **values).mappings().first()
    if row is None:
        return None
    judged = row["params"] is not None and all("declared" in item for item in row["inputs"])
    return Model(row["model_id"], version, _artifact(dict(row)), judged=judged)


def _artifact(row: dict[str, Any]) -> Artifact:
    return Artifact(
        digest=row["digest"],
        python_version=row["python_version"],
        requirements=tuple(row["requirements"]),
        signature=Signature.from_json(row["inputs"], row["outputs"], row["params"]),
        pickled=row["pickled"],
    )


def _add(connection: Connection, version: Version, found: Artifact) -> int:
    inputs, outputs, params = found.signature.to_json()
    added = queries.run(
        connection,
        SQL["add"],
        name=version.name,
        version=version.version,
        digest=found.digest,
        mlflow_run_id=version.run_id,
        artifact=version.artifact,
        python_version=found.python_version,
        requirements=json.dumps(found.requirements),
        inputs=inputs,
        outputs=outputs,
        params=params,
        pickled=found.pickled,
    )
    return int(added.scalar_one())
