"""A database session of a shard: it reconnects, and the shard's row knows its server process."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Optional, TypeVar

import psycopg2
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ..base.database import Databases, explained, no_rows, passing, said
from ..errors import TakenOver, Unavailable

Result = TypeVar("Result")

# Seconds before each try; together about a minute, the time of a failover.
DELAYS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)


class Session:
    """One connection to the database `name`, opened when needed. Belongs to one thread."""

    def __init__(
        self,
        databases: Databases,
        name: str,
        on_connect: Callable[[Connection], None],
        timeout: str,
        on_close: Optional[Callable[[Connection], None]] = None,
    ) -> None:
        self._databases = databases
        self._name = name
        self._on_connect = on_connect
        self._timeout = timeout
        self._on_close = on_close
        self._connection: Optional[Connection] = None

    def attempt(self, work: Callable[[Connection], Result]) -> Result:
        """Run `work` in one transaction; again, after a lost connection.

        `work` must do the same when it is repeated, also after a COMMIT whose answer was lost.
        Raises Unavailable when the server stays away, TakenOver if the work tables are gone.
        """
        failure: Exception = RuntimeError()
        for delay in DELAYS:
            time.sleep(delay)
            try:
                connection = self._open()
                with connection.begin():
                    return work(connection)
            except Unavailable as error:
                failure = error
            except (DBAPIError, psycopg2.Error) as error:
                no_rows(error)  # COPY's own errors come past the engine
                if not passing(error):
                    raise self._explained(error) from error
                failure = error
            self._drop()
        raise Unavailable(f"connection {self._name!r} was lost and did not come back: {said(failure)}") from failure

    def _open(self) -> Connection:
        if self._connection is None:
            self._connection = self._databases.open(self._name, self._timeout)
            with self._connection.begin():
                self._on_connect(self._connection)
        return self._connection

    def close(self) -> None:
        """The end of a session that has done its work."""
        if self._connection is not None and self._on_close is not None:
            with suppress(SQLAlchemyError), self._connection.begin():
                self._on_close(self._connection)
        self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            try:
                self._connection.close()
            except DBAPIError:
                self._connection.invalidate()
        self._connection = None

    def _explained(self, error: Exception) -> Exception:
        """A work table that no longer exists was dropped by a later plan."""
        original = error.orig if isinstance(error, DBAPIError) else error
        missing = getattr(original, "pgcode", None) == "42P01"
        if missing and re.search(r"prediction_work\.(work|result)_", str(original)):
            return TakenOver(
                "the work tables of this plan are gone: a later plan or run has taken over. Nothing was written"
            )
        return explained(error, self._name, self._timeout, "timeouts.page")
