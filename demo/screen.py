"""What the demo shows: steps with their seconds, a table of predictions, where to look."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

LONGEST_CELL = 40


class Screen:
    """Steps may run at the same time, from several threads."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self._status = Status("", console=self.console)
        self._active: list[str] = []
        self._guard = threading.Lock()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Show a step while it runs, and how long it took when it is done."""
        started = time.monotonic()
        self._change(start=name)
        try:
            yield
        except BaseException:
            self._change(end=name)
            raise
        self._change(end=name)
        self.line(f"[green]done[/] {escape(name)} [dim]{time.monotonic() - started:.1f} s[/]")

    def line(self, text: str) -> None:
        """One line; rich's markup is interpreted."""
        self.console.print(text, soft_wrap=True)

    def error(self, text: str) -> None:
        self.console.print(f"[red]error:[/] {escape(text)}", soft_wrap=True)

    def table(self, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows of a query, or a line that says that there are none."""
        if not rows:
            self.line(f"{escape(title)}: no rows yet")
            return
        table = Table(title=title, title_justify="left")
        for name in rows[0]:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*(escape(_short(value)) for value in row.values()))
        self.console.print(table)

    def _change(self, start: str | None = None, end: str | None = None) -> None:
        with self._guard:
            if start is not None:
                self._active.append(start)
                if not self.console.is_terminal:
                    self.line(f"     {escape(start)} ...")
            if end is not None:
                self._active.remove(end)
            if not self.console.is_terminal:
                return
            if self._active:
                self._status.update(escape(", ".join(self._active)))
                self._status.start()
            else:
                self._status.stop()


def _short(value: Any) -> str:
    """A value as it fits into a cell."""
    if isinstance(value, list):
        text = ", ".join(map(_short, value))
    elif isinstance(value, datetime):
        text = f"{value:%H:%M:%S}"
    else:
        text = f"{value:.2f}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"
