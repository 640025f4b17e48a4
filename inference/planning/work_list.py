"""The work list: the run's pending rows, written down once, and its shards of equal cost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg2 import sql

from inference.base import queries, source, work_names
from inference.base.queries import column, expression, fill
from inference.base.work_names import key_names
from inference.errors import SourceError
from inference.planning import search as searching
from inference.planning.search import Search
from inference.schema import job_tables, roles, work_tables
from inference.schema.work_tables import keys_equal

SQL = queries.load("planning/work_list")


@dataclass(frozen=True)
class Counts:
    """`rows` that were planned, the `inputs` that differ among them, and what was `found` to be pending."""

    rows: int
    inputs: int
    found: int
    oldest: datetime | None


def create(search: Search, run_id: int, generation: int, candidates: sql.Composable) -> Counts:
    """Write the work list and, on a sweep that deletes, the keys of predictions whose row is gone.

    Raises SourceError for keys that are NULL or there twice, and for a view whose pending rows take too much room.
    """
    names = key_names(len(search.keys))
    keys, pending = queries.columns(names), searching.pending(search)
    limited = search.values["row_limit"] is not None
    shown = sql.SQL(SQL["shown"])
    if limited:
        pending = fill(SQL["limited"], pending=pending, keys=keys, shown=shown)
    order = fill("{keys}, input_hash" if search.job.by_key else "cost DESC, {keys}, input_hash", keys=keys)
    once = search.job.scores_once
    others = [*([] if search.unique else ["copies"]), *(["found", "oldest_found"] if limited else [])]
    inputs = work_names.input_names(search.section) if search.view else []
    parts = {
        "work": work_names.work(run_id, generation), "keys": keys, "listed_keys": _listed_keys(search, names),
        "with_candidates": candidates, "pending": pending,
        "ordinal": fill(SQL["ordinal_once"], keys=keys) if once else fill(SQL["ordinal_each"], order=order),
        "others": sql.Composed([fill(", {name}", name=column(name)) for name in (*others, *inputs)]),
        "gone": _and_gone(search, len(others) + len(inputs)) if search.deletes else sql.SQL(""),
    }  # fmt: skip
    queries.run(search.here, SQL["create_work"], parts, **search.values)
    if search.deletes:
        queries.run(search.here, SQL["move_gone"], {**parts, "gone": work_names.gone(run_id, generation)})
    queries.run(search.here, SQL["index_work"], parts)
    roles.share_work(search.here, parts["work"])
    examine = SQL["examine_limited" if limited else "examine_work"]
    counts = Counts(**queries.run(search.here, examine, {**parts, "shown": shown}).mappings().one())
    if search.view:
        _refuse_too_large(search, parts)
    queries.run(search.here, SQL["note_kept_inputs"], run_id=run_id, kept=search.view)
    if counts.rows and not search.unique:
        _refuse_bad_keys(search, parts, names)
    return counts


# The key's collation may change while the run is open, in the source or in the job's table. Postgres compares a column
# of any collation with one of the default, but not two of others.
_COLLATED = '{value} COLLATE "default"'


def _listed_keys(search: Search, names: list[str]) -> sql.Composable:
    """The keys as the work list has them, wherever the source is."""
    return sql.SQL(", ").join(
        fill(f"{_COLLATED} AS {{value}}", value=column(name)) if key.collation else column(name)
        for name, key in zip(names, search.keys)
    )


def _and_gone(search: Search, others: int) -> sql.Composable:
    cast = [fill("p.{name}::{type}", name=column(key.name), type=expression(key.type)) for key in search.keys]
    keys = [fill(_COLLATED, value=value) if key.collation else value for value, key in zip(cast, search.keys)]
    return fill(
        "\n" + SQL["and_gone"],
        target_keys=sql.SQL(", ").join(keys),
        nulls=sql.SQL(", NULL" * others),
        target=job_tables.target(search.job.name),
        joined=keys_equal(search.job, "p", "c"),
    )


def _refuse_too_large(search: Search, parts: dict[str, sql.Composable]) -> None:
    limit = search.job.sizes.view_bytes
    name = queries.text(search.here, parts["work"])
    octets = queries.run(search.here, SQL["octets"], {"name": sql.SQL(source.literal(name))}).scalar_one()
    if octets > limit:
        raise SourceError(
            f"source.relation: {search.job.source.relation!r} is a view, whose pending rows are kept with their inputs "
            f"until the run is published. They take {octets} bytes, above sizes.view_bytes {limit}. Plan fewer at a "
            "time (row_limit), raise sizes.view_bytes, or make the view a table or a materialized view."
        )


def _refuse_bad_keys(search: Search, parts: dict[str, sql.Composable], names: list[str]) -> None:
    job = search.job
    nulls = queries.run(search.here, SQL["null_keys"], parts).scalar_one()
    if nulls:
        raise SourceError(
            f"source.key: {nulls} rows have NULL in {', '.join(job.source.key)}: such a row cannot be told from "
            "others. Exclude them by source.where, or choose another key."
        )
    key_text = queries.as_text(names, "w")
    repeated = queries.run(search.here, SQL["repeated_keys"], {**parts, "key_text": key_text}).all()
    if repeated:
        examples = "; ".join(f"({', '.join(row.key)}) {row.rows} times" for row in repeated)
        raise SourceError(
            f"source.key: {repeated[0].keys} values of ({', '.join(job.source.key)}) belong to more than one row: "
            f"{examples}. Choose a key that is unique, or make the view give each row once."
        )


@dataclass(frozen=True)
class Gone:
    """Predictions whose row is gone. `rows`: to delete at publish."""

    rows: int = 0
    message: str = ""


def judge_gone(search: Search, run_id: int, generation: int) -> Gone:
    """Count the predictions whose row is gone; refuse to delete them if they are too many."""
    job = search.job
    if not search.deletes:
        return Gone()
    parts = {"gone": work_names.gone(run_id, generation), "target": job_tables.target(job.name)}
    counts = queries.run(search.here, SQL["count_gone"], parts).one()
    rate = counts.gone / max(counts.predictions, 1)
    if counts.gone and rate <= job.source.max_delete_rate:
        return Gone(counts.gone, f"{counts.gone} predictions of deleted rows to delete")
    queries.run(search.here, work_tables.SQL["drop"], {"table": work_names.gone(run_id, generation)})
    if not counts.gone:
        return Gone()
    return Gone(
        message=f"nothing deleted: {counts.gone} of {counts.predictions} predictions ({rate:.1%}) have no source row "
        f"any more, above source.max_delete_rate {job.source.max_delete_rate:.1%}. If that is right, raise it"
    )


def changed_by_itself(search: Search, run_id: int, generation: int) -> str:
    """What to say of a view that changes as time passes; empty for others."""
    if not search.passing:
        return ""
    parts = {
        "work": work_names.work(run_id, generation), "target": job_tables.seen(search.here, search.job.name),
        "joined": keys_equal(search.job, "p", "w"),
    }  # fmt: skip
    rows = queries.run(search.here, SQL["changed"], parts).scalar_one()
    called = ", ".join(search.passing)
    return f"{rows} of them have another input than they were predicted from; the view calls {called}" if rows else ""


def cut(search: Search, run_id: int, generation: int, inputs: int) -> list[int]:
    """Cut the work list into shards of equal cost; returns their numbers."""
    sizes = search.job.sizes
    rows = queries.run(
        search.here,
        SQL["create_shards"],
        {"work": work_names.work(run_id, generation)},
        run_id=run_id,
        generation=generation,
        model_id=search.model.model_id,
        inputs=inputs,
        shards=min(sizes.max_shards, -(-inputs // sizes.shard_rows)),
    )
    return sorted(rows.scalars())
