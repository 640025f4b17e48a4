"""Entry of a shard's process: the pipeline's own shard with the stub model."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time

from sqlalchemy import text

from chaos import model, settings
from chaos.settings import Place
from inference.base.database import PREDICTIONS
from inference.base.state_folder import model_folder
from inference.errors import InferenceError, TakenOver
from inference.shard import shard
from inference.shard.attempt import Work

POLL = 0.05  # seconds


def main(place: Place, run_id: int, generation: int, number: int, parent: int) -> None:
    """Ends with the exit code of `python -m inference shard`. `parent`: whose end is this one's too, or 0."""
    settings.enter(place, "shards.log")
    if parent:
        threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    begun: list[Work] = []

    def load(work: Work) -> model.Stub:
        begun.append(work)
        return model.load(model_folder(work.digest))

    code = 0
    try:
        shard.run(place.databases("shard"), run_id, generation, number, load)
    except InferenceError as error:
        logging.info("run %d shard %d: %s", run_id, number, settings.judge(place, error))
        code = error.exit_code
        if isinstance(error, TakenOver) and begun:
            _judge(place, begun[0])
    except BaseException as error:
        logging.info("run %d shard %d: %s", run_id, number, settings.judge(place, error))
        code = 1
    os._exit(code)


def _judge(place: Place, work: Work) -> None:
    """The latest attempt wins: only a later one, or the end of the run, may take a shard from it."""
    mine = work.shard
    if (place.folder / f"failed-{mine.run_id}").exists():
        return
    query = text(
        "SELECT s.attempt, r.state, r.generation FROM prediction.run r JOIN prediction.shard s USING (run_id) "
        "WHERE r.run_id = :run AND s.generation = :generation AND s.shard = :shard"
    )
    values = {"run": mine.run_id, "generation": mine.generation, "shard": mine.number}
    with place.databases("harness").begin(PREDICTIONS) as connection:
        found = connection.execute(query, values).one()
    if tuple(found) == (mine.attempt, "predicting", mine.generation):
        settings.violation(place, f"{mine}: attempt {mine.attempt} is the latest, and was told that it was taken over")


def _die_with(parent: int) -> None:
    while True:
        time.sleep(POLL)
        try:
            os.kill(parent, 0)
        except ProcessLookupError:
            os.kill(os.getpid(), signal.SIGTERM)
            return
