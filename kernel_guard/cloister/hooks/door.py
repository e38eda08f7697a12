"""The broker's connection in a kernel that may not connect: asked for, and handed in from outside.

The other end is :mod:`cloister.sidecar.door`. Forked children share the door, and whichever of
them takes an answer gets a connection of its own; programs that were started without this
descriptor have no broker.
"""

from __future__ import annotations

import os
import socket

DOOR_VARIABLE = "CLOISTER_DOOR"


def door() -> int | None:
    """Returns the descriptor of this kernel's door; ``None`` where it can connect by itself."""
    number = os.environ.get(DOOR_VARIABLE, "")
    return int(number) if number.isdecimal() else None


def connection_through(number: int, timeout_s: float) -> socket.socket:
    """Returns a new connection to the broker.

    Args:
        number: The descriptor of the door.
        timeout_s: Seconds to wait.

    Raises:
        OSError: The door is not there, or nobody answers.
    """
    with socket.socket(fileno=os.dup(number)) as asking:
        asking.settimeout(timeout_s)
        asking.send(b"b")
        _, descriptors, _, _ = socket.recv_fds(asking, 1, 1)
    if not descriptors:
        raise ConnectionRefusedError
    return socket.socket(fileno=descriptors[0])
