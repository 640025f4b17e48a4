"""What a shard says in its pod, line by line as it is said; a stream that breaks off is taken up where it broke."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Optional, Tuple

from inference.errors import RetryableError, Unavailable
from inference.runners import process
from inference.runners.kubernetes import cluster, pod
from inference.runners.kubernetes.cluster import Cluster

log = logging.getLogger(__name__)
ATTEMPTS = 5  # at the rest of the log of a container that has ended
OVERLAP_SECONDS = 5  # that are asked for again after a break; lines that were seen are left out
Moment = Tuple[datetime, str]  # the second part has the nanoseconds


def lines(pods: Cluster, name: str) -> Iterator[str]:
    """Until the pod has ended. Raises RetryableError if it is gone or its node is lost."""
    seen: Optional[Moment] = None
    heard, broken = time.monotonic(), 0
    while True:
        since = int(time.monotonic() - heard) + OVERLAP_SECONDS if seen else None
        complete = True
        try:
            for line in process.lines(pods.log(name, since)):
                moment, text = _split(line)
                if moment is None or seen is None or moment > seen:
                    seen, heard, broken = moment or seen, time.monotonic(), 0
                    yield text
        except Unavailable as error:
            complete, broken = False, broken + 1
            log.info("the log of pod %s is asked for again: %s", name, error)
        found = pods.present(name)
        if pod.ended(found) and (complete or broken >= ATTEMPTS):
            return
        if pod.deleting(found) and broken >= ATTEMPTS:
            raise RetryableError(f"pod {name} is being deleted: by somebody, or because its node was lost")
        time.sleep(cluster.POLL_SECONDS)


def _split(line: str) -> Tuple[Optional[Moment], str]:
    """When a line was said, and the line. No time: the kubelet's own words, such as that there is no log."""
    stamp, _, text = line.partition(" ")
    try:
        return (datetime.fromisoformat(stamp).astimezone(timezone.utc), stamp[20:29]), text
    except ValueError:
        return None, line
