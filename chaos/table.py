"""The company's table in its shapes, and the ways to write it anew with the same rows."""

from __future__ import annotations

# What the job reads: the table, one in partitions, or a view over it.
SHAPES = ("table", "range", "hash", "view")
# `more` is none of the job's business. The key's sequence and the clock outlive every table.
TABLE = """
CREATE TABLE {name} (
    id         bigint NOT NULL DEFAULT nextval('message_id') CONSTRAINT {name}_pkey PRIMARY KEY,
    text       text NOT NULL,
    amount     {amount} NOT NULL,
    price      double precision NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock(),
    more       integer NOT NULL DEFAULT 1)"""
VIEW = "CREATE VIEW shown AS SELECT id, text, amount, price, updated_at FROM message"
REBUILDS = ("rewrite", "reload", "swap", "cluster", "detach")


def relation(shape: str) -> str:
    """What the job names as its source."""
    return "shown" if shape == "view" else "message"


def create(shape: str, rows: int, amount: str) -> list[str]:
    """`amount`: the type of that column."""
    return [*_create("message", shape, rows, amount), *([VIEW] if shape == "view" else [])]


def rebuilds(shape: str) -> list[str]:
    """The ways that there are for this shape: Postgres clusters no partitions within a transaction."""
    return [*REBUILDS[:3], "detach" if shape in ("range", "hash") else "cluster"]


def rebuild(how: str, shape: str, rows: int, amount: str) -> list[str]:
    """Statements of one transaction, after which `message` holds the same rows."""
    if how == "rewrite":
        return ["ALTER TABLE message ALTER more TYPE bigint USING more + 1"]
    if how == "reload":
        return [
            "CREATE TEMPORARY TABLE kept ON COMMIT DROP AS TABLE message",
            "TRUNCATE message",
            "INSERT INTO message SELECT * FROM kept",
        ]
    if how == "swap":
        return _swap(shape, rows, amount)
    if how == "detach":
        bounds = _bounds(shape, rows)[0]
        return [
            "ALTER TABLE message DETACH PARTITION message_0",
            f"ALTER TABLE message ATTACH PARTITION message_0 {bounds}",
        ]
    return ["CLUSTER message USING message_pkey"]


def _swap(shape: str, rows: int, amount: str) -> list[str]:
    columns = "id, text, amount, price, updated_at, more"
    parts = [f"ALTER TABLE newer_{number} RENAME TO message_{number}" for number in range(len(_bounds(shape, rows)))]
    return [
        *_create("newer", shape, rows, amount),
        f"INSERT INTO newer ({columns}) SELECT {columns} FROM message",
        *(["DROP VIEW shown"] if shape == "view" else []),
        "DROP TABLE message",
        "ALTER TABLE newer RENAME TO message",
        "ALTER INDEX newer_pkey RENAME TO message_pkey",
        *parts,
        *([VIEW] if shape == "view" else []),
    ]


def _create(name: str, shape: str, rows: int, amount: str) -> list[str]:
    by = f" PARTITION BY {shape} (id)" if shape in ("range", "hash") else ""
    parts = [
        f"CREATE TABLE {name}_{number} PARTITION OF {name} {bounds}"
        for number, bounds in enumerate(_bounds(shape, rows))
    ]
    return [TABLE.format(name=name, amount=amount) + by, *parts]


def _bounds(shape: str, rows: int) -> list[str]:
    """Of the partitions; none if there are none."""
    if shape == "range":
        middle = rows // 2
        return [f"FOR VALUES FROM (MINVALUE) TO ({middle})", f"FOR VALUES FROM ({middle}) TO (MAXVALUE)"]
    return [f"FOR VALUES WITH (MODULUS 2, REMAINDER {rest})" for rest in (0, 1)] if shape == "hash" else []
