"""The one connection factory: named connections, URLs, session settings.

A connection has a name (`predictions` is the database that holds the schema `prediction`). Its URL
comes from the environment variable AIRFLOW_CONN_<NAME>, which Airflow reads as well, or is handed
over by a task that asked Airflow for it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Optional

import psycopg2
from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Connection, Engine, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool

from inference.errors import ConfigurationError, RetryableError, Unavailable

PREDICTIONS = "predictions"

# The text form of a value, and so the input hash, depends on these: every session has the same.
SESSION = {
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "default_transaction_isolation": "read committed",
    "lock_timeout": "30s",
    "idle_in_transaction_session_timeout": "1min",
    "tcp_user_timeout": "60s",  # of the server: the only one that ends a session whose client has stopped reading
}
# Of the client, in seconds. A dead network is noticed within about a minute instead of two hours.
NETWORK = {
    "connect_timeout": 10,
    "keepalives_idle": 20,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 60_000,
}
# With the default, 4, Postgres reads the whole source for a page of 2048 out of 200,000 rows: 26 ms instead of 6.
RANDOM_PAGE_COST = "1.1"
_ANOTHER = "Is it the right database, and complete? As the owner of the schema: python -m inference db upgrade"
_NARROWER = "Let the model return fewer or shorter values, or arrays: an array output is one column"
_REMEDIES = {
    "42501": "GRANT what its role lacks, or let the connection name another role (docs/security.md)",
    "42P01": _ANOTHER,
    "3F000": _ANOTHER,
    "25006": "This server takes no writes, as a standby does: let the connection name the primary",
    "54000": _NARROWER,
    "54011": _NARROWER,
    "22P05": "The database's encoding lacks a character. Leave it out, or use a database in UTF8",
}
PAGE_TIMEOUT = "5min"
PLAN_TIMEOUT = "60min"


class Databases:
    """Connections by name. `urls` overrides the environment."""

    def __init__(self, urls: Mapping[str, str] | None = None) -> None:
        self._urls = dict(urls or {})
        self._engines: dict[tuple[str, str], Engine] = {}

    def url(self, name: str) -> URL:
        """The URL of a connection, for psycopg2; raises ConfigurationError if there is none."""
        variable = "AIRFLOW_CONN_" + name.upper()
        text = self._urls.get(name) or os.environ.get(variable)
        if not text:
            raise ConfigurationError(
                f"connection {name!r}: no address. Set {variable}=postgresql://user:password@host/"
                f"database, or add a connection {name!r} in Airflow."
            )
        return normalise(name, text)

    def of_shard(self, name: str) -> str:
        """The connection that a shard gets as `name`: `<name>_shard`, of a role that may less, if there is one."""
        other = f"{name}_shard"
        return other if other in self._urls or os.environ.get("AIRFLOW_CONN_" + other.upper()) else name

    def environment(self, *names: str) -> dict[str, str]:
        """Environment variables that hand these connections to a shard."""
        urls = {name: self.url(self.of_shard(name)) for name in names}
        return {"AIRFLOW_CONN_" + name.upper(): url.render_as_string(hide_password=False) for name, url in urls.items()}

    def same(self, one: str, other: str) -> bool:
        """Whether two names lead to one database, so that a query can join across them."""
        if one == other:
            return True
        a, b = self.url(one), self.url(other)
        return (a.host, a.port, a.database) == (b.host, b.port, b.database)

    def engine(self, name: str, timeout: str = PAGE_TIMEOUT) -> Engine:
        if (name, timeout) not in self._engines:
            self._engines[name, timeout] = _engine(self.url(name), timeout)
        return self._engines[name, timeout]

    def open(self, name: str, timeout: str = PAGE_TIMEOUT) -> Connection:
        """A connection for the caller to close; raises Unavailable if the server does not answer."""
        with unavailable(name, self.url(name)):
            return self.engine(name, timeout).connect()

    @contextmanager
    def connect(self, name: str, timeout: str = PAGE_TIMEOUT) -> Iterator[Connection]:
        """A connection without a transaction, closed at the end of the block."""
        with self.open(name, timeout) as connection:
            yield connection

    @contextmanager
    def begin(self, name: str, timeout: str = PAGE_TIMEOUT) -> Iterator[Connection]:
        """A connection inside one transaction, committed at the end of the block.

        Raises RetryableError for what may go better later: see `explained`.
        """
        try:
            with self.connect(name, timeout) as connection, connection.begin():
                yield connection
        except (DBAPIError, psycopg2.Error) as error:
            raise explained(error, name, timeout) from error


def normalise(name: str, text: str) -> URL:
    """`postgres://` and `postgresql://` mean psycopg2 here (SQLAlchemy 2.1 would take psycopg 3)."""
    try:
        url = make_url(text)
    except ArgumentError:  # its message repeats the URL, and with it the password
        url = None
    if url is None or url.get_backend_name() not in ("postgres", "postgresql"):
        raise ConfigurationError(
            f"connection {name!r}: its address is not one of PostgreSQL. "
            "Write postgresql://user:password@host:port/database."
        )
    # Extras of an Airflow connection that hold lists or objects come as one JSON value, which libpq would refuse; what
    # they say of TLS must not get lost.
    extras = json.loads(str(url.query.get("__extra__", "{}")))
    tls = {key: str(value) for key, value in extras.items() if key.startswith("ssl")}
    return url.set(drivername="postgresql+psycopg2").difference_update_query(["__extra__"]).update_query_dict(tls)


def _engine(url: URL, timeout: str) -> Engine:
    settings = {**SESSION, "random_page_cost": RANDOM_PAGE_COST, "statement_timeout": timeout}
    options = " ".join("-c {}={}".format(name, value.replace(" ", "\\ ")) for name, value in settings.items())
    arguments = {"options": options, "client_encoding": "UTF8", **NETWORK}
    engine = create_engine(url, poolclass=NullPool, connect_args=arguments, hide_parameters=True)
    event.listen(engine, "handle_error", _no_rows)
    return engine


def _no_rows(context: ExceptionContext) -> None:
    for error in (context.original_exception, context.sqlalchemy_exception):
        if error is not None:
            no_rows(error)


def no_rows(error: BaseException) -> None:
    """Keep the first line of what Postgres says: DETAIL and CONTEXT quote rows, and an error may end in a log."""
    error.args = (str(error.args[0]).partition("\n")[0],) if error.args else ()


@contextmanager
def unavailable(name: str, url: URL) -> Iterator[None]:
    """Turn a failed connection into an error that names the address, never the password."""
    try:
        yield
    except OperationalError as error:
        where = f"{url.host}:{url.port or 5432}/{url.database}"
        reason = str(error.orig).strip().splitlines()[0]
        raise Unavailable(
            f"connection {name!r} ({where}) does not answer: {reason}. Is the server up, and is the address right?"
        ) from None
    except ProgrammingError as error:  # of the driver, which reads the address; it quotes names of options, no values
        raise ConfigurationError(f"connection {name!r}: its address cannot be used: {said(error)}") from None


def passing(error: BaseException) -> bool:
    """Whether a retry makes sense: the server or the way to it was lost (restart, kill, network), or somebody was in
    the way (a standby's recovery or another transaction: 40001; a deadlock: 40P01; a lock: 55P03)."""
    found = code(error)
    lost = isinstance(_original(error), (psycopg2.OperationalError, psycopg2.InterfaceError)) and (
        # Class 08: connection; 57P: shutdown. Others come back the same.
        found is None or found[:2] == "08" or found[:3] == "57P"
    )
    return lost or found in ("40001", "40P01", "55P03")


def explained(error: Exception, name: str, timeout: str) -> Exception:
    """What to raise for an error of connection `name`, whose statements may take `timeout`."""
    first: BaseException = error  # a failed rollback may hide what made it necessary
    while isinstance(first.__context__, (DBAPIError, psycopg2.Error)):
        first = first.__context__
    if passing(error):
        return Unavailable(f"connection {name!r}: {said(first)}. A retry may find it well")
    found = code(error) or ""
    if found.startswith("53"):  # no disk, no memory, no connection
        return RetryableError(f"connection {name!r}: Postgres has no room: {said(first)}. A later try may find some")
    if found == "57014":
        return RetryableError(
            f"connection {name!r}: {said(first)}. It had {timeout} (of plan and pages: `timeouts` in the job file); "
            "what keeps the database busy?"
        )
    way_out = remedy(error)
    return ConfigurationError(f"connection {name!r}: {said(first)}. {way_out}") if way_out else error


def remedy(error: BaseException) -> Optional[str]:
    """What to do about an error that people cause, by roles, addresses and sizes; None if it is a bug."""
    return _REMEDIES.get(code(error) or "")


def said(error: BaseException) -> str:
    """The first line of what Postgres says: no statement, and none of the values that an error of data quotes."""
    original = _original(error)
    line = str(original).strip().partition("\n")[0]
    return re.sub('".*"', '"..."', line) if isinstance(original, psycopg2.DataError) else line


def _original(error: BaseException) -> Any:
    return error.orig if isinstance(error, DBAPIError) else error


def code(error: BaseException) -> Optional[str]:
    """Postgres's code of an error; None if it is not from there."""
    found: Optional[str] = getattr(_original(error), "pgcode", None)
    return found
