"""The broker client: how code inside the kernel asks the sidecar outside it.

One JSON object a line over the Unix socket ``CLOISTER_BROKER``, with the kernel's own token
``CLOISTER_TOKEN`` (protocol: ``docs/design.md``). The broker decides; this client trusts its
answers and nothing else, and holds no key. Calls are synchronous and thread-safe.

The client connects when it is first used, reconnects once when a connection that worked before has
gone stale, and starts over in a forked child: two processes never share one stream.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from typing import Any

from cloister.core.errors import BrokerUnavailable, error_from_dict
from cloister.hooks.door import connection_through, door

SOCKET_VARIABLE = "CLOISTER_BROKER"
TOKEN_VARIABLE = "CLOISTER_TOKEN"  # noqa: S105 - the name of a variable, not a secret

DEFAULT_TIMEOUT_S = 30.0
_LONGEST_ANSWER_BYTES = 64 * 1024 * 1024

_REMEDY_OUTSIDE = 'Select the kernel "Python 3 (Cloister)" and run the cell again.'
_REMEDY_LOST = "Restart the kernel; if that does not help, run: cloister doctor"


class BrokerClient:
    """A connection to the broker of this kernel's sidecar.

    Args:
        path: The broker's Unix socket.
        token: This kernel's token.
        timeout_s: Seconds to wait for an answer unless a call says otherwise.
    """

    def __init__(self, path: str, token: str, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self._path = path
        self._token = token
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._buffer = bytearray()
        self._pid = os.getpid()
        self._next_id = 0

    def call(self, op: str, *, timeout_s: float | None = None, **fields: object) -> dict[str, Any]:
        """Asks the broker and returns its answer.

        Args:
            op: The operation, for instance ``tokenise``.
            timeout_s: Seconds to wait for this answer.
            fields: The operation's own fields; anything that JSON can hold.

        Returns:
            The ``result`` of the answer; an empty dict for operations without one.

        Raises:
            BrokerUnavailable: There is no answer, or not one that can be read.
            CloisterError: The broker refused; the error is the one that it described.
        """
        wait_s = self._timeout_s if timeout_s is None else timeout_s
        self._forget_after_fork()
        with self._lock:
            self._next_id += 1
            number = self._next_id
            request = {**fields, "id": number, "token": self._token, "op": op}
            line = json.dumps(request, ensure_ascii=False, separators=(",", ":"))
            data = line.encode("utf-8", "replace") + b"\n"
            answer = self._exchange(data, wait_s)
            if answer.get("id") != number:
                self._disconnect()
                raise _unavailable("The broker answered another question than the one asked")
        if answer.get("ok") is True:
            result = answer.get("result")
            return result if isinstance(result, dict) else {"value": result}
        error = answer.get("error")
        raise error_from_dict(error if isinstance(error, dict) else {})

    def close(self) -> None:
        """Closes the connection; the next call opens a new one."""
        with self._lock:
            self._disconnect()

    def _exchange(self, data: bytes, timeout_s: float) -> dict[str, Any]:
        was_connected = self._socket is not None
        try:
            return self._attempt(data, timeout_s)
        except TimeoutError:
            raise _unavailable(f"The broker did not answer within {timeout_s:g} s") from None
        except (OSError, EOFError, ValueError):
            if not was_connected:
                raise _unavailable("The broker of this kernel cannot be reached") from None
        # The connection had worked before, so the sidecar may only have closed it. Every operation
        # that costs something carries an idempotency key or a reservation, so asking twice is safe.
        try:
            return self._attempt(data, timeout_s)
        except (OSError, EOFError, ValueError):
            raise _unavailable("The connection to the broker was lost") from None

    def _attempt(self, data: bytes, timeout_s: float) -> dict[str, Any]:
        try:
            connection = self._connect(timeout_s)
            connection.settimeout(timeout_s)
            connection.sendall(data)
            while (end := self._buffer.find(b"\n")) < 0:
                chunk = connection.recv(262_144)
                if not chunk:
                    raise EOFError
                self._buffer += chunk
                if len(self._buffer) > _LONGEST_ANSWER_BYTES:
                    raise ValueError("answer too long")
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            answer = json.loads(line)
            if not isinstance(answer, dict):
                raise ValueError("answer is not an object")
        except BaseException:
            # Also on KeyboardInterrupt: a half-read answer would be taken for the next one.
            self._disconnect()
            raise
        return answer

    def _connect(self, timeout_s: float) -> socket.socket:
        if self._socket is None:
            if (handed := door()) is not None:
                self._socket = connection_through(handed, timeout_s)
                return self._socket
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.settimeout(timeout_s)
                connection.connect(self._path)
            except BaseException:
                connection.close()
                raise
            self._socket = connection
        return self._socket

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._buffer.clear()

    def _forget_after_fork(self) -> None:
        if self._pid != os.getpid():
            # The parent's lock may have been held by a thread that does not exist here.
            self._lock = threading.Lock()
            self._pid = os.getpid()
            self._disconnect()


_client: BrokerClient | None = None
_client_lock = threading.Lock()


def is_guarded() -> bool:
    """Returns whether this process was started as a guarded kernel or by one."""
    return bool(os.environ.get(SOCKET_VARIABLE) and os.environ.get(TOKEN_VARIABLE))


def client() -> BrokerClient:
    """Returns the process-wide client.

    Raises:
        BrokerUnavailable: This process does not run in a guarded kernel.
    """
    global _client  # noqa: PLW0603 - one connection for the process is the point
    path = os.environ.get(SOCKET_VARIABLE)
    token = os.environ.get(TOKEN_VARIABLE)
    if not path or not token:
        raise BrokerUnavailable(
            "This Python does not run in a guarded kernel, so there is no broker to ask.",
            code="CLO-BROKER-004",
            remedy=_REMEDY_OUTSIDE,
        )
    current = _client
    if current is not None and current._path == path and current._token == token:  # noqa: SLF001 - own class
        return current
    with _client_lock:
        _client = BrokerClient(path, token)
        return _client


def _unavailable(what: str) -> BrokerUnavailable:
    return BrokerUnavailable(f"{what}.", remedy=_REMEDY_LOST)
