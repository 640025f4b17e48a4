"""What whoever follows a shard does every few seconds: signs of life until its process gives its own, and an end of its
sessions that stand still.

A client that is stopped while it sends a chunk keeps its transaction open for ever: no timeout of the server applies to
waiting for the rest of a COPY. (While it receives a page, the server's tcp_user_timeout applies: see database.py.)
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Connection

from inference.base import queries
from inference.base.database import PREDICTIONS, Databases

log = logging.getLogger(__name__)
SQL = queries.load("runners/watchdog")
EVERY = 10.0  # seconds


@contextmanager
def watching(databases: Databases, page_timeout: str, run_id: int, generation: int, shard: int) -> Iterator[None]:
    """End the shard's sessions whose transaction is older than `page_timeout`, for as long as the block lasts."""
    values = {"run_id": run_id, "generation": generation, "shard": shard, "page_timeout": page_timeout}

    def watch(connection: Connection) -> None:
        ended = queries.run(connection, SQL["end_old"], **values).scalar()
        if ended:
            log.warning("run %d shard %d: ended %d sessions older than %s", run_id, shard, ended, page_timeout)

    with _repeated(databases, watch, f"run {run_id} shard {shard}: its sessions were not looked at"):
        yield


@contextmanager
def starting(databases: Databases, run_id: int, generation: int, shard: int) -> Iterator[None]:
    """Signs of life of the attempt in the block until its process gives its own: an environment may take minutes to
    make, and an image to pull."""
    values = {"run_id": run_id, "generation": generation, "shard": shard}
    with databases.begin(PREDICTIONS) as connection:
        before = queries.run(connection, SQL["attempt"], **values).scalar()
        queries.run(connection, SQL["starting"], attempt=before, **values)

    def live(connection: Connection) -> None:
        queries.run(connection, SQL["starting"], attempt=before, **values)

    with _repeated(databases, live, f"run {run_id} shard {shard}: a sign of life could not be given"):
        yield


@contextmanager
def _repeated(databases: Databases, act: Callable[[Connection], None], failed: str) -> Iterator[None]:
    """Do this now and every few seconds, in a transaction and a thread of its own, for as long as the block lasts."""
    over = threading.Event()

    def repeat() -> None:
        while True:
            try:
                with databases.begin(PREDICTIONS) as connection:
                    act(connection)
            except Exception as error:  # the shard itself says what is wrong
                log.info("%s: %s", failed, error)
            if over.wait(EVERY):
                return

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
