"""The relay: from a TCP port inside the sandbox to the egress proxy's Unix socket outside it.

The sandbox has no network but its own loopback. Programs find the proxy through ``HTTP_PROXY``
and ``HTTPS_PROXY`` at ``127.0.0.1:3128``; this thread copies bytes between that port and the
socket ``CLOISTER_EGRESS``. It decides nothing: the proxy outside allows, denies and records.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time

_log = logging.getLogger(__name__)

SOCKET_VARIABLE = "CLOISTER_EGRESS"
PORT_VARIABLE = "CLOISTER_PROXY_PORT"
DEFAULT_PORT = 3128
_BLOCK_BYTES = 65_536
# Linux only; other systems have no delayed-ACK switch and no sandbox of ours either.
_QUICKACK = getattr(socket, "TCP_QUICKACK", None)


class Relay:
    """Copies bytes between a loopback port and a Unix socket until the process ends.

    Args:
        upstream: Path of the egress proxy's Unix socket.
        port: TCP port on 127.0.0.1; 0 takes a free one.
    """

    def __init__(self, upstream: str, port: int = DEFAULT_PORT) -> None:
        self._upstream = upstream
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(("127.0.0.1", port))
            self._listener.listen(128)
        except BaseException:
            self._listener.close()
            raise
        self.port: int = self._listener.getsockname()[1]

    def start(self) -> None:
        """Starts accepting in a daemon thread."""
        threading.Thread(target=self._accept, name="cloister-relay", daemon=True).start()

    def close(self) -> None:
        """Stops accepting; open connections end by themselves."""
        # shutdown wakes the thread that waits in accept; close alone does not.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                downstream, _ = self._listener.accept()
            except OSError:
                if self._listener.fileno() < 0:
                    return
                # Out of file descriptors, most likely: wait for some to be given back.
                time.sleep(0.05)
                continue
            try:
                threading.Thread(
                    target=self._serve, args=(downstream,), name="cloister-relay", daemon=True
                ).start()
            except RuntimeError:  # no more threads
                downstream.close()

    def _serve(self, downstream: socket.socket) -> None:
        upstream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            downstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _acknowledge_at_once(downstream)
            upstream.connect(self._upstream)
            back = threading.Thread(
                target=_copy, args=(upstream, downstream), name="cloister-relay", daemon=True
            )
            back.start()
            _copy(downstream, upstream)
            back.join()
        except (OSError, RuntimeError):
            _log.debug("egress relay: a connection ended early")
        finally:
            upstream.close()
            downstream.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Copies until ``source`` ends, then ends only that direction of ``target``."""
    is_tcp = source.family == socket.AF_INET
    try:
        while block := source.recv(_BLOCK_BYTES):
            if is_tcp:
                _acknowledge_at_once(source)
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # One side is gone for good: wake the other direction, which may wait in recv.
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _acknowledge_at_once(connection: socket.socket) -> None:
    # Clients behind a proxy do not set TCP_NODELAY; with delayed ACKs every request on a kept
    # connection took 45 ms instead of 3. Linux clears the flag, so it is set after each read.
    if _QUICKACK is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)


def start_from_environment() -> Relay | None:
    """Starts the relay of a guarded kernel.

    Returns:
        The relay, or ``None`` where no egress socket is given.

    Raises:
        OSError: The port cannot be bound.
        ValueError: ``CLOISTER_PROXY_PORT`` is not a number.
    """
    upstream = os.environ.get(SOCKET_VARIABLE)
    if not upstream:
        return None
    relay = Relay(upstream, int(os.environ.get(PORT_VARIABLE, str(DEFAULT_PORT))))
    relay.start()
    return relay
