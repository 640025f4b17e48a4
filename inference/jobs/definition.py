"""`prediction.run.definition`: the job that a run was planned by, written by one version of the code and read by later
ones.

A field that is unknown now is left out, and one that is missing has its default. Whoever renames a field, or changes
what one means, raises `protocol.FORMAT` and translates older formats in `read`.
"""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from inference.base.protocol import FORMAT, PROTOCOL, require_format
from inference.errors import PermanentError
from inference.jobs.job import STORED, Job, section

log = logging.getLogger(__name__)
UNKNOWN = "extra_forbidden"  # pydantic's name of the error


def write(job: Job) -> str:
    """The JSON to keep with a run: `protocol` is that of its image, if it has one, since plan takes no other."""
    return json.dumps(
        {"format": FORMAT, "protocol": PROTOCOL, **job.model_dump(mode="json", by_alias=True), "source": section(job)}
    )


def read(stored: Mapping[str, Any], run_id: int, *, checks: bool = True) -> Job:
    """The job of a stored definition, of this format or an older one.

    A value that is no longer allowed is replaced by its field's default, and the log says so. Raises PermanentError
    for a newer format, for such a value in a field without a default, and for one below `checks`: what a run must
    satisfy is never loosened. `checks=False` leaves those out, for a caller that does not judge by them.
    """
    require_format(stored, run_id)
    apart = {"format", "protocol", *(() if checks else ("checks",))}
    content = {name: copy.deepcopy(value) for name, value in stored.items() if name not in apart}
    content.get("source", {}).pop("answers", None)  # made of the section `model` again
    said: list[str] = []
    while True:
        try:
            job = Job.model_validate(content, context=STORED)
        except ValidationError as error:
            for item in error.errors(include_url=False):
                _leave_out(content, item, said, run_id)
        else:
            break
    for line in said:
        log.warning("run %d was planned by other code: %s", run_id, line)
    return job


def _leave_out(content: dict[str, Any], item: Any, said: list[str], run_id: int) -> None:
    """Remove from `content` what one error of validation is about."""
    path: Sequence[str | int] = item["loc"]
    field = ".".join(str(part) for part in path)
    if item["type"] == UNKNOWN:
        _remove(content, path)
        if path[0] == "checks":
            said.append(f"{field}: is no field any more, and is not checked")
        return
    value = "" if isinstance(item["input"], (dict, list)) else f"{item['input']!r}: "
    line = f"{field}: {value}{item['msg'].removeprefix('Value error, ')}"
    place = _place(content, path[:-1] if item["type"] == "missing" else path)
    if not place or path[0] == "checks":
        raise PermanentError(
            f"run {run_id} was planned by other code, and this code cannot take its job: {'; '.join([*said, line])}. "
            "Let the code that planned it finish the run, or give it up (if it is held: python -m inference discard "
            f"{run_id}); the job's next run plans the same rows again"
        )
    if _remove(content, place):
        said.append(f"{line}; {'.'.join(place)} is left out, and its default counts")


def _place(content: dict[str, Any], path: Sequence[str | int]) -> list[str]:
    """The deepest field on the way to an error: no item of a list, which has no default."""
    place: list[str] = []
    at: Any = content
    for part in path:
        if not isinstance(at, dict) or part not in at:
            break
        place.append(str(part))
        at = at[part]
    return place


def _remove(content: Any, path: Sequence[str | int]) -> bool:
    """Remove what is at `path`; False if another error's removal has taken it along."""
    *way, last = path
    at: Any = content
    for part in way:
        if isinstance(at, list):
            at = at[int(part)]
        elif isinstance(at, dict) and part in at:
            at = at[part]
        else:
            return False
    if not isinstance(at, dict) or last not in at:
        return False
    del at[last]
    return True
