"""SIGTERM and SIGINT in a shard's process: finish the chunk at hand, but be gone within seconds."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..base import log_lines
from ..errors import Interrupted

# Seconds for the chunk at hand. Airflow kills a task after 5 s and Docker a container when it is told to, here
# after 3 s, and an interpreter with torch takes a second to end. A chunk is one transaction: nothing is half done.
GRACE = 1.5


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set; a process that is still in the block GRACE seconds later exits with 75.

    The signal is seen by a thread of its own: Python's handlers wait for the main thread, which may be inside
    one long call of the model. Outside the main thread there are no signals, and the event is never set.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    over = threading.Event()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    before = {number: signal.signal(number, lambda *_: event.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    watcher = threading.Thread(target=_watch, args=(reading, event, over), daemon=True)
    watcher.start()
    try:
        yield event
    finally:
        over.set()
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        os.close(writing)
        watcher.join()
        os.close(reading)


def _watch(reading: int, event: threading.Event, over: threading.Event) -> None:
    while True:
        numbers = os.read(reading, 16)
        if not numbers:
            return
        if set(numbers) & {signal.SIGTERM, signal.SIGINT}:
            event.set()
            if over.wait(GRACE):
                return
            said = (
                f"stopped by a signal; the chunk at hand took longer than {GRACE:g} s and is not written, a retry "
                "begins with it"
            )
            print(log_lines.error(said), flush=True)
            os._exit(Interrupted.exit_code)
