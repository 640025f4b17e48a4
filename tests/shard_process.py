"""One shard in a process of its own, with a slow stub model: what tests kill, stop and interrupt.

    python -m tests.shard_process RUN GENERATION SHARD

STUB_LOG    file that gets every text handed to the model, one a line, before it is scored
STUB_DELAY  seconds that a call of the model takes
STUB_STOP   `copy`: stop (SIGSTOP) in the middle of the second chunk's COPY; `advance`: after its cursor moved;
            `receive`: while it receives a large page; `read`: after it has, in its transaction
STUB_SESSION  settings of its sessions in place of those of inference/base/database.py, as JSON
"""

from __future__ import annotations

import io
import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
from psycopg2 import extensions

from inference.base import database, queries
from inference.base.database import Databases
from inference.errors import InferenceError
from inference.scoring.rows import Chunk, Rows
from inference.shard import read, shard, write
from tests.stub import Digest


class Slow(Digest):
    def predict(self, data: pd.DataFrame) -> pd.DataFrame:
        with Path(os.environ["STUB_LOG"]).open("a") as log:
            log.writelines(f"{text}\n" for text in data["text"])
        time.sleep(float(os.environ.get("STUB_DELAY", "0")))
        return super().predict(data)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(0.2)  # a thread may run on for a moment until the signal is delivered


class StopsWithin(io.StringIO):
    """The first half of the lines, then SIGSTOP, then the rest."""

    reads = 0

    def read(self, size: int | None = -1) -> str:
        self.reads += 1
        if self.reads == 1:
            return super().read(len(self.getvalue()) // 2)
        if self.reads == 2:
            stop()
        return super().read(size)


class Writer(write.Writer):
    chunks = 0

    def _lines(self, rows: Rows) -> io.StringIO:
        lines = super()._lines(rows)
        self.chunks += 1
        return StopsWithin(lines.getvalue()) if self.chunks == 2 else lines


class Queries:
    """The module `queries`, but the second time that a cursor moved, the process stops."""

    moved = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(queries, name)

    def run(self, connection: Any, block: str, *parts: Any, **values: Any) -> Any:
        result = queries.run(connection, block, *parts, **values)
        if block is write.SQL["advance"]:
            self.moved += 1
            if self.moved == 2:
                stop()
        return result


def stop_while_receiving(connection: Any) -> None:
    """Called by psycopg2 whenever it waits for the server."""
    reads = 0
    while (state := connection.poll()) != extensions.POLL_OK:
        reading = state == extensions.POLL_READ
        select.select([connection] if reading else [], [] if reading else [connection], [])
        reads += reading
        if reads == 20:  # many times more than any small answer takes
            extensions.set_wait_callback(None)
            stop()


class Reader(read.Reader):
    pages = 0

    def _fetch(self, *arguments: Any) -> Chunk:
        page = super()._fetch(*arguments)
        self.pages += 1
        if self.pages == 1:
            stop()
        return page


def main() -> int:
    database.SESSION.update(json.loads(os.environ.get("STUB_SESSION", "{}")))
    if os.environ.get("STUB_STOP") == "receive":
        extensions.set_wait_callback(stop_while_receiving)
    elif os.environ.get("STUB_STOP") == "read":
        shard.Reader = Reader  # type: ignore[misc]
    elif os.environ.get("STUB_STOP") == "copy":
        shard.Writer = Writer  # type: ignore[misc]
    elif os.environ.get("STUB_STOP") == "advance":
        write.queries = Queries()  # type: ignore[assignment]
    try:
        shard.run(Databases(), *map(int, sys.argv[1:4]), lambda work: Slow())
    except InferenceError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
