"""The sections of a job file, documented in `docs/job-file.md`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from inference.jobs.field_types import (
    Alias,
    ConnectionName,
    Cron,
    Duration,
    Expression,
    Identifier,
    Memory,
    Param,
    Rate,
    Section,
    Text,
    Timeout,
    TimeZone,
)
from inference.jobs.model_environment import Environment

# A row of the work list has them beside its keys where the source is a view, and Postgres has 1,600 columns at most.
MOST_INPUTS = 1500


class Source(Section):
    """Where the rows come from."""

    connection: ConnectionName = Field("predictions", description="Name of the Airflow connection.")
    schema_name: Identifier = Field("public", alias="schema", description="Schema of the relation.")
    relation: Identifier = Field(description="Table or view.")
    key: tuple[Identifier, ...] = Field(
        min_length=1, max_length=16, strict=False, description="Columns that identify a row; never NULL."
    )
    inputs: tuple[Identifier, ...] = Field(
        min_length=1, max_length=MOST_INPUTS, strict=False, description="Columns that the model is given."
    )
    where: Expression | None = Field(None, description="SQL condition: rows that the job is about.")
    cursor: Identifier | None = Field(
        None, description="A timestamptz column that every insert and update sets; makes the search cheap."
    )
    lookback: Duration = Field(
        "1h",
        description="How far before the last complete run the window starts; "
        "longer than the longest transaction that writes the source.",
    )
    sweep: Cron = Field("0 3 * * *", description="When to search without the window.")
    on_delete: Literal["keep", "delete"] = Field(
        "keep", description="What happens to predictions whose row is gone; found by sweeps."
    )
    max_delete_rate: Rate = Field(
        0.05, description="Share of predictions above which a sweep deletes nothing and says so."
    )
    changes: Literal["hash", "none"] = Field(
        "hash", description="`none`: append-only source, pending by key alone, updates are not seen."
    )

    @model_validator(mode="after")
    def _columns(self) -> Source:
        for field, names in (("key", self.key), ("inputs", self.inputs)):
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise ValueError(f"{field}: {min(twice)!r} is listed twice")
        return self


class Model(Section):
    """Which registered model scores the rows."""

    name: Text = Field(description="Name in the MLflow model registry.")
    alias: Alias = Field("champion", description="Alias that plan resolves to a version, once a run.")
    on_new_version: Literal["new_rows", "rescore"] = Field(
        "new_rows", description="What a moved alias means for rows that have a prediction."
    )
    allow_pickle: bool = Field(False, description="Accept a model that is loaded by unpickling, which runs its code.")
    outputs: tuple[Identifier, ...] = Field(
        (),
        strict=False,
        description="Names of the values that a model answers with, where its signature has none. "
        "Default: one column, `prediction`.",
    )
    nulls: Literal["quarantine", "nan"] = Field(
        "quarantine", description="What a NULL means for a model that takes tensors: its row in quarantine, or NaN."
    )
    params: dict[Text, Param] = Field({}, description="Values for the parameters of the model's signature.")
    environment: Environment = Field(Environment(), description="Variables of the process that loads the model.")

    @model_validator(mode="after")
    def _names(self) -> Model:
        twice = {name for name in self.outputs if self.outputs.count(name) > 1}
        if twice:
            raise ValueError(f"outputs: {min(twice)!r} is listed twice")
        return self

    @property
    def answers(self) -> dict[str, Any]:
        """The settings that change what the model answers, where they differ from their defaults."""
        given = {
            "outputs": list(self.outputs),
            "nulls": "" if self.nulls == "quarantine" else self.nulls,
            "params": self.params,
            "environment": self.environment.set_,
        }
        return {name: value for name, value in given.items() if value}


class Schedule(Section):
    """When runs start."""

    cron: Cron | None = Field(None, description="Five fields; without it, runs start by hand only.")
    time_zone: TimeZone = Field("UTC", description="IANA name.")


class Sizes(Section):
    """How the work is cut."""

    shard_rows: int = Field(50_000, ge=1, description="Rows that one shard aims at; a shard should take minutes.")
    max_shards: int = Field(16, ge=1, le=1000, description="Shards of a run at most.")
    chunk_rows: int = Field(2048, ge=1, le=1_000_000, description="Rows of one commit at most.")
    chunk_bytes: int = Field(
        8_388_608, ge=1024, le=268_435_456, description="Bytes of input of one chunk at most; a larger row goes alone."
    )
    batch_rows: int | None = Field(
        None, ge=1, le=1_000_000, description="Rows of one call of the model. Default: found while it scores."
    )
    view_bytes: int = Field(
        10_000_000_000,
        ge=1,
        description="Room that the pending rows of a view, with their inputs, may take.",
    )
    rows_per_second: float | None = Field(
        None, ge=1, description="Rows that all shards of a run together read in a second at most, on average."
    )


class Timeouts(Section):
    """How long one step may take; whatever takes longer is ended and tried again."""

    plan: Timeout = Field("60min", description="Finding the pending rows and writing the work list.")
    page: Timeout = Field("5min", description="Reading or writing one chunk.")
    batch: Timeout = Field("10min", description="One call of the model.")
    publish: Timeout = Field("60min", description="Checking a run's results; and then, again as long, publishing them.")


class OutputCheck(Section):
    """What a column of the model's output must satisfy."""

    min: float | None = Field(None, description="Smallest value allowed.")
    max: float | None = Field(None, description="Largest value allowed.")
    values: tuple[str, ...] | None = Field(None, min_length=1, strict=False, description="Values allowed, as text.")
    nulls: bool = Field(False, description="Whether NULL and NaN are allowed.")

    @model_validator(mode="after")
    def _some_value(self) -> OutputCheck:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}: no value would do")
        return self


