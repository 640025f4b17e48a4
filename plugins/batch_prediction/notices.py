"""Whom to tell when a run fails for good, or when predictions are stale."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import Any

from airflow.sdk.module_loading import import_string

from inference.fields import interval
from inference.job import Job, Notifier

Callback = Callable[[Any], None]


def callbacks(notifiers: Iterable[Notifier]) -> list[Callback]:
    """Airflow notifiers, as the job file names them."""
    return [import_string(item.notifier)(**item.arguments) for item in notifiers]


def stale(job: Job, oldest_pending: str | None) -> bool:
    """Whether the oldest row without a prediction is older than the job allows."""
    if job.notify.max_age is None or oldest_pending is None:
        return False
    age = datetime.now(timezone.utc) - datetime.fromisoformat(oldest_pending)
    return age > interval(job.notify.max_age)
