"""What one run is asked to do: the trigger form's fields, the command line's options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from inference.errors import RequestError
from inference.jobs.field_types import VersionOrAlias, explain, plain

KeyText = Annotated[str, StringConstraints(max_length=1000), AfterValidator(plain)]


class Request(BaseModel):
    """Parameters of one run; every field has a default, which is what a scheduled run does."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    mode: Literal["pending", "rescore", "key_range", "replay"] = Field(
        "pending",
        description="pending: rows without a current prediction. rescore: also rows that another version "
        "predicted. key_range: every row from `key_from` to `key_to`, again. replay: rows in quarantine "
        "that were marked for replay.",
    )
    model: VersionOrAlias | None = Field(
        None, description="A version (3) or an alias (challenger) instead of the job's alias."
    )
    row_limit: int | None = Field(
        None, ge=1, le=10**15, description="Plan at most so many rows; the others stay pending."
    )
    key_from: KeyText | None = Field(None, description="First value of the first key column, included.")
    key_to: KeyText | None = Field(None, description="Last value of the first key column, included.")
    dry_run: bool = Field(False, description="Count, estimate, score 10 rows and show them; publish nothing.")
    publish: Literal["publish", "hold"] = Field(
        "publish", description="hold: stop before anything is visible, until `python -m inference release`."
    )

    @model_validator(mode="after")
    def _range(self) -> Request:
        given = self.key_from is not None or self.key_to is not None
        if given != (self.mode == "key_range"):
            raise ValueError("key_from, key_to: belong to mode key_range, and it needs at least one of them")
        return self


def parse(values: Mapping[str, Any]) -> Request:
    """Validate trigger parameters. Raises RequestError with field, value and what is allowed."""
    try:
        return Request.model_validate(dict(values))
    except ValidationError as error:
        unknown = f"is no parameter; there are: {', '.join(Request.model_fields)}"
        lines = "\n".join(f"  {line}" for line in explain(error, unknown))
        raise RequestError(f"this run's parameters: {error.error_count()} error(s)\n{lines}") from None
