"""After the process of a model has ended by itself: what the worker does, attempt by attempt.

The shard's side, which notes the rows of each call, is `inference/shard/trial.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from inference.base import queries
from inference.base.database import PREDICTIONS, Databases
from inference.errors import PermanentError, ProcessDied

log = logging.getLogger(__name__)
SQL = queries.load("runners/deaths")
MOST = 10  # culprits of one shard; a model that dies on every row fails the run


def judged(databases: Databases, run_id: int, generation: int, shard: int, attempt: Callable[[], None]) -> None:
    """Attempts at a shard, until one ends otherwise than by its model.

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
