"""What people see on a terminal: tables, and a progress bar while shards run."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from inference.base.database import PREDICTIONS, Databases
from inference.operations import status
from inference.pipeline import Watch
from inference.planning.plan import Planned

EVERY = 0.5  # seconds
WIDTH = 200  # of a table that goes to a file
_LONG = ("message", "last_message", "description")


def show(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print rows as a table, or as JSON."""
    if as_json:
        print(json.dumps(rows, default=str))
        return
    if not rows:
        print("none")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in rows[0]:
        table.add_column(name, no_wrap=name not in _LONG, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(name)) for name in rows[0]))
    # Values are text: a message with "[/b]" is no markup.
    Console(width=None if sys.stdout.isatty() else WIDTH, markup=False, emoji=False).print(table)


def watch(databases: Databases) -> Watch:
    """A progress bar on a terminal, in place of the shards' lines; nothing where the output goes elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        return lambda planned: nullcontext()
    logging.getLogger("inference.runners.venv").setLevel(logging.WARNING)
    return partial(_progress_bar, databases, console)


@contextmanager
def _progress_bar(databases: Databases, console: Console, planned: Planned) -> Iterator[None]:
    """Shows the run's committed inputs until the block ends."""
    ended = threading.Event()
    names = ("[bold]{task.description}", BarColumn(), MofNCompleteColumn(), TextColumn("rows"), TimeRemainingColumn())
    columns = [TextColumn(item) if isinstance(item, str) else item for item in names]
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(f"run {planned.run_id}")

        def follow() -> None:
            with databases.connect(PREDICTIONS) as connection:
                while True:
                    last = ended.wait(EVERY)
                    with connection.begin():
                        done, total = status.progress(connection, planned.run_id, planned.generation)
                    bar.update(task, completed=done, total=total)
                    if last:
                        return

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(timeout=5)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:%Y-%m-%d %H:%M:%S}" if hasattr(value, "strftime") else str(value)
