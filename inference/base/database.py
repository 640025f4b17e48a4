"""The one connection factory: named connections, URLs, session settings.

A connection has a name (`predictions` is the database that holds the schema `prediction`). Its URL
comes from the environment variable AIRFLOW_CONN_<NAME>, which Airflow reads as well, or is handed
over by a task that asked Airflow for it.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Optional

import psycopg2
from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Connection, Engine, ExceptionContext
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool

from ..errors import ConfigurationError, RetryableError, Unavailable
from . import address, pooler, queries

SQL = queries.load("base/database")
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
# With the default, 4, Postgres reads the whole source for a page of 2048 out of 200,000 rows: 26 ms instead of 6.
RANDOM_PAGE_COST = "1.1"
UNTRANSLATABLE = "22P05"  # a character that another encoding lacks
_ANOTHER = "Is it the right database, and complete? As the owner of the schema: python -m inference db upgrade"
_NARROWER = "Let the model return fewer or shorter values, or arrays: an array output is one column"
_REMEDIES = {
    "42501": "GRANT what its role lacks, or let the connection name another role (docs/security.md)",
    "42P01": _ANOTHER,
    "3F000": _ANOTHER,
    "54000": _NARROWER,
    "54011": _NARROWER,
    UNTRANSLATABLE: "The database's encoding lacks a character. Leave it out, or use a database in UTF8",
}
PAGE_TIMEOUT = "5min"


class Databases:
    """Connections by name. `urls` overrides the environment."""

    def __init__(self, urls: Mapping[str, str] | None = None) -> None:
        self._urls = dict(urls or {})
        self._engines: dict[tuple[str, str], Engine] = {}
        self._same: dict[tuple[str, str], bool] = {}

    def url(self, name: str) -> URL:
        """The URL of a connection, for psycopg2; raises ConfigurationError if there is none."""
        variable = "AIRFLOW_CONN_" + name.upper()
        text = self._urls.get(name) or os.environ.get(variable)
        if not text:
            raise ConfigurationError(
                f"connection {name!r}: no address. Set {variable}=postgresql://user:password@host/"
                f"database, or add a connection {name!r} in Airflow."
            )
        return address.normalise(name, text)

    def of_shard(self, name: str) -> str:
        """The connection that a shard gets as `name`: `<name>_shard`, of a role that may less, if there is one."""
        other = f"{name}_shard"
        return other if other in self._urls or os.environ.get("AIRFLOW_CONN_" + other.upper()) else name

    def environment(self, *names: str) -> dict[str, str]:
        """Environment variables that hand these connections to a shard."""
        urls = {name: self.url(self.of_shard(name)) for name in names}
        return {"AIRFLOW_CONN_" + name.upper(): url.render_as_string(hide_password=False) for name, url in urls.items()}

    def same(self, one: str, other: str) -> bool:
        """Whether two names lead to one database as one role, so that a query can join across them.

        The servers are asked: addresses that differ may lead to one, and equal ones to a server and its standby.
        """
        if one == other:
            return True
        if (one, other) not in self._same:
            self._same[one, other] = self._equal_options(one, other) and self._share_locks(one, other)
        return self._same[one, other]

    def _equal_options(self, one: str, other: str) -> bool:
        a, b = (address.parameters(self.url(name)).get("options", "").split() for name in (one, other))
        return a == b

    def _share_locks(self, one: str, other: str) -> bool:
        """Whether a lock of one is in the way of the other. Clones and standbys are equal in all but that."""
        key = secrets.randbits(63)
        with self.begin(one) as here, self.begin(other) as there:
            if queries.run(here, SQL["whose"]).one() != queries.run(there, SQL["whose"]).one():
                return False
            queries.run(here, SQL["try_lock"], key=key)
            return not queries.run(there, SQL["try_lock"], key=key).scalar()

    def engine(self, name: str, timeout: str = PAGE_TIMEOUT) -> Engine:
        if (name, timeout) not in self._engines:
            self._engines[name, timeout] = _engine(name, self.url(name), timeout)
        return self._engines[name, timeout]

    def open(self, name: str, timeout: str = PAGE_TIMEOUT) -> Connection:
        """A connection for the caller to close; raises Unavailable if the server does not answer."""
        with unavailable(name, self.url(name)):
            return self.engine(name, timeout).connect()

    @contextmanager
    def connect(self, name: str, timeout: str = PAGE_TIMEOUT, field: str = "") -> Iterator[Connection]:
        """A connection without a transaction, closed at the end of the block.

        `field`: of the job file, if the timeout is from there. Raises RetryableError for what may go better later:
        see `explained`.
        """
        try:
            with self.open(name, timeout) as connection:
                yield connection
        except (DBAPIError, psycopg2.Error) as error:
            raise explained(error, name, timeout, field) from error

    @contextmanager
    def begin(self, name: str, timeout: str = PAGE_TIMEOUT, field: str = "") -> Iterator[Connection]:
        """The same inside one transaction, committed at the end of the block."""
        with self.connect(name, timeout, field) as connection, connection.begin():
            yield connection


def _engine(name: str, url: URL, timeout: str) -> Engine:
    settings = {**SESSION, "random_page_cost": RANDOM_PAGE_COST, "statement_timeout": timeout}
    engine = create_engine(
        "postgresql+psycopg2://",
        creator=lambda: pooler.connect(name, url, settings),
        poolclass=NullPool,
        hide_parameters=True,
    )
    event.listen(engine, "handle_error", _no_rows)
    return engine


def _no_rows(context: ExceptionContext) -> None:
    if context.connection is None:  # nothing was asked yet; libpq says a line for each host
        return
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
        reason = _reason(str(error.orig))
        if reason.startswith("server closed the connection") and pooler.takes_statements_only(url):
            raise ConfigurationError(pooler.POOLED.format(f"connection {name!r} takes no transactions")) from None
        if "unsupported startup parameter" in reason:
            raise ConfigurationError(
                f"connection {name!r} ({address.where(url)}): {reason}. A pooler does not pass that on. Give it with "
                "ALTER ROLE ... SET instead of in the address, or connect to Postgres itself"
            ) from None
        raise Unavailable(
            f"connection {name!r} ({address.where(url)}) does not answer: {reason}. Is the server up, and is the "
            "address right?"
        ) from None
    except ProgrammingError as error:  # of the driver, which reads the address; it quotes names of options, no values
        raise ConfigurationError(f"connection {name!r}: its address cannot be used: {said(error)}") from None


def _reason(text: str) -> str:
    """The first line of what libpq says; where it has tried several hosts, one of each."""
    lines = text.strip().splitlines() or [""]
    return "; ".join([lines[0], *(line for line in lines[1:] if line.startswith("connection to "))])


def passing(error: BaseException) -> bool:
    """Whether a retry makes sense: the server or the way to it was lost (restart, kill, network), or somebody was in
    the way (a standby's recovery or another transaction: 40001; a deadlock: 40P01; a lock: 55P03)."""
    found = code(error)
    lost = isinstance(_original(error), (psycopg2.OperationalError, psycopg2.InterfaceError)) and (
        # Class 08: connection; 57P: shutdown. Others come back the same.
        found is None or found[:2] == "08" or found[:3] == "57P"
    )
    return lost or found in ("40001", "40P01", "55P03")


def explained(error: Exception, name: str, timeout: str, field: str = "") -> Exception:
    """What to raise for an error of connection `name`, whose statements may take `timeout`, as `field` of the job file
    says, if it does."""
    first: BaseException = error  # a failed rollback may hide what made it necessary
    while isinstance(first.__context__, (DBAPIError, psycopg2.Error)):
        first = first.__context__
    if passing(error):
        return Unavailable(f"connection {name!r}: {said(first)}. A retry may find it well")
    found = code(error) or ""
    if found == "25006":
        return Unavailable(
            f"connection {name!r}: {said(first)}: its server is a standby, or was made read-only. After a failover the "
            "address must lead to the new primary; a retry may find that it does"
        )
    if found.startswith("53"):  # no disk, no memory, no connection
        return RetryableError(f"connection {name!r}: Postgres has no room: {said(first)}. A later try may find some")
    if found == "57014":
        limit = f"{timeout} (`{field}` in the job file)" if field else timeout
        return RetryableError(f"connection {name!r}: {said(first)}. It had {limit}; what keeps the database busy?")
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


def write_words(connection: Connection, write: Callable[[Callable[[str], str]], object]) -> None:
    """Call `write` with a function for texts of any origin, such as a model's error, that gives what Postgres can hold.

    Characters that the database's encoding lacks are escaped, by Python's idea of it or, if Postgres has another, all
    that are not ASCII.
    """
    for codec in ("utf-8", psycopg2.extensions.encodings.get(server_encoding(connection), "ascii"), "ascii"):
        try:
            with connection.begin_nested():
                write(lambda text: text.replace("\0", "").encode(codec, "backslashreplace").decode(codec))  # noqa: B023
            return
        except (DBAPIError, psycopg2.Error) as error:
            if code(error) != UNTRANSLATABLE or codec == "ascii":
                raise


def server_encoding(connection: Connection) -> str:
    """Postgres's name of the database's encoding."""
    driver: Any = connection.connection.dbapi_connection
    return str(driver.info.parameter_status("server_encoding"))


def _original(error: BaseException) -> Any:
    return error.orig if isinstance(error, DBAPIError) else error


def code(error: BaseException) -> Optional[str]:
    """Postgres's code of an error; None if it is not from there."""
    found: Optional[str] = getattr(_original(error), "pgcode", None)
    return found
