"""Sessions of a shard that stand still: ended from outside, by whoever follows the shard.

A client that is stopped while it sends a chunk keeps its transaction open for ever: no timeout of the server applies to
waiting for the rest of a COPY. (While it receives a page, the server's tcp_user_timeout applies: see database.py.)
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from inference import queries
from inference.database import PREDICTIONS, Databases

log = logging.getLogger(__name__)
SQL = queries.load("watchdog")
EVERY = 10.0  # seconds


@contextmanager
def watching(databases: Databases, page_timeout: str, run_id: int, generation: int, shard: int) -> Iterator[None]:
    """End the shard's sessions whose transaction is older than `page_timeout`, for as long as the block lasts."""
    over = threading.Event()
    values = {"run_id": run_id, "generation": generation, "shard": shard, "page_timeout": page_timeout}

    def watch() -> None:
        while not over.wait(EVERY):
            try:
                with databases.begin(PREDICTIONS) as connection:
                    ended = queries.run(connection, SQL["end_old"], **values).scalar()
                if ended:
                    log.warning("run %d shard %d: ended %d sessions older than %s", run_id, shard, ended, page_timeout)
            except Exception as error:  # the shard itself says what is wrong
                log.info("run %d shard %d: its sessions were not looked at: %s", run_id, shard, error)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
