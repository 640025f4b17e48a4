"""How people name a version of a model: MODEL, MODEL@ALIAS or MODEL:VERSION."""

from __future__ import annotations

import re

from inference.errors import RequestError

DEFAULT_ALIAS = "champion"


def parse(text: str) -> tuple[str, str]:
    """The model's name, and its alias or version number. Raises RequestError."""
    match = re.fullmatch(r"([^@:/]+)(?:@([\w-]+)|:([1-9][0-9]*))?", text)
    if not match or (match[2] or "").isdigit():
        raise RequestError(f"{text!r} is no model; write MODEL, MODEL@ALIAS or MODEL:VERSION, such as intent@champion")
    return match[1], match[2] or match[3] or DEFAULT_ALIAS
