"""The hand-over between two threads: bounded, in order, and it ends on both sides."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from inference.shard.channel import Channel, Closed


def test_items_come_in_order_and_then_the_end() -> None:
    channel: Channel[int] = Channel(2)
    with ThreadPoolExecutor(1) as thread:

        def send() -> None:
            for number in range(1000):
                channel.put(number)
            channel.close()

        sending = thread.submit(send)
        assert [channel.get() for _ in range(1000)] == list(range(1000))
        sending.result()
    with pytest.raises(Closed):
        channel.get()


def test_put_waits_while_the_channel_is_full() -> None:
    channel: Channel[int] = Channel(1)
    channel.put(1)
    done = threading.Event()

    def send() -> None:
        channel.put(2)
        done.set()

    thread = threading.Thread(target=send)
    thread.start()
    assert not done.wait(0.1)
    assert channel.get() == 1
    assert done.wait(5)
    assert channel.get() == 2
    thread.join()


def test_get_without_an_item_times_out() -> None:
    with pytest.raises(TimeoutError):
        Channel[int](1).get(0.01)


def test_what_waits_is_still_handed_over_after_the_end() -> None:
    channel: Channel[int] = Channel(2)
    channel.put(1)
    channel.close()
    assert channel.get() == 1
    with pytest.raises(Closed):
        channel.get()


def test_a_failure_reaches_the_other_side_before_what_waits() -> None:
    channel: Channel[int] = Channel(2)
    channel.put(1)
    channel.close(ValueError("the disk is full"))
    channel.close(KeyError("a later one"))
    with pytest.raises(ValueError, match="the disk is full"):
        channel.get()
    with pytest.raises(Closed):
        channel.put(2)


@pytest.mark.parametrize("full", [False, True], ids=["get", "put"])
def test_close_wakes_whoever_waits(full: bool) -> None:
    channel: Channel[int] = Channel(1)
    if full:
        channel.put(1)
    with ThreadPoolExecutor(1) as thread:
        blocked: Future[object] = thread.submit(channel.put, 2) if full else thread.submit(channel.get)
        with pytest.raises(TimeoutError):
            blocked.result(0.05)
        channel.close()
        with pytest.raises(Closed):
            blocked.result(5)
