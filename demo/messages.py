"""The messages of the demo: its own, made from the examples, or a user's CSV file.

MessagesError           the file cannot be used; the message names the line and the way out
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[1] / "examples"
BUILT_IN = ("intent", "keyword")
COLUMNS = ("id", "text")
LONGEST_TEXT = 100_000_000  # Python's default of 131,072 is less than some messages have
INTEGER = re.compile(r"0|-?[1-9]\d{0,17}")  # written in one way only, and surely a bigint


class MessagesError(Exception):
    """The file with messages cannot be used."""


@dataclass(frozen=True)
class Messages:
    """Rows of (id, text); the ids are unique."""

    rows: tuple[tuple[str, str], ...]

    @property
    def integer_keys(self) -> bool:
        return all(INTEGER.fullmatch(key) for key, _ in self.rows)


def built_in() -> list[str]:
    """The texts of both examples, taken in turn."""
    columns = [_texts(EXAMPLES / name / "messages.csv") for name in BUILT_IN]
    mixed = itertools.chain.from_iterable(itertools.zip_longest(*columns))
    return [text for text in mixed if text]


def read(path: Path) -> Messages:
    """A CSV file in UTF-8 with the columns id and text; others are ignored."""
    csv.field_size_limit(LONGEST_TEXT)
    reader = csv.reader(io.StringIO(_decode(path), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        positions = _positions(path, header)
        rows = tuple(_rows(path, reader, header, positions))
    except csv.Error as error:
        raise MessagesError(
            f"{path}, line {reader.line_num}: {error}. Is a quotation mark missing or not doubled?"
        ) from error
    if not rows:
        raise MessagesError(f"{path} has no messages: add lines below `id,text`.")
    return Messages(rows)


def _rows(path: Path, reader: Any, header: list[str], positions: list[int]) -> Iterator[tuple[str, str]]:
    first_lines: dict[str, int] = {}
    line = reader.line_num
    for row in reader:
        start, line = line + 1, reader.line_num  # a quoted text may have several lines
        if not row:
            continue
        where = f"{path}, line {start}"
        if len(row) != len(header):
            raise MessagesError(
                f"{where}: {len(row)} values for {len(header)} columns. A text with a comma must "
                'be put into quotation marks: 7,"Hello, world".'
            )
        key, text = (row[position] for position in positions)
        if not key:
            raise MessagesError(f"{where}: the id is empty. Give each message an id of its own.")
        if "\0" in key + text:
            raise MessagesError(f"{where}: a NUL character, which PostgreSQL cannot keep. Remove it.")
        if key in first_lines:
            raise MessagesError(
                f"{where}: id {key!r} was used in line {first_lines[key]} already. Give each message an id of its own."
            )
        first_lines[key] = start
        yield key, text


def _positions(path: Path, header: list[str]) -> list[int]:
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        found = ", ".join(header) or "nothing"
        raise MessagesError(
            f"{path}, line 1: no column {' and '.join(missing)}, found {found}. "
            "The first line must name the columns: id,text."
        )
    return [header.index(name) for name in COLUMNS]


def _decode(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MessagesError(
            f"{path} cannot be read: {error.strerror}. Give the path of a CSV file: make demo MESSAGES=path.csv"
        ) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise MessagesError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8. Save the file as "
            f"UTF-8, for example with `iconv -f cp949 -t utf-8 {path.name} > utf8.csv`."
        ) from error


def _texts(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]
