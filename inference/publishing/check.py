"""Check: coverage adds up, quarantine rate, nulls, declared ranges; nothing is visible yet."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql
from sqlalchemy.engine import Connection

from inference.base import queries, work_names
from inference.base.database import PREDICTIONS, Databases
from inference.base.outputs import Output
from inference.base.queries import column, fill
from inference.errors import CheckFailed, PermanentError, TakenOver, WorkLost
from inference.jobs import definition
from inference.jobs.sections import OutputCheck
from inference.schema import long_keys, work_tables
from inference.schema.run import OVER, Run, lock_run, read_run

SQL = queries.load("publishing/check")
log = logging.getLogger(__name__)
_NANS = {"real", "double precision"}
COUNTS = ("predicted", "reused", "quarantined", "vanished", "deferred", "changed_at_read")


@dataclass(frozen=True)
class Verdict:
    """Where a run stands after a stage. `news`: people can see something that they have not been told of."""

    run_id: int
    state: str
    message: str
    news: bool = False


def check(databases: Databases, run_id: int) -> Verdict:
    """Judge a run whose shards are done. Raises CheckFailed: which check, what value, what limit.

    A run that is published, held or empty already stays as it is.
    """
    started = time.monotonic()
    with concluding(databases, run_id) as connection:
        lock_run(connection, run_id)
        run = read_run(connection, run_id)
        if run.state in OVER:
            return Verdict(run_id, run.state, f"run {run_id} is {run.state} already: nothing to check; {run.message}")
        if run.state not in ("planned", "predicting"):
            raise TakenOver(f"run {run_id} is {run.state}: {run.message}")
        require_tables(connection, run)
        keys = [f"key{number + 1}" for number in range(len(run.job.source.key))]
        long_keys.set_aside(connection, f"prediction_work.work_{run_id}_{run.generation}", run.parts, keys)
        counts = _coverage(connection, run)
        failures = [*_judge_coverage(connection, run, counts), *_judge_outputs(connection, run)]
        state, message = _verdict(connection, run, counts, failures)
        values = {name: counts[name] for name in COUNTS}
        seconds = time.monotonic() - started
        queries.run(connection, SQL["record"], run_id=run_id, state=state, message=message, seconds=seconds, **values)
        if run.request["dry_run"]:
            work_tables.drop_work(connection, run_id, run.generation)
    if failures:
        raise CheckFailed(message)
    return Verdict(run_id, state, message)


@contextmanager
def concluding(databases: Databases, run_id: int) -> Iterator[Connection]:
    """A transaction that may take as long as the run's job allows for checking and for publishing."""
    with databases.begin(PREDICTIONS) as connection:
        stored = read_run(connection, run_id).definition
    limit = definition.read(stored, run_id, checks=False).timeouts.publish
    with databases.begin(PREDICTIONS, limit, "timeouts.publish") as connection:
        yield connection


def require_tables(connection: Connection, run: Run) -> None:
    """Raise WorkLost if the work tables are gone, or empty after a crash of Postgres, PermanentError if a shard is not
    done."""
    names = {f"{name}_name": f"prediction_work.{name}_{run.run_id}_{run.generation}" for name in ("work", "result")}
    if not queries.run(connection, SQL["there"], **names).scalar():
        raise WorkLost(
            f"run {run.run_id}: its work tables are gone: dropped by hand, or lost with a restored backup. "
            "Nothing was published; the next run plans the same rows again"
        )
    if not queries.run(connection, SQL["sentinels"], run.parts).scalar():
        raise work_names.lost(run.run_id)
    unfinished = queries.run(connection, SQL["unfinished"], run_id=run.run_id, generation=run.generation).all()
    if unfinished:
        numbers = ", ".join(str(row.shard) for row in unfinished)
        raise PermanentError(f"run {run.run_id}: shards {numbers} are not done; see their logs, then clear those tasks")


def _coverage(connection: Connection, run: Run) -> dict[str, int]:
    return dict(queries.run(connection, SQL["coverage"], run.parts).mappings().one())


