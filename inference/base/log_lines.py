"""Lines of a log: plain for people; with INFERENCE_LOG=json one JSON object each, with job, run and shard.

    {"time": "2026-11-24T03:00:07.112+00:00", "level": "info", "job": "intent", "run": 17, "shard": 3, "message": ...}

What a shard says goes through the process that started it, which reads either form.
"""

from __future__ import annotations

import json
import logging
import os
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import Any, Optional, TextIO

from ..errors import ConfigurationError

VARIABLE = "INFERENCE_LOG"

_process: dict[str, Any] = {}  # of a shard's process, whose threads all work on one shard
_here: ContextVar[Optional[dict[str, Any]]] = ContextVar("here", default=None)


def note(**about: Any) -> None:
    """What this thread's lines are about from here on: job, run, shard."""
    _here.set({**(_here.get() or {}), **about})


def note_process(**about: Any) -> None:
    """The same for all threads."""
    _process.update(about)


def handler(stream: TextIO) -> logging.Handler:
    """Writes lines as INFERENCE_LOG says; raises ConfigurationError for a word that it does not know."""
    found = logging.StreamHandler(stream)
    found.setFormatter(_Json() if is_json() else logging.Formatter("%(message)s"))
    return found


def is_json() -> bool:
    form = os.environ.get(VARIABLE) or "plain"
    if form not in ("plain", "json"):
        raise ConfigurationError(f"{VARIABLE}: {form!r} is neither `plain` nor `json`")
    return form == "json"


def error(text: object) -> str:
    """The last line of a process that failed."""
    message = f"error: {text}"
    return _line(datetime.now(timezone.utc), "error", message) if os.environ.get(VARIABLE) == "json" else message


def read(line: str) -> tuple[int, str]:
    """Level and message of a shard's line, in either form."""
    if line.startswith("{"):
        try:
            found = json.loads(line)
            return logging.getLevelName(found["level"].upper()), str(found["message"])
        except (ValueError, KeyError, TypeError, AttributeError):  # a model prints what it likes
            pass
    return logging.INFO, line


def _line(when: datetime, level: str, message: str, exception: Optional[str] = None) -> str:
    content = {"time": when.isoformat(timespec="milliseconds"), "level": level, **_process, **(_here.get() or {})}
    content["message"] = message
    if exception:
        content["exception"] = exception
    return json.dumps(content, ensure_ascii=False, default=str)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, timezone.utc)
        exception = self.formatException(record.exc_info) if record.exc_info else None
        return _line(when, record.levelname.lower(), record.getMessage(), exception)
