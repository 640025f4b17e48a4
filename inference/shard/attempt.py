"""What a shard's process is given: a frozen record, read from the run's row."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Optional

from sqlalchemy.engine import Connection

from ..base import queries, work_names
from ..base.database import PREDICTIONS, Databases
from ..base.protocol import require_format
from ..base.signature import Signature
from ..errors import PermanentError, TakenOver
from . import host
from .session import Session

SQL = queries.load("shard/attempt")

# What the definition of a run may lack, if older code has planned it: the defaults of a job file, without pydantic.
DEFAULTS: dict[str, Any] = {
    "source": {"connection": "predictions", "schema": "public", "where": None, "cursor": None, "changes": "hash"},
    "sizes": {"chunk_rows": 2048, "chunk_bytes": 8_388_608, "batch_rows": None, "rows_per_second": None},
    "model": {"allow_pickle": False, "outputs": (), "nulls": "quarantine"},
    "max_parallel_shards": 2,
}


@dataclass(frozen=True)
class Shard:
    """One attempt at one shard. Ordinals are inclusive; `cursor` is the last committed one."""

    run_id: int
    generation: int
    number: int
    attempt: int
    first: int
    last: int
    cursor: int

    def __str__(self) -> str:
        return f"run {self.run_id} shard {self.number}"


@dataclass(frozen=True)
class Work:
    """Job, model and shard, as plan wrote them down."""

    shard: Shard
    job: str
    source: dict[str, Any]
    sizes: dict[str, Any]
    batch_size: Optional[int]  # what this shard had come to, or else what is known of the model on such a machine
    memory_kills: int  # of earlier attempts
    digest: str
    allow_pickle: bool
    nulls: str  # what a NULL means in a tensor
    params: dict[str, Any]
    signature: Signature
    page_timeout: str  # as Postgres reads it
    batch_seconds: float
    rows_per_second: float  # of this shard; `inf` where there is no limit
    deaths: int  # of earlier attempts, by the model
    apart: range  # ordinals to be scored one by one
    culprits: dict[int, str]  # ordinals that a process died on, and how
    dense: bool  # ordinals follow the key, and most rows of the source are in the work list
    inputs_kept: bool  # the work list holds the inputs, and no source is read


def begin(connection: Connection, run_id: int, generation: int, number: int) -> Work:
    """Start the next attempt at a shard; earlier attempts can write nothing from here on.

    Raises TakenOver if the run is over, or a later plan or run owns the work, WorkLost if Postgres emptied the work
    list, PermanentError if there is no such shard.
    """
    values: dict[str, Any] = {"run_id": run_id, "generation": generation, "shard": number}
    work, result = (f"{name}_{run_id}_{generation}" for name in ("work", "result"))
    queries.run(connection, SQL["terminate"], **values)
    run = queries.run(connection, SQL["run"], run_id=run_id).mappings().first()
    if run is None:
        raise PermanentError(f"there is no run {run_id}")
    names = {"work": f"prediction_work.{work}", "result": f"prediction_work.{result}"}
    if queries.run(connection, SQL["predicting"], **values, **names).rowcount == 0:
        raise TakenOver(
            f"run {run_id} is {run['state']} in generation {run['generation']}: generation {generation} of it has "
            "nothing to do any more: a later plan or run has begun, or its work tables are gone, as after a discard"
        )
    require_format(run["definition"], run_id)
    if not queries.run(connection, SQL["sentinel"], {"work": queries.work_table(work)}).scalar():
        raise work_names.lost(run_id)
    definition = completed(run["definition"])
    fixed = definition["sizes"]["batch_rows"]
    values["host_class"] = None if fixed else host.kind()
    row = queries.run(connection, SQL["begin"], host=host.name(), batch_rows=fixed, **values).mappings().first()
    if row is None:
        raise PermanentError(f"run {run_id}, generation {generation} has no shard {number}")
    shard = Shard(run_id, generation, number, row["attempt"], row["first_ordinal"], row["last_ordinal"], row["cursor"])
    size = row["batch_size"]
    if size is None:
        size = queries.run(connection, SQL["known_batch_size"], model_id=row["model_id"], **values).scalar()
    return Work(
        shard=shard,
        job=run["job"],
        source=definition["source"],
        sizes=definition["sizes"],
        batch_size=size,
        memory_kills=row["memory_kills"],
        digest=run["digest"],
        allow_pickle=definition["model"]["allow_pickle"],
        nulls=definition["model"]["nulls"],
        params=json.loads(definition["source"].get("answers", "{}")).get("params", {}),
        signature=Signature.from_json(run["inputs"], run["outputs"], run["params"]).named(
            definition["model"]["outputs"], "the model"
        ),
        page_timeout=run["page_timeout"],
        batch_seconds=run["batch_seconds"],
        rows_per_second=(definition["sizes"]["rows_per_second"] or math.inf) / definition["max_parallel_shards"],
        deaths=row["deaths"],
        apart=range(row["apart_from"], row["apart_to"]),
        culprits={int(ordinal): how for ordinal, how in row["culprits"].items()},
        dense=run["dense"],
        inputs_kept=run["inputs_kept"],
    )


def completed(definition: dict[str, Any]) -> dict[str, Any]:
    """A stored definition with a default for whatever a shard needs and the definition lacks."""
    sections = {
        name: {**default, **definition.get(name, {})} for name, default in DEFAULTS.items() if isinstance(default, dict)
    }
    return {**DEFAULTS, **definition, **sections}


def session(databases: Databases, work: Work, prepare: Callable[[Connection], None] = lambda _: None) -> Session:
    """A session with the predictions' database that a successor of this attempt can end for as long as it is open."""

    def on_connect(connection: Connection) -> None:
        register(connection, work.shard)
        prepare(connection)

    def on_close(connection: Connection) -> None:
        queries.run(connection, SQL["forget"], **identity(work.shard))

    return Session(databases, PREDICTIONS, on_connect, work.page_timeout, on_close)


def register(connection: Connection, shard: Shard) -> None:
    """Name this session, and record its server process with the attempt, so that a successor can end it.

    Behind a pooler a process outlives its client and serves others, under their names.
    """
    name = f"prediction run {shard.run_id}.{shard.generation} shard {shard.number} attempt {shard.attempt}"
    if queries.run(connection, SQL["register"], name=name, **identity(shard)).rowcount == 0:
        raise taken_over(shard)


def taken_over(shard: Shard) -> TakenOver:
    return TakenOver(
        f"{shard}: attempt {shard.attempt} was taken over by a later one, or its run is over. Nothing was written"
    )


def identity(shard: Shard) -> dict[str, Any]:
    return {
        "run_id": shard.run_id,
        "generation": shard.generation,
        "shard": shard.number,
        "attempt": shard.attempt,
    }
