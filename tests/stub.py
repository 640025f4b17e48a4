"""A company, a job and models without MLflow: what most tests of the pipeline need.

The stub models return the SHA-256 of the text, so that a test can tell which input a prediction was made from.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import yaml
from sqlalchemy import text as statement

from inference.base.database import PREDICTIONS, Databases
from inference.base.mlmodel import DTYPES
from inference.base.outputs import Output
from inference.base.signature import Input, Signature
from inference.jobs.job import Job
from inference.jobs.request import Request
from inference.models import model_version
from inference.models.artifact import Artifact
from inference.models.mlflow_rest import Version
from inference.models.model_version import Model
from inference.planning import plan
from inference.planning.plan import Planned
from inference.publishing import check, publish
from inference.schema.lease import Caller
from inference.scoring.predict import Predictor
from inference.shard import shard

TEXT = Signature(
    (Input("text", "string", "object", True),),
    (Output("digest", "text", True), Output("length", "bigint", True)),
)


_NUMBERS = itertools.count(1)


class Digest:
    """Predicts the SHA-256 and the length of the text; `fail` raises on texts that it should not score."""

    def __init__(self, fail: Callable[[str], bool] = lambda text: False) -> None:
        self.fail = fail
        self.calls = 0
        self.rows = 0

    def predict(self, data: pd.DataFrame) -> pd.DataFrame:
        self.calls += 1
        self.rows += len(data)
        texts = data["text"].tolist()
        for text in texts:
            if self.fail(text):
                raise ValueError(f"cannot score {text!r}")
        return pd.DataFrame({"digest": [digest(text) for text in texts], "length": [len(text or "") for text in texts]})


def digest(text: str | None) -> str:
    return hashlib.sha256((text or "").encode()).hexdigest()


def job(**changes: Any) -> Job:
    """A job over the table `message`; `source__where="..."` changes a field of a section."""
    content = yaml.safe_load(
        """
        {name: intent, description: A test, owner: tests, cost: "coalesce(length(text), 0) + 1",
         source: {relation: message, key: [id], inputs: [text]}, model: {name: intent},
         sizes: {chunk_rows: 100, batch_rows: 64}}
        """
    )
    for name, value in changes.items():
        section, _, field = name.rpartition("__")
        (content.setdefault(section, {}) if section else content)[field] = value
    return Job.model_validate(content)


def register(databases: Databases, version: str = "1", signature: Signature = TEXT) -> Model:
    """A row of `prediction.model`, as if the registry had named it."""
    found = Version("intent", version, f"models:/m-{version}", None)
    artifact = Artifact(f"digest-{version}", "3.11.7", (), signature, False)
    with databases.begin(PREDICTIONS) as connection:
        return Model(model_version._add(connection, found, artifact), found, artifact)


class Printed:
    """Predicts what it was given, printed: for inputs of any type."""

    def predict(self, data: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"printed": [repr(row) for row in data.itertuples(index=False, name=None)]})


def printing(**inputs: str) -> Signature:
    """The signature of a model `Printed` with these inputs, by MLflow's type."""
    columns = tuple(Input(name, kind, DTYPES[kind], False) for name, kind in inputs.items())
    return Signature(columns, (Output("printed", "text", True),))


class Pipeline:
    """Runs a job's stages in this process with a stub model."""

    def __init__(
        self,
        databases: Databases,
        a_job: Job | None = None,
        predictor: Predictor | None = None,
        signature: Signature = TEXT,
    ) -> None:
        self.databases = databases
        self.job = a_job or job()
        self.predictor = predictor or Digest()
        self.model = register(databases, signature=signature)

    def plan(self, external_id: str | None = None, orchestrator: str = "airflow", **request: Any) -> Planned:
        caller = Caller(orchestrator, external_id or f"run-{next(_NUMBERS)}", orchestrator == "airflow")
        return plan.plan(self.databases, self.job, Request(**request), self.model, caller)

    def predict(self, planned: Planned) -> None:
        for number in planned.shards:
            shard.run(self.databases, planned.run_id, planned.generation, number, lambda work: self.predictor)

    def finish(self, planned: Planned) -> str:
        """Check and publish; returns the run's last state."""
        checked = check.check(self.databases, planned.run_id)
        return publish.publish(self.databases, planned.run_id).state if checked.state == "checked" else checked.state

    def run(self, **request: Any) -> Planned:
        planned = self.plan(**request)
        if planned.state == "planned":
            self.predict(planned)
            self.finish(planned)
        return planned


def sql(databases: Databases, query: str, name: str = PREDICTIONS, **values: Any) -> list[tuple[Any, ...]]:
    """Run one statement in a transaction of its own; its rows, if it has any."""
    with databases.begin(name) as connection:
        result = connection.execute(statement(query), values)
        return [tuple(row) for row in result] if result.returns_rows else []


def create_messages(databases: Databases, texts: Sequence[str | None], name: str = PREDICTIONS) -> None:
    """The company's table, with ids from 1 on."""
    sql(
        databases,
        "CREATE TABLE message (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, text text, channel text, "
        "updated_at timestamptz NOT NULL DEFAULT now())",
        name,
    )
    sql(
        databases,
        "INSERT INTO message (text) SELECT value #>> '{}' FROM jsonb_array_elements(CAST(:texts AS jsonb))",
        name,
        texts=json.dumps(list(texts)),
    )


def predictions(databases: Databases, view: str = "prediction.intent") -> dict[Any, Mapping[str, Any]]:
    """What people see, by key."""
    with databases.begin(PREDICTIONS) as connection:
        rows = connection.execute(statement(f"SELECT * FROM {view}")).mappings()  # noqa: S608
        return {row["id"]: dict(row) for row in rows}


def run_row(databases: Databases, run_id: int) -> Mapping[str, Any]:
    with databases.begin(PREDICTIONS) as connection:
        return dict(
            connection.execute(statement("SELECT * FROM prediction.run WHERE run_id = :r"), {"r": run_id})
            .mappings()
            .one()
        )


def present_hashes(databases: Databases, section: dict[str, Any], name: str = PREDICTIONS) -> dict[Any, str]:
    """The hash of each source row's present input, written apart from the pipeline's own SQL."""
    names = json.dumps([1, *section["inputs"]], ensure_ascii=False)
    rows = sql(
        databases, "SELECT id, CAST(md5(:names || CAST(ROW(text) AS text)) AS uuid) FROM message", name, names=names
    )
    return dict(rows)


def assert_current(databases: Databases, name: str = PREDICTIONS) -> None:
    """Each row of `message` has one prediction, made from its present text, and there are no others."""
    texts = dict(sql(databases, "SELECT id, text FROM message", name))
    hashes = present_hashes(databases, {"inputs": ["text"]}, name)
    found = sql(databases, "SELECT id, digest, length, input_hash FROM prediction.intent")
    assert sorted(found) == sorted((key, digest(text), len(text or ""), hashes[key]) for key, text in texts.items())


def counts(databases: Databases, run_id: int) -> dict[str, int]:
    """What became of a run's rows: the counts that are not zero."""
    row = run_row(databases, run_id)
    names = ("planned", "predicted", "reused", "quarantined", "vanished", "deferred", "changed_at_read", "deleted")
    return {name: row[name] for name in names if row[name]}
