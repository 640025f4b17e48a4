"""A bounded hand-over between two threads that also carries the end and the failure."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, Optional, TypeVar

Item = TypeVar("Item")


class Closed(Exception):
    """The other side has stopped; there is nobody to hand over to."""


class Channel(Generic[Item]):
    """At most `depth` items wait; `put` blocks until there is room."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._items: deque[Item] = deque()
        self._ended = False
        self._failure: Optional[BaseException] = None
        self._changed = threading.Condition()

    def put(self, item: Item) -> None:
        """Raises Closed if the channel was closed or failed."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self._depth or self._ended)
            if self._ended:
                raise Closed
            self._items.append(item)
            self._changed.notify_all()

    def get(self, timeout: Optional[float] = None) -> Item:
        """The next item. Raises TimeoutError after `timeout` seconds, Closed at the end, or the failure."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._items or self._ended, timeout):
                raise TimeoutError
            if self._failure:
                raise self._failure
            if not self._items:
                raise Closed
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def ended_within(self, seconds: float) -> bool:
        """Wait for so long, or until the channel is closed; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._ended, seconds)

    def close(self, failure: Optional[BaseException] = None) -> None:
        """No further items; those that wait are still handed over, unless there is a failure."""
        with self._changed:
            self._ended = True
            self._failure = self._failure or failure
            self._changed.notify_all()
