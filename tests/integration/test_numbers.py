"""Inputs and outputs of a fixed size travel as arrays: the same values, row for row, as one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from inference.base.database import Databases
from inference.base.mlmodel import DTYPES
from inference.base.outputs import Output
from inference.base.signature import Input, Signature
from inference.shard import copy_binary, read
from services.postgres import Postgres
from tests.stub import Pipeline, counts, job, sql

INPUTS = {
    "flag": ("boolean", "boolean"), "small": ("smallint", "integer"), "middle": ("integer", "long"),
    "large": ("bigint", "long"), "wide": ("integer", "double"), "single": ("real", "float"),
    "double": ("double precision", "double"),
}  # fmt: skip
OUTPUTS = {"a": "boolean", "b": "integer", "c": "bigint", "d": "real", "e": "double precision"}
SIGNATURE = Signature(
    tuple(Input(name, kind, DTYPES[kind], False) for name, (_, kind) in INPUTS.items()),
    tuple(Output(name, kind, False) for name, kind in OUTPUTS.items()),
)
ROWS = [
    "true, 32767, 2147483647, 9223372036854775807, 1, 'Infinity', '-Infinity'",
    "false, -32768, -2147483648, -9223372036854775808, -1, '-Infinity', 1e308",
    "true, 0, 0, 0, 0, 'NaN', 'NaN'",
    "false, 7, 7, 9007199254740993, 7, 0.1, 0.1",
    "true, 1, 1, 1, 1, NULL, NULL",
    "false, 1, 1, 1, 1, 3.4028235e38, 5e-324",
]
CHECKS = {"outputs": {name: {"nulls": True} for name in OUTPUTS}}
SETTINGS = {
    "cost": "1", "source__inputs": list(INPUTS), "checks": CHECKS, "sizes": {"chunk_rows": 4, "batch_rows": 3},
}  # fmt: skip


class Echo:
    """Predicts what it was given; remembers each frame."""

    def __init__(self) -> None:
        self.frames: list[pd.DataFrame] = []

    def predict(self, data: pd.DataFrame) -> pd.DataFrame:
        self.frames.append(data)
        large, single = data["large"].to_numpy(np.int64), data["single"].to_numpy(np.float32)
        outputs = [data["flag"], data["small"], large, single, data["double"]]
        return pd.DataFrame(dict(zip(OUTPUTS, outputs, strict=True)))


def create(databases: Databases, rows: list[str], name: str = "predictions") -> None:
    columns = ", ".join(f"{column} {kind}" for column, (kind, _) in INPUTS.items())
    sql(databases, f"CREATE TABLE message (id bigint PRIMARY KEY, {columns})", name)
    for number, row in enumerate(rows, 1):
        sql(databases, f"INSERT INTO message VALUES ({number}, {row})", name)  # noqa: S608


def table(databases: Databases) -> list[str]:
    """Every published row, as text, so that NaN equals NaN."""
    names = ", ".join(OUTPUTS)
    rows = sql(databases, f"SELECT CAST((id, input_hash, {names}) AS text) FROM prediction.intent ORDER BY id")  # noqa: S608
    return [row for (row,) in rows]


def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_binary, "of_inputs", lambda *_: None)


def frames(predictor: Echo) -> pd.DataFrame:
    return pd.concat(predictor.frames, ignore_index=True)


@pytest.fixture(params=["one database", "two databases"])
def shop(request: pytest.FixtureRequest, databases: Databases, postgres: Postgres) -> Iterator[tuple[Databases, str]]:
    """The predictions' database, and the name of the connection to the source's: the same one, or another."""
    if request.param == "one database":
        yield databases, "predictions"
        return
    postgres.create_database("shop_of_numbers")
    here = databases.url("predictions").render_as_string(False)
    yield Databases({"predictions": here, "shop": postgres.url("shop_of_numbers")}), "shop"
    postgres.drop_database("shop_of_numbers")


@pytest.mark.parametrize("changes", ["hash", "none"])
def test_arrays_carry_the_same_values_as_rows(
    shop: tuple[Databases, str], changes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    databases, name = shop
    create(databases, ROWS, name)
    settings: dict[str, Any] = {**SETTINGS, "source__connection": name, "source__changes": changes}
    seen = []
    for _ in range(2):
        echo = Echo()
        pipeline = Pipeline(databases, job(**settings), echo, SIGNATURE)
        planned = pipeline.run(mode="key_range", key_from="0")
        assert counts(databases, planned.run_id) == {"planned": 6, "predicted": 6}
        seen.append((table(databases), frames(echo)))
        one_by_one(monkeypatch)

    (arrays, frame), (rows, other) = seen
    assert arrays == rows
    assert len(arrays) == 6
    pd.testing.assert_frame_equal(frame, other)


def test_only_pages_of_numbers_without_a_null_are_read_as_arrays(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing boolean has no array: its page is read row by row, and the next as arrays again."""
    create(databases, [*ROWS[:2], "NULL, 1, 1, 1, 1, 1, 1", "true, 1, 1, 1, 1, 1, 1", *ROWS[4:]])
    fetched = []
    original = read.Reader._fetch

    def fetch(self: Any, connection: Any, relation: Any, values: Any) -> Any:
        fetched.append((values["after"], values["upto"]))
        return original(self, connection, relation, values)

    monkeypatch.setattr(read.Reader, "_fetch", fetch)
    settings = {**SETTINGS, "sizes": {"chunk_rows": 2, "batch_rows": 2}}
    pipeline = Pipeline(databases, job(**settings), Echo(), SIGNATURE)

    planned = pipeline.run()

    assert counts(databases, planned.run_id) == {"planned": 6, "predicted": 6}
    assert fetched == [(2, 4)]
    assert sql(databases, "SELECT id, a FROM prediction.intent WHERE a IS NULL") == [(3, None)]


