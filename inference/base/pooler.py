"""A session of the server behind a connection: given our settings, and known again where a pooler may swap it."""

from __future__ import annotations

import secrets
from contextlib import closing, suppress
from typing import Any

import psycopg2
from psycopg2 import extensions
from psycopg2.extensions import make_dsn
from sqlalchemy.engine import URL, Connection

from ..errors import ConfigurationError
from . import address, queries

SQL = queries.load("base/pooler")
# Of the client, in seconds. A dead network is noticed within about a minute instead of two hours.
NETWORK = {
    "connect_timeout": 10,
    "keepalives_idle": 20,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 60_000,
}
POOLED = (
    "{}: a pooler in transaction or statement mode hands each transaction to any session of the server. The input "
    "hashes depend on the session's settings. Give this role or database pool_mode = session in PgBouncer, or connect "
    "to Postgres itself (docs/scaling.md)"
)


class Marked(extensions.connection):
    """`mark`: what the server's session is known by."""

    mark = ""


def connect(name: str, url: URL, settings: dict[str, str]) -> Marked:
    """A new connection whose session has `settings`. Raises ConfigurationError if the address's own were dropped."""
    raw: Marked = psycopg2.connect(_dsn(url), connection_factory=Marked)
    try:
        _refuse_dropped(name, address.settings(url), raw)
        _set(settings, raw)
    except BaseException:
        raw.close()
        raise
    return raw


def _dsn(url: URL) -> str:
    return str(make_dsn("", **{**address.parameters(url), "client_encoding": "UTF8", **NETWORK}))


def _set(settings: dict[str, str], raw: Marked) -> None:
    """Give a new session our settings, in one round trip, and a mark that `require_session` knows them by.

    Not as the startup parameter `options`: poolers refuse or drop it, and the address may have its own.
    """
    raw.mark = secrets.token_hex(8)
    _ask(raw, SQL["settings"], {**settings, "prediction.session": raw.mark})


def _refuse_dropped(name: str, given: dict[str, str], raw: Marked) -> None:
    """A pooler may drop the address's `options` without a word: then a tenant's rows, or a schema, would be missing."""
    dropped = _ask(raw, SQL["dropped"], given) if given else []
    if dropped:
        raise ConfigurationError(
            f"connection {name!r}: the option {', '.join(row[0] for row in dropped)} of its address did not arrive: a "
            "pooler has dropped it. Give it with ALTER ROLE ... SET instead, or connect to Postgres itself"
        )


def _ask(raw: Any, statement: str, settings: dict[str, str]) -> list[tuple[Any, ...]]:
    raw.autocommit = True
    with raw.cursor() as cursor:
        cursor.execute(statement, {"names": list(settings), "values": list(settings.values())})
        found: list[tuple[Any, ...]] = cursor.fetchall()
    raw.autocommit = False
    return found


def require_session(connection: Connection) -> None:
    """Raise ConfigurationError unless this transaction runs in the server's session that was given our settings."""
    raw: Any = connection.connection.dbapi_connection
    if queries.run(connection, SQL["session"]).scalar() != raw.mark:
        raise ConfigurationError(POOLED.format("The settings of this session did not stay"))


def takes_statements_only(url: URL) -> bool:
    """A pooler in statement mode closes the connection at BEGIN, without a word."""
    with suppress(psycopg2.Error), closing(psycopg2.connect(_dsn(url))) as raw:
        _ask(raw, SQL["settings"], {})
        try:
            raw.cursor().execute(SQL["session"])
        except psycopg2.OperationalError:
            return True
    return False
