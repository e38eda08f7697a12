"""The ZMQ sockets of the gate: bound towards clients, connected towards the kernel."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zmq

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Context = zmq.Context[zmq.Socket[bytes]]

CONNECT_POLL_S = 0.004
RECONNECT_MS = 10
_FRONT_KINDS = {
    "shell": zmq.ROUTER,
    "control": zmq.ROUTER,
    "stdin": zmq.ROUTER,
    "iopub": zmq.XPUB,
    "hb": zmq.ROUTER,
}
_BACK_KINDS = {"shell": zmq.DEALER, "control": zmq.DEALER, "stdin": zmq.DEALER, "iopub": zmq.SUB}


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of the five channels of one side, by channel name, and that side's key.

    The front's are ZMQ addresses, the back's are paths of sockets.
    """

    addresses: Mapping[str, str]
    key: bytes
    curve_secretkey: bytes | None = None


def bind_front(context: Context, side: Endpoints) -> dict[str, zmq.Socket[bytes]]:
    """Returns the five sockets that clients connect to, by channel name."""
    sockets = {}
    for channel, kind in _FRONT_KINDS.items():
        socket = _socket(context, kind)
        if side.curve_secretkey is not None:
            socket.curve_server = True
            socket.curve_secretkey = side.curve_secretkey
        socket.bind(side.addresses[channel])
        sockets[channel] = socket
    return sockets


def connect_back(
    context: Context, paths: Mapping[str, str], kernel_exited: Callable[[], bool]
) -> dict[str, zmq.Socket[bytes]] | None:
    """Waits for the kernel's sockets and connects; returns ``None`` if it exits before.

    Their directory belongs to the kernel, so a socket is opened once, without following links, and
    addressed by that file descriptor: what the kernel puts in its place later is not connected to.

    Args:
        context: The gate's context.
        paths: The kernel's socket files, by channel name.
        kernel_exited: Returns whether the kernel's process is gone.
    """
    sockets: dict[str, zmq.Socket[bytes]] = {}
    while len(sockets) < len(_BACK_KINDS):
        for channel in _BACK_KINDS.keys() - sockets.keys():
            fd = _open_socket_file(paths[channel])
            if fd is not None:
                sockets[channel] = _connect(context, fd, _BACK_KINDS[channel])
        if kernel_exited():
            return None
        time.sleep(CONNECT_POLL_S)
    return sockets


def _connect(context: Context, fd: int, kind: int) -> zmq.Socket[bytes]:
    socket = _socket(context, kind)
    socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
    if kind == zmq.SUB:
        socket.setsockopt(zmq.SUBSCRIBE, b"")
    else:
        # One identity on all three, so that ipykernel's input requests find their way back.
        socket.setsockopt(zmq.IDENTITY, b"cloister-gate")
    socket.connect(f"ipc:///proc/self/fd/{fd}")
    return socket


def _socket(context: Context, kind: int) -> zmq.Socket[bytes]:
    socket: zmq.Socket[bytes] = context.socket(kind)
    socket.setsockopt(zmq.SNDHWM, 0)  # a full queue would drop messages without a word
    socket.setsockopt(zmq.RCVHWM, 0)
    return socket


def _open_socket_file(path: str) -> int | None:
    """Returns a file descriptor of the socket at ``path``, or ``None`` if there is none yet."""
    try:
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    if stat.S_ISSOCK(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return None
