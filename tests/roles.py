"""The roles of sql/roles.sql in a test's database, each with a connection of its own."""

from __future__ import annotations

import psycopg2

from inference.base.database import Databases
from inference.base.queries import FOLDER
from inference.schema import migrate
from services.postgres import Postgres

ROLES = ("owner", "planner", "predictor", "reader")
PASSWORD = "geheim"


def apply(postgres: Postgres, database: str) -> None:
    """What the company's administrator does."""
    connection = psycopg2.connect(postgres.libpq_url(database))
    with connection, connection.cursor() as cursor:
        cursor.execute((FOLDER / "roles.sql").read_text(encoding="utf-8"))
        for role in ROLES:
            cursor.execute(f"ALTER ROLE prediction_{role} PASSWORD '{PASSWORD}'")
    connection.close()


def connections(postgres: Postgres, database: str) -> dict[str, Databases]:
    """By role, what each knows; the planner also knows the connection that it hands to shards."""
    admin = Databases({"predictions": postgres.url(database)}).url("predictions")
    urls = {
        role: admin.set(username=f"prediction_{role}", password=PASSWORD).render_as_string(hide_password=False)
        for role in ROLES
    }
    found = {role: Databases({"predictions": url}) for role, url in urls.items()}
    found["planner"] = Databases({"predictions": urls["planner"], "predictions_shard": urls["predictor"]})
    return found


def company(postgres: Postgres, database: str) -> dict[str, Databases]:
    """The roles and the schema in an empty database; `admin` is the superuser."""
    apply(postgres, database)
    found = connections(postgres, database)
    migrate.upgrade(found["owner"], lambda _: None)
    return {"admin": Databases({"predictions": postgres.url(database)}), **found}
