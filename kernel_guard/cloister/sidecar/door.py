"""Connections for a kernel that can make none: each is made out here and handed in.

Where no namespaces hide other programs' sockets, the filter forbids ``connect`` altogether. The
kernel was started with one end of a socket pair; a byte there is a question for a connection to
the broker, and the answer carries its descriptor (unix(7), ``SCM_RIGHTS``). Nothing else can be had
here.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def serve_door(door: socket.socket, broker: Path) -> None:
    """Answers in a thread until the kernel's end is closed.

    Args:
        door: The outer end.
        broker: The broker's socket.
    """
    threading.Thread(target=_answer, args=(door, broker), name="door", daemon=True).start()


def _answer(door: socket.socket, broker: Path) -> None:
    with door, contextlib.suppress(OSError):
        while door.recv(1):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                try:
                    connection.connect(str(broker))
                except OSError:
                    door.send(b"-")  # an answer without a connection
                    continue
                socket.send_fds(door, [b"+"], [connection.fileno()])