@pytest.mark.parametrize("arrays", [True, False])
def test_rows_that_are_gone_or_changed_are_told_from_the_others(
    databases: Databases, arrays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not arrays:
        one_by_one(monkeypatch)
    sql(databases, "CREATE TABLE message (id bigint PRIMARY KEY, double double precision)")
    sql(databases, "INSERT INTO message SELECT n, n FROM generate_series(1, 10) n")
    signature = Signature((Input("double", "double", "float64", True),), (Output("e", "double precision", True),))

    class Same:
        def predict(self, data: pd.DataFrame) -> Any:
            return data["double"].to_numpy()

    settings = {**SETTINGS, "source__inputs": ["double"], "checks": {}}
    pipeline = Pipeline(databases, job(**settings), Same(), signature)
    planned = pipeline.plan()
    sql(databases, "DELETE FROM message WHERE id IN (2, 9)")
    sql(databases, "UPDATE message SET double = 55 WHERE id = 5")
    pipeline.predict(planned)
    pipeline.finish(planned)

    assert counts(databases, planned.run_id) == {"planned": 10, "predicted": 8, "vanished": 2, "changed_at_read": 1}
    found = dict(sql(databases, "SELECT id, e FROM prediction.intent"))
    assert found == {n: 55.0 if n == 5 else float(n) for n in (1, 3, 4, 5, 6, 7, 8, 10)}
    assert pipeline.run().state == "empty"


def test_the_byte_budget_holds_for_arrays(shop: tuple[Databases, str]) -> None:
    databases, name = shop
    create(databases, ROWS, name)
    echo = Echo()
    sizes = {"chunk_rows": 100, "batch_rows": 100, "chunk_bytes": 1024}  # of 16 * 7 bytes a row: 9 rows
    sql(databases, "INSERT INTO message SELECT n, true, 1, 1, 1, 1, 1, 1 FROM generate_series(7, 30) n", name)
    settings = {**SETTINGS, "source__connection": name, "sizes": sizes}
    planned = Pipeline(databases, job(**settings), echo, SIGNATURE).run()

    assert [len(frame) for frame in echo.frames] == [9, 9, 9, 3]
    assert counts(databases, planned.run_id) == {"planned": 30, "predicted": 30}


def test_batches_with_and_without_a_missing_output_meet_in_one_chunk(databases: Databases) -> None:
    """A column is an array in one batch and a list in the next, as pandas has it once a value is missing."""
    sql(databases, "CREATE TABLE message (id bigint PRIMARY KEY, double double precision NOT NULL)")
    sql(databases, "INSERT INTO message SELECT n, n FROM generate_series(1, 9) n")
    outputs = (Output("c", "bigint", False), Output("e", "double precision", False), Output("t", "text", False))
    signature = Signature((Input("double", "double", "float64", True),), outputs)

    class Sometimes:
        def predict(self, data: pd.DataFrame) -> pd.DataFrame:
            values = [int(value) for value in data["double"]]
            if 5 not in values:
                return pd.DataFrame({"c": values, "e": data["double"], "t": [f"t{n}" for n in values]})
            missing = {name: [None if n == 5 else n * unit for n in values] for name, unit in (("c", 1), ("e", 1.0))}
            return pd.DataFrame({**missing, "t": [f"t{n}" for n in values]}, dtype=object)

    settings = {**SETTINGS, "source__inputs": ["double"], "sizes": {"chunk_rows": 9, "batch_rows": 3}}
    checks = {"outputs": {item.name: {"nulls": True} for item in outputs}}
    planned = Pipeline(databases, job(**{**settings, "checks": checks}), Sometimes(), signature).run()

    assert counts(databases, planned.run_id) == {"planned": 9, "predicted": 9}
    wanted = [(n, None if n == 5 else n, "NaN" if n == 5 else str(n), f"t{n}") for n in range(1, 10)]
    assert sql(databases, "SELECT id, c, CAST(e AS text), t FROM prediction.intent ORDER BY id") == wanted


def test_a_model_that_reuses_its_arrays_mixes_no_rows(databases: Databases) -> None:
    """It gives back one and the same array at each call, and writes into what it is given, also when it fails."""
    sql(databases, "CREATE TABLE message (id bigint PRIMARY KEY, double double precision NOT NULL)")
    sql(databases, "INSERT INTO message SELECT n, n FROM generate_series(1, 30) n")
    signature = Signature((Input("double", "double", "float64", True),), (Output("e", "double precision", True),))

    class Reusing:
        answer = np.zeros(4)

        def predict(self, data: pd.DataFrame) -> Any:
            bad = 13.0 in data["double"].to_numpy()
            data.loc[:, "double"] *= 2
            if bad:
                raise ValueError("thirteen")
            self.answer[: len(data)] = data["double"]
            return self.answer[: len(data)]

    settings = {**SETTINGS, "source__inputs": ["double"], "sizes": {"chunk_rows": 16, "batch_rows": 4}, "checks": {}}
    Pipeline(databases, job(**settings), Reusing(), signature).run()

    found = sql(databases, "SELECT id, e FROM prediction.intent ORDER BY id")
    assert found == [(n, 2.0 * n) for n in range(1, 31) if n != 13]