def _judge_coverage(connection: Connection, run: Run, counts: dict[str, int]) -> list[str]:
    failures = []
    total = sum(counts[name] for name in COUNTS[:5])
    if not run.planned == counts["rows"] == total:
        parts = ", ".join(f"{name} {counts[name]}" for name in COUNTS[:5])
        failures.append(f"coverage: {run.planned} rows were planned, {total} are accounted for ({parts})")
    limits, bad = run.job.checks, counts["quarantined"]
    rate = bad / max(run.planned, 1)
    if bad >= limits.min_quarantine_rows and rate > limits.max_quarantine_rate:
        common = queries.run(connection, SQL["common_error"], run.parts).scalar_one()
        failures.append(
            f"quarantine: {bad} of {run.planned} rows ({rate:.2%}) could not be scored, max_quarantine_rate is "
            f"{limits.max_quarantine_rate:.2%}; most often by {common}. Which rows, with the messages, until the "
            f"job's next plan: python -m inference quarantine list --run {run.run_id}"
        )
    return failures


def _judge_outputs(connection: Connection, run: Run) -> list[str]:
    tests, counts = [], []
    values: dict[str, Any] = {}
    for number, item in enumerate(run.outputs):
        wanted = run.job.checks.outputs.get(item.name, OutputCheck(nulls=not item.required))
        for block, limit, what in _tests(item, wanted, number, values):
            template = SQL[block].replace("{number}", str(number))
            counts.append(fill(template, column=column(item.name)))
            tests.append((item.name, limit, what))
    if not tests:
        return []
    row = queries.run(connection, SQL["outputs"], {**run.parts, "counts": sql.SQL(", ").join(counts)}, **values).one()
    return [
        f"outputs: {name}: {found} values are {what}; allowed: {limit}"
        for (name, limit, what), found in zip(tests, row)
        if found
    ]


def _tests(item: Output, wanted: OutputCheck, number: int, values: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The blocks to count with, the limit and the violation in words; fills in what they bind."""
    tests = []
    if not wanted.nulls:
        nan = item.type in _NANS
        tests.append(("count_nulls_and_nans" if nan else "count_nulls", "none", "NULL or NaN" if nan else "NULL"))
    if wanted.min is not None:
        values[f"min_{number}"] = wanted.min
        tests.append(("count_below", f">= {wanted.min:g}", "too small"))
    if wanted.max is not None:
        values[f"max_{number}"] = wanted.max
        tests.append(("count_above", f"<= {wanted.max:g}", "too large"))
    if wanted.values is not None:
        values[f"values_{number}"] = list(wanted.values)
        tests.append(("count_other", ", ".join(wanted.values), "none of the declared values"))
    return tests


def _verdict(connection: Connection, run: Run, counts: dict[str, int], failures: list[str]) -> tuple[str, str]:
    if failures:
        return "failed", "; ".join(failures)
    if run.request["dry_run"]:
        return "empty", _dry_run(connection, run, counts)
    summary = ", ".join(f"{name} {counts[name]}" for name in COUNTS if counts[name])
    message = f"{run.message}; {summary or 'no rows'}"
    return ("held" if run.request["publish"] == "hold" else "checked"), message


def _dry_run(connection: Connection, run: Run, counts: dict[str, int]) -> str:
    keys = queries.as_text([f"key{number + 1}" for number in range(len(run.job.source.key))], "w")
    for row in queries.run(connection, SQL["sample"], {**run.parts, "keys": keys}):
        log.info("sample: %s -> %s", ", ".join(row.key), row.outputs)
    pending = run.pending
    pace = queries.run(connection, SQL["pace"], job=run.job.name).first()
    if pace and pace.rate:
        estimate = f"about {pending / pace.rate:.0f} s of scoring at the pace of run {pace.run_id}"
    else:
        estimate = "no earlier run to estimate the time from"
    samples = f"{counts['predicted']} samples are in the log"
    return f"dry run: {pending} rows are pending, {estimate}; {samples}; nothing written"
