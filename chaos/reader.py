"""Somebody who looks at the predictions all the time: whatever they see must be whole runs."""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg2

from chaos import oracle
from chaos.server import Server

POLL = 0.02  # seconds
VISIBLE = """
SELECT (SELECT json_agg(v) FROM (
            SELECT run_id, count(*) AS rows, count(DISTINCT model_id) AS models, count(DISTINCT predicted_at) AS moments
            FROM prediction.chaos GROUP BY run_id) v),
       (SELECT json_agg(r) FROM (SELECT run_id, state, predicted + reused AS written FROM prediction.run) r)
"""


class Reader:
    """Polls in a thread of its own until `stop`; `violations` is what it saw and should not have."""

    def __init__(self, server: Server, database: str, inputs: list[str]) -> None:
        self._server, self._database, self._inputs = server, database, inputs
        self._stop = threading.Event()
        self._rows: dict[int, int] = {}
        self._published: set[int] = set()
        self.violations: list[str] = []
        self.polls = 0
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                with self._server.session(self._database) as cursor:
                    while not self._stop.is_set():
                        self._poll(cursor)
                        time.sleep(POLL)
            except psycopg2.errors.UndefinedTable:  # the first run has made nothing yet
                time.sleep(POLL)
            except psycopg2.Error:  # the server was killed
                time.sleep(POLL)

    def _poll(self, cursor: Any) -> None:
        cursor.execute(VISIBLE)
        visible, known = cursor.fetchone()
        self.polls += 1
        runs = {run["run_id"]: run for run in known or []}
        rows = {item["run_id"]: item["rows"] for item in visible or []}
        published = {number for number, run in runs.items() if run["state"] == "published"}
        for item in visible or []:
            run = item["run_id"]
            if run not in published:
                self._violation(f"{item['rows']} rows of run {run} are visible, which is {runs[run]['state']}")
            if item["models"] > 1 or item["moments"] > 1:
                self._violation(f"run {run}: {item['models']} versions, {item['moments']} moments of publishing")
        new = published - self._published
        self._judge(rows, new, runs)
        if new:
            self._look(cursor, new)
        self._rows, self._published = rows, published

    def _judge(self, rows: dict[int, int], new: set[int], runs: dict[int, Any]) -> None:
        for run in rows.keys() | self._rows.keys() | new:
            before, now = self._rows.get(run, 0), rows.get(run, 0)
            if run in new:
                written = runs[run]["written"]
                least = written if len(new) == 1 else 0
                if not least <= now <= written:
                    self._violation(f"run {run} is published with {written} rows, and {now} are visible")
            elif now > before or (now < before and not new):
                self._violation(f"run {run} had {before} rows, then {now}, and published were {sorted(new) or 'none'}")

    def _look(self, cursor: Any, new: set[int]) -> None:
        """The rows of runs that have just been published, by themselves."""
        for prediction in oracle.predictions(cursor):
            if prediction.run_id in new:
                self.violations += oracle.judge_prediction(prediction, self._inputs)

    def _violation(self, text: str) -> None:
        if text not in self.violations:
            self.violations.append(text)
