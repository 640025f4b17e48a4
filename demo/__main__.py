"""`python -m demo [--messages FILE]` shows the pipeline at work until Ctrl-C; `down` stops it."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import threading
import traceback
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import psycopg2

from demo import messages
from demo.company import Company, database_name
from demo.screen import Screen
from demo.stack import JOBS, Stack, train
from demo.state import FOLDER, DemoError, Lock
from services.airflow import USER
from services.airflow_api import AirflowApi, AirflowError
from services.files import write_private
from services.postgres import HOST
from services.process import ServiceError

DAG_SECONDS = 120
RUN_SECONDS = 1800
QUOTED_LINES = 12
EXPECTED = (
    DemoError,
    ServiceError,
    AirflowError,
    messages.MessagesError,
    psycopg2.Error,
    OSError,
)


class Demo:
    """One showing: `file` holds the user's messages, None stands for the demo's own."""

    def __init__(self, screen: Screen, file: Path | None) -> None:
        self._screen = screen
        self._file = file
        self._own = None if file is None else messages.read(file)
        self._stack = Stack(database_name(file))
        self._pool = ThreadPoolExecutor(max_workers=6)
        self._stopped = threading.Event()
        self._feeder: Future[None] | None = None

    def show(self) -> None:
        """Start everything, show the first predictions, and stay."""
        with self._screen.step("PostgreSQL"):
            self._stack.start_postgres()
        self._stack.mlflow.start()
        rows = self._pool.submit(self._prepare_database)
        registry = self._pool.submit(self._await_mlflow)
        airflow = self._pool.submit(self._start_airflow)
        models = [self._pool.submit(self._prepare_model, name, registry, rows) for name in JOBS]
        _await([rows, registry, airflow, *models])
        if self._file is None:  # a user's file stays as it is
            self._feeder = self._pool.submit(self._company().feed, messages.built_in(), self._stopped)
        _await([self._pool.submit(self._first_run, job) for job in JOBS])
        for job in JOBS:
            self._screen.table(f"prediction.{job}", self._company().newest_predictions(job))
        self._addresses()
        while not self._stopped.wait(1):
            self._stack.check()
            if self._feeder is not None and self._feeder.done():
                self._feeder.result()  # only an error ends it

    def stop(self) -> None:
        self._stopped.set()
        self._stack.stop()  # what the threads wait for ends, and they with it
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._stack.stop()  # what they may have started meanwhile

    def _company(self) -> Company:
        return Company(self._stack.url)

    def _prepare_database(self) -> None:
        with self._screen.step("tables and messages"):
            self._stack.command("inference db upgrade", ["-m", "inference", "db", "upgrade"])
            if self._own is None or self._file is None:
                count = self._company().fill(messages.built_in())
            else:
                count = self._company().synchronise(self._own, self._file)
        self._screen.line(f"     {count} messages in {self._stack.database}.message")

    def _await_mlflow(self) -> None:
        with self._screen.step("MLflow"):
            self._stack.mlflow.wait_healthy()

    def _start_airflow(self) -> None:
        with self._screen.step("Airflow"):
            api = self._stack.start_airflow().api()
            for job in JOBS:
                api.await_dag(job, DAG_SECONDS)

    def _prepare_model(self, name: str, *before: Future[None]) -> None:
        _await(list(before))
        if not self._stack.has_model(name):
            with self._screen.step(f"training the model {name}"):
                self._stack.command(f"train {name}", train(name))
        with self._screen.step(f"environment of the model {name}"):
            self._stack.command(f"prepare {name}", ["-m", "inference", "models", "prepare", name])

    def _first_run(self, job: str) -> None:
        """A run of its own; the schedule's runs may be at work as well."""
        assert self._stack.airflow is not None
        api = self._stack.airflow.api()
        with self._screen.step(f"run of {job}"):
            run = api.trigger(job)
            api.unpause(job)
            self._finish(api, job, run)
            if not self._company().newest_predictions(job):  # another run was faster
                for other in api.runs(job):
                    self._finish(api, job, str(other["dag_run_id"]))

    def _finish(self, api: AirflowApi, job: str, run: str) -> None:
        if api.wait(job, run, RUN_SECONDS) == "success":
            return
        failed = [each for each in api.task_instances(job, run) if each["state"] == "failed"]
        logs = self._stack.folder / "airflow" / "logs" / f"dag_id={job}" / f"run_id={run}"
        quoted = ""
        for task in failed[:1]:
            log = api.log(job, run, task["task_id"], task["try_number"], task["map_index"])
            lines = [line for line in log.splitlines() if "::endgroup::" not in line]
            quoted = "\n" + "\n".join(lines[-QUOTED_LINES:])
        raise DemoError(
            f"run {run} of {job} failed in {', '.join(each['task_id'] for each in failed)}. "
            f"All logs are in {logs}; the last lines of the first:{quoted}\n"
            "Remove the cause and start the demo again: it continues."
        )

    def _addresses(self) -> None:
        airflow, postgres = self._stack.airflow, self._stack.postgres
        assert airflow is not None
        say = self._screen.line
        say(f"\nAirflow:  {airflow.url}  user {USER}, password {airflow.password}")
        say(f"MLflow:   {self._stack.mlflow.url}")
        say(f"database: {self._stack.url}")
        if shutil.which("psql"):
            passwords = os.path.relpath(self._stack.folder / "pgpass")
            say(
                f"psql:     PGPASSFILE={passwords} psql -h {HOST} -p {postgres.port} -U postgres {self._stack.database}"
            )
        growing = "A new message arrives every second. " if self._file is None else ""
        say(f"{growing}Both jobs run every two minutes. Ctrl-C stops everything.")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("action", nargs="?", choices=["up", "down"], default="up")
    parser.add_argument("--messages", type=Path, help="CSV file in UTF-8 with the columns id,text")
    arguments = parser.parse_args()
    # Where a proxy is set, it must not be asked for what this machine says to itself.
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), HOST, "localhost"]))
    screen = Screen()
    try:
        return _down(screen) if arguments.action == "down" else _up(screen, arguments.messages)
    except EXPECTED as error:
        screen.error(str(error).strip())
    except Exception:
        log = FOLDER / "demo.log"
        write_private(log, traceback.format_exc())
        screen.error(f"the demo has a bug. Its trace is in {log}: please report it.")
    return 1


def _up(screen: Screen, file: Path | None) -> int:
    lock = Lock()
    lock.acquire()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        demo = Demo(screen, file)
        try:
            demo.show()
        except KeyboardInterrupt:
            return 0
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)  # it is stopping already
            with screen.step("stopping"):
                demo.stop()
    finally:
        lock.release()
    return 0


def _down(screen: Screen) -> int:
    lock = Lock()
    if not lock.is_held():
        screen.line("no demo is running")
        return 0
    with screen.step("stopping the demo"):
        lock.stop_holder()
    return 0


def _await(futures: list[Future[Any]]) -> None:
    """Until all are done, or the first fails: its error is raised."""
    done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    for future in done:
        future.result()


if __name__ == "__main__":
    sys.exit(main())
