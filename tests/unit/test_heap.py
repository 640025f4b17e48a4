"""What a process holds is given back when it has grown, and is not looked at all the time."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

import pytest

from inference.scoring import memory
from inference.scoring.memory import LOOK, LOOSE, Heap


class Library:
    """The C library, as far as it is asked here."""

    def __init__(self) -> None:
        self.trims = 0

    def malloc_trim(self, pad: int) -> int:
        self.trims += 1
        return 1


def seconds(*moments: float) -> Iterator[float]:
    return chain(moments, repeat(moments[-1]))


def heap(monkeypatch: pytest.MonkeyPatch, held: list[int], library: Any, moments: Iterator[float]) -> Heap:
    monkeypatch.setattr(memory, "used", lambda: held[0])
    monkeypatch.setattr(memory.time, "perf_counter", lambda: next(moments))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    return Heap()


def test_growth_is_given_back_once(monkeypatch: pytest.MonkeyPatch) -> None:
    held, library = [100 << 20], Library()
    one = heap(monkeypatch, held, library, (LOOK * number for number in range(100)))

    held[0] += LOOSE - 1
    one.tidy()
    assert library.trims == 0
    held[0] += 1
    for _ in range(5):
        one.tidy()
    assert library.trims == 1  # what is still held after that is in use


def test_it_looks_a_few_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    held, library = [0], Library()
    one = heap(monkeypatch, held, library, seconds(0.0, LOOK / 2))

    held[0] += 2 * LOOSE
    one.tidy()

    assert library.trims == 0


def test_another_c_library_than_glibc_has_nothing_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    held = [0]
    one = heap(monkeypatch, held, object(), (LOOK * number for number in range(100)))

    held[0] += 2 * LOOSE
    one.tidy()


def test_nor_soon_after_it_has_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    held, library = [0], Library()
    one = heap(monkeypatch, held, library, seconds(0.0, LOOK, LOOK, 1.5 * LOOK))

    one.tidy()
    held[0] += 2 * LOOSE
    one.tidy()

    assert library.trims == 0
