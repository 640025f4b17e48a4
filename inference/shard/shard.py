"""One shard, from its committed cursor to its end: reading, scoring and writing overlap."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Optional

from ..base.database import PREDICTIONS, Databases
from ..base.matching import feeds
from ..base.mlmodel import complete
from ..errors import Interrupted
from ..scoring import memory
from ..scoring.batch_size import DEFAULT, BatchSize
from ..scoring.deadline import Deadline
from ..scoring.predict import Contract, Predictor, Scorer
from ..scoring.rows import Chunk, Scored
from ..scoring.stopping import stopping
from . import attempt
from .attempt import Work
from .channel import Channel, Closed
from .pace import Pace
from .progress import Progress
from .read import Reader
from .trial import Trial
from .write import Writer

log = logging.getLogger(__name__)

# Chunks that wait before the model and after it. Scored but not committed are at most QUEUED + 2.
QUEUED = 1
HEARTBEAT = 10.0  # seconds


def run(databases: Databases, run_id: int, generation: int, number: int, load: Callable[[Work], Predictor]) -> None:
    """Score one shard. Raises Interrupted after SIGTERM, once the chunk at hand is committed (or see `stopping`)."""
    with stopping() as stop:
        _run(databases, run_id, generation, number, load, stop)


def _run(
    databases: Databases,
    run_id: int,
    generation: int,
    number: int,
    load: Callable[[Work], Predictor],
    stop: threading.Event,
) -> None:
    with databases.begin(PREDICTIONS) as connection:
        task = attempt.begin(connection, run_id, generation, number)
    shard = task.shard
    if shard.cursor == shard.last:
        log.info("%s: is complete already", shard)
        return
    if shard.attempt > 1:
        log.info("%s: attempt %d goes on after ordinal %d of %d", shard, shard.attempt, shard.cursor, shard.last)
    _pipe(databases, task, load, stop)


def _pipe(databases: Databases, task: Work, load: Callable[[Work], Predictor], stop: threading.Event) -> None:
    before: Channel[Chunk] = Channel(QUEUED)
    after: Channel[Scored] = Channel(QUEUED)
    with ThreadPoolExecutor(2, thread_name_prefix="shard") as threads, closing(Trial(databases, task)) as trial:
        progress = Progress(task.shard)
        # While the model loads, the first chunk is read, and the writer gives signs of life.
        threads.submit(_read, Reader(databases, task), before, Pace(task.rows_per_second))
        writing = threads.submit(_write, Writer(databases, task), before, after, progress)
        try:
            deadline = Deadline(task.batch_seconds)
            model = load(task)
            scorer = Scorer(model, _contract(task, model), _batch_size(task), deadline, trial)
            progress.begin(memory.reset_peak())
            complete = _score(scorer, before, after, stop)
        except Closed:  # the writer failed and says why
            complete = True
        except BaseException as error:
            after.close(error)
            raise
        finally:
            before.close()
            after.close()
        writing.result()
    progress.end(memory.peak())
    if not complete:
        raise Interrupted(
            f"{task.shard}: stopped by a signal; everything scored is committed, a retry goes on from there"
        )


def _contract(task: Work, model: Predictor) -> Contract:
    made = feeds(complete(task.signature.inputs, model), task.source["inputs"], f"{task.shard}: the model")
    return Contract(made, task.signature.outputs, task.nulls, task.params)


def _batch_size(task: Work) -> BatchSize:
    """After a kill for its memory a shard tries no larger batch. Of a model that has died no costs are asked: then a
    batch is a number of rows again."""
    if task.deaths:
        return BatchSize(task.sizes["batch_rows"] or DEFAULT, None, 0, task.sizes["chunk_rows"])
    rows = 0 if task.memory_kills else task.shard.last - task.shard.cursor
    known = task.batch_size or (1 if task.memory_kills else None)
    return BatchSize(task.sizes["batch_rows"] and task.batch_size, known, rows, task.sizes["chunk_rows"])


def _score(scorer: Scorer, before: Channel[Chunk], after: Channel[Scored], stop: threading.Event) -> bool:
    """Score chunk after chunk; False if a signal ended it before the last."""
    while True:
        try:
            chunk = before.get()
        except Closed:
            return True
        if stop.is_set():
            return False
        after.put(scorer.score(chunk))


def _read(reader: Reader, before: Channel[Chunk], pace: Pace) -> None:
    try:
        for chunk in reader.chunks():
            before.put(chunk)
            if before.ended_within(pace.after(chunk.upto - chunk.after)):
                return
        before.close()
    except Closed:
        pass
    except BaseException as error:
        before.close(error)
    finally:
        reader.close()


def _write(writer: Writer, before: Channel[Chunk], after: Channel[Scored], progress: Progress) -> None:
    last = 0.0
    try:
        while True:
            scored = _next(writer, after)
            if scored is None:
                return
            now = time.monotonic()
            writer.commit(scored, now - max(last, progress.started), progress.held, memory.peak())
            last = now
            progress.advance(scored)
    except BaseException as error:
        before.close(error)
        after.close(error)
        raise
    finally:
        writer.close()


def _next(writer: Writer, after: Channel[Scored]) -> Optional[Scored]:
    """The next chunk to write; a sign of life while there is none."""
    while True:
        try:
            return after.get(HEARTBEAT)
        except TimeoutError:
            writer.alive()
        except Closed:
            return None
