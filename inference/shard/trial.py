"""After a model has ended its own process (a segfault, an exit, a call that hung): which row is to blame?

The first death says nothing. From then on a shard notes the rows of each call before it calls. The rows of a call that
the process dies in are tried one by one by the next attempt, and a row that it dies on alone goes into quarantine. So a
culprit costs two or three starts of the process and nobody has to read a core dump.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Optional

from ..base import queries
from ..base.database import Databases
from ..errors import ProcessDied
from .attempt import Work, identity, taken_over
from .attempt import session as work_session

log = logging.getLogger(__name__)
SQL = queries.load("shard/trial")


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
