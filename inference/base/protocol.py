"""What the code of a worker and that of a shard agree on: the shard may run from an image that older code has built.

No pydantic here: the shard's environment has none.
"""

from __future__ import annotations

from typing import Any, Mapping

from ..errors import PermanentError

# Of the agreement: the SQL, arguments, exit codes and environment variables of shards, and the tables that they use.
# Raise it by hand when a change makes older images wrong (tests/unit/test_protocol.py notices what may be one);
# plan refuses an image with another number until it has been built again.
PROTOCOL = 2

# Of `prediction.run.definition`. What has none is format 0: the same fields, by code that did not number them yet.
FORMAT = 1


def require_format(definition: Mapping[str, Any], run_id: int) -> None:
    """Raise PermanentError if newer code than this has planned the run."""
    found = definition.get("format", 0)
    if found > FORMAT:
        raise PermanentError(
            f"run {run_id}: its definition has format {found}, and this code knows formats up to {FORMAT}: newer code "
            "has planned it. Upgrade what runs here (an image: build it again), or let the job plan a new run"
        )
