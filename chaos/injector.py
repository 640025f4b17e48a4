"""Strikes the armed faults at their points, and heals what lasts."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Listener

from chaos.company import Company
from chaos.registry import Registry
from chaos.scenario import ALTERATIONS, Fault
from chaos.server import Server
from chaos.table import REBUILDS

SIGNALS = {"kill": signal.SIGKILL, "terminate": signal.SIGTERM, "stop": signal.SIGSTOP}


class Injector:
    """`seen` counts every point that was reached, and what the company did there; `log` says what struck where."""

    def __init__(self, server: Server, log: Callable[[str], None]) -> None:
        self.server = server
        self.registry: Registry
        self.company: Company
        self.run_shard: Callable[..., int | None]  # runs one for an orchestrator
        self.seen: Counter[str] = Counter()
        self.processes: set[int] = set()  # that have said they are there
        self._log = log
        self._lock = threading.Lock()
        self._armed: list[Fault] = []
        self._counts: Counter[str] = Counter()
        self._total = 0
        self._heals: list[tuple[int, Callable[[], None]]] = []
        self._listener = Listener(("127.0.0.1", 0))
        self.address = self._listener.address
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, faults: tuple[Fault, ...]) -> None:
        with self._lock:
            self._armed = list(faults)
            self._counts.clear()

    def calm(self) -> None:
        """No more faults; everything that lasts is healed."""
        with self._lock:
            self._armed = []
            heals, self._heals = self._heals, []
        for _, heal in heals:
            heal()
        self.company.restore()

    def close(self) -> None:
        self._listener.close()

    def hit(self, point: str, pid: int) -> Fault | None:
        """A point is reached: the fault that is due there, for the caller to strike."""
        with self._lock:
            self.seen[point] += 1
            self._counts[point] += 1
            self._total += 1
            heals = [heal for due, heal in self._heals if due <= self._total]
            self._heals = [(due, heal) for due, heal in self._heals if due > self._total]
            found = next(
                (fault for fault in self._armed if fault.point == point and fault.nth == self._counts[point]), None
            )
            if found:
                self._armed.remove(found)
        for heal in heals:
            heal()
        if found:
            self._log(f"{found} (process {pid})")
        return found

    def reach(self, point: str, pid: int) -> None:
        """A point that is no message."""
        fault = self.hit(point, pid)
        if fault:
            self.act(fault, pid)

    def act(self, fault: Fault, pid: int) -> None:
        action = fault.action
        if action in SIGNALS:
            self._signal(action, pid, fault.hits)
        elif action in ("crash", "kill -9", "kill -9 session"):
            self.server.crash(action)
        elif action.startswith("registry "):
            self.registry.failure = action.removeprefix("registry ")
            self._last(fault.hits, self._registry_heals)
        elif action == "move alias":
            self.registry.champion = 3 - self.registry.champion
        elif action == "delete version":
            self.registry.deleted = True
            self._last(fault.hits, self._version_is_back)
        elif action == "disk full":
            self.server.fill()
            self._last(fault.hits, self.server.free)
        elif action in REBUILDS:
            self._note(action, self.company.rebuild(action))
        elif action in ALTERATIONS and self._note(action, self.company.alter(action)):
            self._last(fault.hits, self._restore_meanwhile)

    def _note(self, action: str, done: bool) -> bool:
        self.seen[action] += done
        self._log(f"{action}: {'done' if done else 'somebody was in the way'}")
        return done

    def _signal(self, action: str, pid: int, hits: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, SIGNALS[action])
        if action == "stop":
            self._last(hits, lambda: self._wake(pid))

    def _wake(self, pid: int) -> None:
        self._log(f"process {pid} wakes")
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def _registry_heals(self) -> None:
        self.registry.failure = ""

    def _version_is_back(self) -> None:
        self.registry.deleted = False

    def _restore_meanwhile(self) -> None:
        """The sender of the message that is held may have a lock that the migration waits for."""
        threading.Thread(target=self.company.restore, daemon=True).start()

    def _last(self, hits: int, heal: Callable[[], None]) -> None:
        with self._lock:
            self._heals.append((self._total + hits, heal))

    def _accept(self) -> None:
        """Processes say which point between stages they have reached, and wait until they may go on."""
        while True:
            try:
                connection = self._listener.accept()
            except (OSError, EOFError):
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection) -> None:  # type: ignore[no-untyped-def]
        with suppress(OSError, EOFError):
            while True:
                point, pid, *arguments = connection.recv()
                self.processes.add(pid)
                if point == "shard":
                    connection.send(self.run_shard(*arguments))
                else:
                    self.reach(point, pid)
                    connection.send(None)