class Checks(Section):
    """What must hold before anything becomes visible."""

    max_quarantine_rate: Rate = Field(0.01, description="Share of the planned rows that may be quarantined.")
    min_quarantine_rows: int = Field(20, ge=1, description="Quarantined rows from which the rate is judged.")
    tolerance: float = Field(
        1e-5,
        ge=0,
        le=1,
        description="How far a row's numbers may move with the rows beside it in a batch; above 1, relative.",
    )
    outputs: dict[Identifier, OutputCheck] = Field({}, description="Checks by output column.")


class Resources(Section):
    """What one shard may use. Processors and memory are limits of containers; `venv` has none."""

    threads: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="Threads of the model's numeric libraries. Default: the whole processors of `cpus`, at least 1.",
    )
    cpus: float = Field(1.0, gt=0, le=1024, description="Processors of a container at most.")
    memory: Memory = Field(
        "2Gi", description="Memory of a container at most, in `Mi` or `Gi`; there is no swap beyond it."
    )

    @property
    def model_threads(self) -> int:
        """More threads than processors would wait for one another."""
        return self.threads or max(1, int(self.cpus))


class Retries(Section):
    """When a task fails."""

    count: int = Field(3, ge=0, le=100, description="Retries of a task.")
    delay: Duration = Field("30s", description="Before the first retry; doubles with each.")
    max_delay: Duration = Field("10min", description="Between retries at most.")
    timeout: Duration = Field("6h", description="Of one task.")


class Notifier(Section):
    """An Airflow notifier."""

    notifier: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.]{2,200}$")] = Field(
        description="Import path of a class derived from Airflow's BaseNotifier."
    )
    arguments: dict[str, Any] = Field({}, description="Its keyword arguments.")


class Notify(Section):
    """Whom to tell."""

    on_failure: tuple[Notifier, ...] = Field((), strict=False, description="When a task has failed for good.")
    on_held: tuple[Notifier, ...] = Field((), strict=False, description="When a run waits for a person to decide.")
    on_quarantine: tuple[Notifier, ...] = Field(
        (), strict=False, description="When a published run exceeds `max_quarantine_rate`."
    )
    max_quarantine_rate: Rate | None = Field(
        None, description="Share of a run's planned rows in quarantine, at most; below the one of `checks`."
    )
    on_stale: tuple[Notifier, ...] = Field((), strict=False, description="When `max_age` is exceeded.")
    max_age: Duration | None = Field(None, description="Age of the oldest row without a prediction, at most.")

    @property
    def everybody(self) -> tuple[Notifier, ...]:
        return (*self.on_failure, *self.on_held, *self.on_quarantine, *self.on_stale)
