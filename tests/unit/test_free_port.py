"""A server gets the port that it asks for, or one that no connection can have been given."""

from __future__ import annotations

import socket

from services.files import HOST, OTHER_PORTS, free_port


def test_preferred_port_if_nobody_listens_there() -> None:
    free = free_port(OTHER_PORTS.start)

    assert free_port(free) == free


def test_another_port_if_the_preferred_one_is_taken() -> None:
    with socket.create_server((HOST, free_port(OTHER_PORTS.start))) as listener:
        taken = listener.getsockname()[1]

        other = free_port(taken)

    assert other != taken
    assert other in OTHER_PORTS
    with socket.create_server((HOST, other)):
        pass  # it was free
