"""Figure 15: 100,000 rows of a view that sums up two million, beside the same rows in a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from benchmarks import ours, race
from benchmarks.lap import Lap
from benchmarks.machine import Machine
from benchmarks.tabular import COLUMNS, TABULAR
from benchmarks.verdict import Measured
from benchmarks.workload import vacuum
from inference.base.database import PREDICTIONS, Databases

FIGURES = {15}
ROWS, ITEMS = 100_000, 2_000_000
CREATE = f"""
CREATE TABLE item AS SELECT n %% {ROWS} AS message, random() AS price FROM generate_series(1, {ITEMS}) n;
CREATE INDEX ON item (message);
CREATE VIEW shown AS SELECT message AS id, sum(price)::real AS x0, {", ".join(f"0::real AS {x}" for x in COLUMNS[1:])}
    FROM item GROUP BY message;
CREATE TABLE same AS TABLE shown;
ALTER TABLE same ADD PRIMARY KEY (id)
"""


def measure(machine: Machine) -> Iterator[Measured]:
    laps: dict[str, list[Lap]] = {"shown": [], "same": []}
    for _ in range(race.REPEATS):
        for relation, found in laps.items():
            name, databases = machine.empty()
            _fill(databases)
            found.append(ours.run(machine.postgres.url(name), replace(TABULAR, relation=relation)))
            print(f"{relation}: {found[-1].seconds:.2f} s, {found[-1].stages}", flush=True)
            machine.drop(name)
    view, table = (race.median(found).seconds for found in laps.values())
    detail = {"rows": ROWS, "seconds": {"view": round(view, 3), "table": round(table, 3)}}
    yield Measured("100,000 rows of a view over 2,000,000: time / the same in a table", view / table, detail)


def _fill(databases: Databases) -> None:
    with databases.begin(PREDICTIONS) as connection:
        connection.connection.cursor().execute(CREATE, {"": None})
    for relation in ("item", "same"):
        vacuum(databases, relation)
