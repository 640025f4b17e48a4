"""Migrations: each once, in order, whole or not at all, and never edited afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
import pytest

from inference.base.database import Databases
from inference.errors import ConfigurationError
from inference.jobs.field_types import TAKEN
from inference.schema import migrate
from services.postgres import Postgres
from tests.stub import sql

SHIPPED = sorted(path.stem for path in migrate.FOLDER.glob("[0-9]*.sql"))


@pytest.fixture
def nothing(postgres: Postgres) -> Iterator[Databases]:
    """An empty database."""
    postgres.create_database("test_migrate")
    yield Databases({"predictions": postgres.libpq_url("test_migrate")})
    postgres.drop_database("test_migrate")


def test_no_job_may_have_a_name_that_the_schema_has(databases: Databases) -> None:
    """F35: a new table, view or index belongs into `fields.TAKEN`."""
    found = sql(databases, "SELECT relname::text FROM pg_class WHERE relnamespace = 'prediction'::regnamespace")

    assert sorted(name for (name,) in found) == sorted(TAKEN)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two migrations of our own."""
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE prediction.first (share text DEFAULT '5 % of all');")
    (tmp_path / "0002_second.sql").write_text(
        "CREATE TABLE prediction.second (n int); INSERT INTO prediction.second VALUES (1);"
    )
    (tmp_path / "README.sql").write_text("no migration")
    return tmp_path


def upgrade(databases: Databases, folder: Path = migrate.FOLDER) -> tuple[list[str], list[str]]:
    """What was applied, and what was said."""
    said: list[str] = []
    return migrate.upgrade(databases, said.append, folder), said


def tables(databases: Databases) -> list[str]:
    found = sql(databases, "SELECT relname FROM pg_class WHERE relnamespace = 'prediction'::regnamespace "
                           "AND relkind = 'r' AND relname <> 'migration' ORDER BY relname")  # fmt: skip
    return [name for (name,) in found]


def recorded(databases: Databases) -> list[tuple[int, str]]:
    found = sql(databases, "SELECT number, name FROM prediction.migration ORDER BY applied_at, number")
    return [(number, name) for number, name in found]


def test_an_empty_database_gets_every_migration_and_a_second_upgrade_none(nothing: Databases) -> None:
    assert upgrade(nothing) == (SHIPPED, [f"applied {name}" for name in SHIPPED])
    first = tables(nothing)
    assert {"job", "model", "run", "shard", "quarantine"} <= set(first)
    migrate.require(nothing)

    assert upgrade(nothing) == ([], [])

    assert tables(nothing) == first
    assert recorded(nothing) == [(int(name.split("_")[0]), name) for name in SHIPPED]


def test_a_new_file_is_all_that_a_later_upgrade_applies(nothing: Databases, folder: Path) -> None:
    upgrade(nothing, folder)
    (folder / "0010_third.sql").write_text("ALTER TABLE prediction.second RENAME TO third")

    assert upgrade(nothing, folder) == (["0010_third"], ["applied 0010_third"])

    assert tables(nothing) == ["first", "third"]
    assert sql(nothing, "SELECT n FROM prediction.third") == [(1,)]
    assert recorded(nothing) == [(1, "0001_first"), (2, "0002_second"), (10, "0010_third")]


def test_two_upgrades_at_once_apply_each_migration_once(nothing: Databases, folder: Path) -> None:
    (folder / "0001_first.sql").write_text("CREATE TABLE prediction.first (n int); SELECT pg_sleep(0.3);")
    start = threading.Barrier(4)

    def one(_: int) -> list[str]:
        start.wait()
        return upgrade(Databases({"predictions": nothing.url("predictions").render_as_string(False)}), folder)[0]

    with ThreadPoolExecutor(4) as threads:
        applied = list(threads.map(one, range(4)))

    assert sorted(name for names in applied for name in names) == ["0001_first", "0002_second"]
    assert (tables(nothing), sql(nothing, "SELECT n FROM prediction.second")) == (["first", "second"], [(1,)])
    assert recorded(nothing) == [(1, "0001_first"), (2, "0002_second")]


def test_a_failing_migration_leaves_no_trace_and_keeps_those_before_it(nothing: Databases, folder: Path) -> None:
    broken = folder / "0003_third.sql"
    broken.write_text("CREATE TABLE prediction.third (n int); INSERT INTO prediction.third VALUES ('many')")

    with pytest.raises(psycopg2.DataError, match="many"):
        upgrade(nothing, folder)

    assert tables(nothing) == ["first", "second"]
    assert recorded(nothing) == [(1, "0001_first"), (2, "0002_second")]
    broken.write_text("CREATE TABLE prediction.third (n int)")
    assert upgrade(nothing, folder) == (["0003_third"], ["applied 0003_third"])


def test_an_edited_file_is_refused_by_name_and_nothing_after_it_is_applied(nothing: Databases, folder: Path) -> None:
    upgrade(nothing, folder)
    (folder / "0002_second.sql").write_text("CREATE TABLE prediction.second (n bigint);")
    (folder / "0003_third.sql").write_text("CREATE TABLE prediction.third (n int)")

    with pytest.raises(ConfigurationError, match=r"migration 0002_second\.sql was edited .* into a new migration\."):
        upgrade(nothing, folder)

    assert tables(nothing) == ["first", "second"]
    assert recorded(nothing) == [(1, "0001_first"), (2, "0002_second")]


@pytest.mark.parametrize("before", ["nothing", "an older schema"])
def test_code_that_is_newer_than_the_schema_says_the_command(nothing: Databases, before: str) -> None:
    newest = int(SHIPPED[-1].split("_")[0])
    at = "none"
    if before == "an older schema":
        upgrade(nothing)
        sql(nothing, "DELETE FROM prediction.migration WHERE number = :newest", newest=newest)
        at = str(int(SHIPPED[-2].split("_")[0])) if len(SHIPPED) > 1 else "none"

    with pytest.raises(ConfigurationError) as raised:
        migrate.require(nothing)

    assert str(raised.value) == (
        f"the schema `prediction` is at migration {at}, this code needs {newest}. Run: python -m inference db upgrade"
    )


def test_the_tables_of_older_jobs_lose_their_foreign_key_and_keep_their_rows(
    nothing: Databases, tmp_path: Path
) -> None:
    for name in SHIPPED[:3]:
        (tmp_path / f"{name}.sql").write_text((migrate.FOLDER / f"{name}.sql").read_text())
    upgrade(nothing, tmp_path)
    sql(nothing, "INSERT INTO prediction.model (name, version, digest, artifact, python_version, requirements, inputs, "
                 "outputs, pickled) VALUES ('m', '1', 'd', 'a', '3.11', '[]', '[]', '[]', false)")  # fmt: skip
    sql(nothing, "CREATE TABLE prediction.shop__blue (id bigint PRIMARY KEY, model_id integer NOT NULL REFERENCES "
                 "prediction.model, model_name text)")  # fmt: skip
    sql(nothing, "INSERT INTO prediction.shop__blue VALUES (1, 1, 'm')")

    upgrade(nothing)

    keys = "SELECT conrelid::regclass::text FROM pg_constraint WHERE confrelid = 'prediction.model'::regclass"
    assert {name for (name,) in sql(nothing, keys)} == {"prediction.run", "prediction.shard", "prediction.quarantine"}
    assert sql(nothing, "SELECT * FROM prediction.shop__blue") == [(1, 1, "m")]
