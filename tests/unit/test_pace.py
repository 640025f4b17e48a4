"""So many rows a second on average, whatever the model does in between."""

from __future__ import annotations

from inference.shard.pace import Pace


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_pages_are_read_at_the_pace_and_lost_time_is_not_made_up_for() -> None:
    clock = Clock()
    pace = Pace(100, clock)

    assert pace.after(50) == 0.5
    clock.now += 0.5
    assert pace.after(200) == 2.0
    clock.now += 10  # the model was slower
    assert pace.after(100) == 1.0
    assert pace.after(100) == 2.0


def test_without_a_limit_nothing_waits() -> None:
    pace = Pace(float("inf"), Clock())
    assert [pace.after(10**9) for _ in range(3)] == [0, 0, 0]
