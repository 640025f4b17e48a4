"""What a command cannot find out: asked on a terminal, and otherwise said with the flag that answers."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from inference.errors import RequestError


class Questions:
    """`terminal`: whether somebody can answer. Without one, the questions are kept, and `require_answers` says all."""

    def __init__(self, terminal: bool | None = None) -> None:
        self.terminal = sys.stdin.isatty() and sys.stdout.isatty() if terminal is None else terminal
        self._open: list[str] = []

    def choose(self, question: str, choices: Sequence[str], flag: str) -> int | None:
        """The number of the choice, from 0; None if nobody is there to answer."""
        if not self.terminal:
            self._open.append(f"{question} {'; '.join(choices)}. Answer with {flag}")
            return None
        typer.echo(question)
        for number, choice in enumerate(choices, 1):
            typer.echo(f"  {number}  {choice}")
        while True:
            number = int(typer.prompt("Which", type=int))
            if 1 <= number <= len(choices):
                return number - 1
            typer.echo(f"A number from 1 to {len(choices)}")

    def confirm(self, question: str, flag: str) -> bool:
        """Whether the answer is yes; False if nobody is there to answer."""
        if not self.terminal:
            self._open.append(f"{question} If so: {flag}")
            return False
        return bool(typer.confirm(question, default=False))

    def text(self, question: str, flag: str) -> str:
        """A text; empty if nobody is there to answer."""
        if not self.terminal:
            self._open.append(f"{question} Answer with {flag}")
            return ""
        return str(typer.prompt(question))

    def require_answers(self) -> None:
        """Raise RequestError with the questions that nobody was there to answer."""
        if self._open:
            lines = "\n".join(f"  {line}" for line in self._open)
            raise RequestError(f"{len(self._open)} question(s), and no terminal to ask on:\n{lines}")
