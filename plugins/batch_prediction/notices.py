"""Whom to tell when a run fails for good, is held or quarantines much, or when predictions are stale."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

from airflow.sdk.module_loading import import_string

from inference.errors import JobError
from inference.jobs.field_types import interval
from inference.jobs.job import Job
from inference.jobs.sections import Notifier

log = logging.getLogger(__name__)
Callback = Callable[[Any], None]

# The key of the event in the context that a notifier is given.
EVENT = "prediction_event"
COUNTS = ("pending", "planned", "predicted", "reused", "quarantined", "vanished", "deferred", "deleted")


@dataclass(frozen=True)
class Event:
    """What notifiers are told. `run`, `state` and `counts` are empty where no run was planned or can be read."""

    event: Literal["failure", "held", "quarantine", "stale"]
    job: str
    run: int | None
    state: str | None
    message: str
    counts: dict[str, int]
    link: str | None

    @classmethod
    def of(cls, event: Any, job: str, run: Mapping[str, Any] | None, message: str, context: Any) -> Event:
        """`run`: the row of the run; `message` is its own where it is empty. The link is the task's in Airflow."""
        found = run or {}
        counts = {name: found[name] for name in COUNTS if name in found}
        link = getattr(context.get("ti"), "log_url", None)
        return cls(
            event, job, found.get("run_id"), found.get("state"), message or found.get("message", ""), counts, link
        )


def callbacks(notifiers: Iterable[Notifier]) -> list[Callback]:
    """Airflow notifiers, as the job file names them. Raises JobError for one that cannot be made."""
    return [_make(item) for item in notifiers]


def _make(item: Notifier) -> Callback:
    try:
        made: Callback = import_string(item.notifier)(**item.arguments)
    except Exception as error:
        raise JobError(f"notify: {item.notifier} cannot be made: {type(error).__name__}: {error}") from None
    return made


def tell(notifiers: Iterable[Notifier], context: Any, event: Event) -> None:
    """Call each notifier with the event in its context; one that fails is logged, and must not keep a run from its
    rows."""
    for item in notifiers:
        try:
            _make(item)({**context, EVENT: event})
        except Exception:
            log.exception("notifier %s failed", item.notifier)


def stale(job: Job, oldest_pending: str | None) -> bool:
    """Whether the oldest row without a prediction is older than the job allows."""
    if job.notify.max_age is None or oldest_pending is None:
        return False
    age = datetime.now(timezone.utc) - datetime.fromisoformat(oldest_pending)
    return age > interval(job.notify.max_age)
