"""After a model has ended its own process (a segfault, an exit, a call that hung): which row is to blame?

The first death says nothing. From then on a shard notes the rows of each call before it calls. The rows of a call that
the process dies in are tried one by one by the next attempt, and a row that it dies on alone goes into quarantine. So a
culprit costs two or three starts of the process and nobody has to read a core dump.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Optional

from inference.base import queries
from inference.base.database import PREDICTIONS, Databases
from inference.errors import PermanentError, ProcessDied
from inference.shard.attempt import Work, identity, taken_over
from inference.shard.attempt import session as work_session

log = logging.getLogger(__name__)
SQL = queries.load("shard/trial")
MOST = 10  # culprits of one shard; a model that dies on every row fails the run


class Trial:
    """The shard's side. Belongs to the thread that calls the model."""

    def __init__(self, databases: Databases, work: Work) -> None:
        self._work = work
        self._session = work_session(databases, work)

    @property
    def needless(self) -> bool:
        """No process of this shard has died by its model."""
        return not self._work.deaths

    def before(self, ordinals: Sequence[int]) -> tuple[int, Optional[ProcessDied]]:
        """How many of the first rows go into one call, and why the first must not go into any."""
        if self.needless:
            return len(ordinals), None
        first = int(ordinals[0])
        if first in self._work.culprits:
            return 1, ProcessDied(self._work.culprits[first])
        together = next(
            (number for number, one in enumerate(ordinals) if number and self._alone(int(one))), len(ordinals)
        )
        together = 1 if self._alone(first) else together
        values = {"first": first, "last": int(ordinals[together - 1]), **identity(self._work.shard)}
        self._session.attempt(lambda connection: self._note(connection, values))
        return together, None

    def close(self) -> None:
        self._session.close()

    def _alone(self, ordinal: int) -> bool:
        return ordinal in self._work.culprits or ordinal in self._work.apart

    def _note(self, connection: Any, values: dict[str, Any]) -> None:
        if queries.run(connection, SQL["note"], **values).rowcount == 0:
            raise taken_over(self._work.shard)


def judged(databases: Databases, run_id: int, generation: int, shard: int, attempt: Callable[[], None]) -> None:
    """The orchestrator's side: attempts at a shard, until one ends otherwise than by its model.

    Raises ProcessDied when the rows have nothing to do with it, PermanentError after more than MOST culprits.
    """
    ids = {"run_id": run_id, "generation": generation, "shard": shard}
    while True:
        try:
            attempt()
            with databases.begin(PREDICTIONS) as connection:
                if queries.run(connection, SQL["complete"], **ids).scalar() is not False:
                    return
            raise ProcessDied(
                f"run {run_id} shard {shard}: its process ended with exit code 0 before its work was done"
            )
        except ProcessDied as error:
            with databases.begin(PREDICTIONS) as connection:
                found = queries.run(connection, SQL["died"], how=str(error), **ids).first()
            if found is None or (found.deaths > 1 and found.rows is None):
                raise
            if found.culprits > MOST:
                raise PermanentError(
                    f"{error}. So it did on {found.culprits} rows, each by itself: it is the model"
                ) from None
            log.warning("%s. %s", error, _next(found))


def _next(found: Any) -> str:
    if found.rows is None:
        return "The next attempt notes what it calls the model with"
    if found.rows > 1:
        return f"The next attempt tries the {found.rows} rows from ordinal {found.first} on one by one"
    return f"It did so on ordinal {found.first} alone, which goes into quarantine"
