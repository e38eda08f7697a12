"""Appends for all writers of one home: many appends, one transaction, one signature, one flush.

``python -m cloister.store.sequencer HOME`` is started by a writer that meets another one
(:mod:`cloister.store.lineage_writer`) and ends by itself when nobody has asked for a while. While
one transaction is being flushed the next requests gather in their sockets, and go into the next one
together; nobody ever waits for company.

It is a help, never a guarantee. The guarantee is the transaction of the log, which orders this
process and any writer that appends by itself. An answer is sent when the events are durable. If
this process is killed before it, the writer does not know, and asks again under the same number.

Who may speak to it: processes of the same account (``SO_PEERCRED``), through a socket in the home,
which no kernel sees.
"""

from __future__ import annotations

import fcntl
import logging
import os
import selectors
import socket
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cloister.core.errors import StoreUnavailable
from cloister.store.database import DISK_FULL
from cloister.store.files import PRIVATE_FILE
from cloister.store.home import Home, check_private
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog
from cloister.store.sequencer_wire import (
    LENGTH,
    MOST_BYTES,
    WireError,
    decode_request,
    encode_answer,
    encode_error,
)
from cloister.store.unixsocket import near

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloister.store.lineage_request import Request

_log = logging.getLogger(__name__)

IDLE_S: Final = 30.0
"""After this long without a request it ends."""

_LOOK_EVERY_S: Final = 1.0
_MOST_EVENTS: Final = 2_000
_MOST_TOGETHER: Final = 8 * 1024 * 1024  # bytes of requests in one transaction
_SEND_TIMEOUT_S: Final = 5.0
_CREDENTIALS: Final = struct.Struct("3i")


class Sequencer:
    """Listens on the home's socket and appends what comes.

    Args:
        home: The workspace.
        idle_s: When to end.
    """

    def __init__(self, home: Home, *, idle_s: float = IDLE_S) -> None:
        self._home = home
        self._idle_s = idle_s
        self._selector = selectors.DefaultSelector()
        self._log: LineageLog | None = None
        self._waiting: list[tuple[_Peer, Request, int]] = []

    def run(self) -> None:
        """Serves until nobody asks any more; returns at once where another one serves already."""
        lock = os.open(
            self._home.sequencer_path.with_suffix(".lock"),
            os.O_RDWR | os.O_CREAT | os.O_CLOEXEC,
            PRIVATE_FILE,
        )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return
        try:
            # Opened before the socket is there: who connects is answered without a delay.
            self._log = LineageLog(self._home, open_keyring(self._home))
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
                self._listen(listener)
                try:
                    self._serve(listener)
                finally:
                    with suppress(OSError):
                        self._home.sequencer_path.unlink()
        finally:
            os.close(lock)

    def _listen(self, listener: socket.socket) -> None:
        path = self._home.sequencer_path
        with suppress(FileNotFoundError):
            path.unlink()  # of one that was killed; the lock says that none lives
        with near(path) as address:
            listener.bind(address)
        path.chmod(PRIVATE_FILE)
        listener.listen(128)
        listener.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        self._selector.register(listener, selectors.EVENT_READ)
        self._socket_file = path.stat()

    def _serve(self, listener: socket.socket) -> None:
        busy_at = time.monotonic()
        while True:
            for key, _ in self._selector.select(0 if self._waiting else _LOOK_EVERY_S):
                if key.fileobj is listener:
                    self._accept(listener)
                else:
                    self._receive(key.data)
            if self._waiting:
                self._append()
                busy_at = time.monotonic()
            elif time.monotonic() - busy_at > self._idle_s or not self._is_found():
                return

    def _is_found(self) -> bool:
        """Returns whether writers still find this process: the home may be gone or replaced."""
        try:
            found = self._home.sequencer_path.stat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == (self._socket_file.st_dev, self._socket_file.st_ino)

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        if _CREDENTIALS.unpack(raw)[1] != os.geteuid():
            connection.close()
            return
        connection.settimeout(_SEND_TIMEOUT_S)
        peer = _Peer(connection)
        self._selector.register(connection, selectors.EVENT_READ, peer)

    def _receive(self, peer: _Peer) -> None:
        try:
            for content in peer.frames():
                self._waiting.append((peer, decode_request(content), len(content)))
        except (OSError, WireError):
            self._drop(peer)

    def _append(self) -> None:
        """Appends what waits, as much as goes into one transaction."""
        count = events = size = 0
        for _, request, length in self._waiting:
            events, size = events + len(request.drafts), size + length
            if count and (events > _MOST_EVENTS or size > _MOST_TOGETHER):
                break
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        answers = self._appended([request for _, request, _ in group])
        for (peer, _, _), answer in zip(group, answers, strict=True):
            try:
                peer.send(answer)
            except OSError:
                self._drop(peer)

    def _appended(self, requests: Sequence[Request]) -> list[bytes]:
        log = self._log
        if log is None:  # pragma: no cover - run() opened it
            raise RuntimeError("the log is not open")
        try:
            placed = log.append_group(requests)
        except StoreUnavailable as error:
            if len(requests) == 1 or error.code != DISK_FULL:
                return [encode_error(error)] * len(requests)
            # One that is too large for the disk must not take the others with it.
            return [self._appended([request])[0] for request in requests]
        return [encode_answer(e[0].seq if e else 0, len(e)) for e in placed]

    def _drop(self, peer: _Peer) -> None:
        with suppress(KeyError, ValueError):
            self._selector.unregister(peer.connection)
        peer.connection.close()


class _Peer:
    """One writer's connection and what has come of its next frame."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._received = bytearray()

    def frames(self) -> list[bytes]:
        """Reads what is there; returns the frames that are whole.

        Raises:
            OSError, WireError: The writer is gone, or speaks another protocol.
        """
        part = self.connection.recv(1 << 20)
        if not part:
            raise ConnectionResetError
        self._received += part
        whole: list[bytes] = []
        while len(self._received) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._received)
            if length > MOST_BYTES:
                raise WireError("a frame that is too long")
            end = LENGTH.size + length
            if len(self._received) < end:
                break
            whole.append(bytes(self._received[LENGTH.size : end]))
            del self._received[:end]
        return whole

    def send(self, frame: bytes) -> None:
        self.connection.sendall(frame)


def main(arguments: Sequence[str]) -> int:
    """Runs the sequencer of a home; what goes wrong is the log's to say, to whoever appends."""
    home = Home(Path(arguments[0]))
    logging.basicConfig(level=os.environ.get("CLOISTER_LOG_LEVEL", "WARNING"))
    try:
        check_private(home)
        Sequencer(home).run()
    except Exception as error:  # noqa: BLE001 - writers append by themselves and say what is wrong
        _log.warning(
            "The sequencer ended (%s); writers append by themselves.", type(error).__name__
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
