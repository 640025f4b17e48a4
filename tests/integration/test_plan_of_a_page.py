"""What a page and a search cost Postgres: its own plans for the very queries that the pipeline sends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy.engine import Connection, CursorResult

from inference.base import queries
from inference.base.database import Databases
from inference.planning import work_list
from inference.shard import read, shard
from tests.stub import Pipeline, create_messages, job, sql

Statement = tuple[str, dict[str, Any]]
ROWS, PENDING = 200_000, 5_000


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def explain(databases: Databases, statement: Statement) -> list[dict[str, Any]]:
    """The nodes of the plan of a statement, executed."""
    text, values = statement
    with databases.begin("predictions") as connection:
        cursor = connection.connection.cursor()
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}", values)
        ((content,),) = cursor.fetchall()
    return list(nodes(content[0]["Plan"]))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Statement]]:
    """The statements that were run from here on, by their block."""
    found: dict[str, list[Statement]] = {}
    run = queries.run

    def record(connection: Connection, block: str, parts: Any = None, /, **values: Any) -> CursorResult[Any]:
        text = queries.text(connection, queries.fill(block, **(parts or {})))
        found.setdefault(block, []).append((text, {"": None, **values}))
        return run(connection, block, parts, **values)

    monkeypatch.setattr(queries, "run", record)
    return found


@pytest.fixture
def company(databases: Databases) -> Databases:
    """A source of 200,000 rows with a job that has predicted all but 5,000 of them, spread over the table."""
    create_messages(databases, [])
    sql(databases, "INSERT INTO message (text, updated_at) "
                   "SELECT repeat('message ' || n, 8), now() - interval '1 year' + n * interval '1 second' "
                   "FROM generate_series(1, :rows) n", rows=ROWS)  # fmt: skip
    sql(databases, "CREATE INDEX ON message (updated_at)")
    sql(databases, "ANALYZE message")
    return databases


def predict_all(databases: Databases, stub: Pipeline) -> None:
    """Let every row have its prediction, as a complete run of an hour ago would have left it."""
    planned = stub.plan(row_limit=1)
    stub.predict(planned)
    stub.finish(planned)
    sql(databases, "INSERT INTO prediction.intent__blue SELECT m.id, c.input_hash, b.model_id, b.run_id, now(), 'd', 1 "
                   "FROM message m CROSS JOIN (SELECT * FROM prediction.intent__blue LIMIT 1) b CROSS JOIN LATERAL "
                   "(SELECT md5('[1, \"text\"]' || CAST(ROW(m.text) AS text))::uuid AS input_hash) c "
                   "ON CONFLICT DO NOTHING")  # fmt: skip
    sql(databases, "UPDATE prediction.run SET complete = true")
    sql(databases, "ANALYZE prediction.intent__blue")


def touch(databases: Databases) -> None:
    changed = sql(databases, "UPDATE message SET text = text || '!', updated_at = now() WHERE id % :part = 0 "
                             "RETURNING id", part=ROWS // PENDING)  # fmt: skip
    assert len(changed) == PENDING
    sql(databases, "ANALYZE message")


def scans(found: list[dict[str, Any]]) -> dict[str, set[str]]:
    """How each relation is read."""
    relations: dict[str, set[str]] = {}
    for node in found:
        if "Relation Name" in node:
            relations.setdefault(node["Relation Name"], set()).add(node["Node Type"])
    return relations


@pytest.mark.parametrize("deduplicate", [True, False])
@pytest.mark.parametrize("where", [None, "text IS NOT NULL"])
def test_a_page_reads_its_own_rows_by_the_sources_key(
    company: Databases, sent: dict[str, list[Statement]], deduplicate: bool, where: str | None
) -> None:
    a_job = job(sizes={"chunk_rows": 2048}, deduplicate=deduplicate, source__where=where)
    stub = Pipeline(company, a_job)
    predict_all(company, stub)
    touch(company)
    planned = stub.plan()
    assert planned.planned == PENDING
    sent.clear()
    shard.run(company, planned.run_id, planned.generation, 1, lambda work: stub.predictor)

    pages = [explain(company, statement) for statement in sent[read.SQL["page"]]]

    assert [page[0]["Actual Rows"] for page in pages] == [2048, 2048, PENDING - 2 * 2048]
    for page in pages:
        how = scans(page)
        assert "Seq Scan" not in how["message"], how
        assert "Bitmap Heap Scan" not in how["message"], how
        assert sum(node["Actual Loops"] for node in page if node.get("Relation Name") == "message") <= 2048
        # A few blocks a row, whatever the size of the source.
        assert page[0]["Shared Hit Blocks"] + page[0]["Shared Read Blocks"] < 6 * 2048


def dense(databases: Databases, run_id: int) -> bool:
    ((found,),) = sql(databases, "SELECT dense FROM prediction.run WHERE run_id = :run", run=run_id)
    return bool(found)


def test_a_page_of_a_first_run_is_a_range_of_the_key(company: Databases, sent: dict[str, list[Statement]]) -> None:
    stub = Pipeline(company, job(cost="1", sizes={"chunk_rows": 20_000, "batch_rows": 20_000, "shard_rows": ROWS}))
    planned = stub.plan()
    assert dense(company, planned.run_id)
    sent.clear()
    stub.predict(planned)

    pages = [explain(company, statement) for statement in sent[read.SQL["page"]][::3]]

    assert [page[0]["Actual Rows"] for page in pages] == [20_000] * 4
    for page in pages:
        assert scans(page)["message"] == {"Index Scan"}
        # One pass over the range, or a look-up of each row: never the source.
        assert (
            sum(node["Actual Rows"] * node["Actual Loops"] for node in page if node.get("Relation Name") == "message")
            <= 20_000
        )
    assert stub.finish(planned) == "published"
    assert sql(company, "SELECT count(*) FROM prediction.intent") == [(ROWS,)]


@pytest.mark.parametrize("change", ["few rows", "by cost", "deduplicated", "no statistics"])
def test_only_a_dense_run_in_the_order_of_its_key_is_read_by_ranges(databases: Databases, change: str) -> None:
    create_messages(databases, [f"message {number}" for number in range(1000)])
    if change != "no statistics":
        sql(databases, "ANALYZE message")
    settings = {"by cost": {"cost": "length(text)"}, "deduplicated": {"deduplicate": True}}.get(change, {})
    planned = Pipeline(databases, job(**{"cost": "1", **settings})).plan(
        row_limit=499 if change == "few rows" else None
    )

    assert not dense(databases, planned.run_id)


def test_the_search_of_a_window_reads_the_rows_of_the_window_by_the_cursors_index(
    company: Databases, sent: dict[str, list[Statement]]
) -> None:
    stub = Pipeline(company, job(source__cursor="updated_at", source__lookback="1min"))
    predict_all(company, stub)
    sql(company, "UPDATE prediction.run SET source_time = now()")
    touch(company)
    sent.clear()

    planned = stub.plan()

    assert planned.planned == PENDING
    ((window,),) = sql(company, "SELECT window_start FROM prediction.run WHERE run_id = :r", r=planned.run_id)
    assert window is not None
    ((create, values),) = sent[work_list.SQL["create_work"]]
    found = explain(company, (create.partition(" AS\n")[2], values))
    how = scans(found)
    assert "Seq Scan" not in how["message"], how
    assert any(node.get("Index Name") == "message_updated_at_idx" for node in found), how
    # By the index: the rows of the window, and hardly any others.
    assert sum(node["Actual Rows"] for node in found if node.get("Relation Name") == "message") < 2 * PENDING
