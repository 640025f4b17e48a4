"""The work list: the run's pending rows, written down once, and its shards of equal cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg2 import sql

from inference import access, queries, table
from inference.errors import SourceError
from inference.queries import column, fill
from inference.search import Search, aliased, key_names, keys_equal

SQL = queries.load("worklist")


def create(search: Search, run_id: int, generation: int, pending: sql.Composable) -> Any:
    names = key_names(len(search.job.source.key))
    keys = queries.columns(names)
    if search.values["row_limit"] is not None:
        pending = fill(SQL["limited"], pending=pending, keys=keys)
    order = fill("{keys}, input_hash" if search.job.by_key else "cost DESC, {keys}, input_hash", keys=keys)
    once = search.job.scores_once
    ordinal = fill(SQL["ordinal_once"], keys=keys) if once else fill(SQL["ordinal_each"], order=order)
    parts = {"work": table.work(run_id, generation), "keys": keys, "pending": pending, "ordinal": ordinal}
    queries.run(search.here, SQL["create_work"], parts, **search.values)
    queries.run(search.here, SQL["index_work"], parts)
    access.share_work(search.here, parts["work"])
    counts = queries.run(search.here, SQL["examine_work"], parts).one()
    if counts.rows:
        _refuse_bad_keys(search, parts, names)
    return counts


def _refuse_bad_keys(search: Search, parts: dict[str, sql.Composable], names: list[str]) -> None:
    job = search.job
    if search.unique:
        return
    any_null = sql.SQL(" OR ").join(fill("{key} IS NULL", key=column(name)) for name in names)
    nulls = queries.run(search.here, SQL["null_keys"], {**parts, "any_null": any_null}).scalar_one()
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


def find_gone(search: Search, run_id: int, generation: int, candidates: sql.Composable) -> Gone:
    """On a sweep, write down the predictions whose row is gone; refuse if they are too many."""
    job = search.job
    if not (search.sweep and job.source.on_delete == "delete"):
        return Gone()
    parts = {
        "gone": table.gone(run_id, generation),
        "keys": aliased(list(job.source.key), "p"),
        "target": table.target(job.name),
        "candidates": candidates,
        "joined": keys_equal(job, "p", "c"),
    }
    queries.run(search.here, SQL["create_gone"], parts, **search.values)
    counts = queries.run(search.here, SQL["count_gone"], parts).one()
    rate = counts.gone / max(counts.predictions, 1)
    if counts.gone and rate <= job.source.max_delete_rate:
        return Gone(counts.gone, f"{counts.gone} predictions of deleted rows to delete")
    queries.run(search.here, table.SQL["drop"], {"table": table.gone(run_id, generation)})
    if not counts.gone:
        return Gone()
    return Gone(
        message=f"nothing deleted: {counts.gone} of {counts.predictions} predictions ({rate:.1%}) have no source row "
        f"any more, above source.max_delete_rate {job.source.max_delete_rate:.1%}. If that is right, raise it"
    )


def cut(search: Search, run_id: int, generation: int, inputs: int) -> list[int]:
    """Cut the work list into shards of equal cost; returns their numbers."""
    sizes = search.job.sizes
    rows = queries.run(
        search.here,
        SQL["create_shards"],
        {"work": table.work(run_id, generation)},
        run_id=run_id,
        generation=generation,
        model_id=search.model.model_id,
        inputs=inputs,
        shards=min(sizes.max_shards, -(-inputs // sizes.shard_rows)),
    )
    return sorted(rows.scalars())
