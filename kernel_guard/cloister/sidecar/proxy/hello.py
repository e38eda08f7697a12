"""Reads the server name from the first bytes of a TLS connection, without opening it.

The proxy does not decrypt. What it can hold is that the name which a client shows to the upstream
(SNI, RFC 6066 section 3) is the name that the policy allowed; otherwise an allowed front end of a
content network would lead to any host behind it. A hidden name (Encrypted ClientHello) cannot be
compared, and is refused.

Source: RFC 8446 sections 4.1.2 and 5.1; draft-ietf-tls-esni for Encrypted ClientHello.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ACCESS_DENIED_ALERT: Final = bytes((0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x31))
"""A fatal ``access_denied`` alert, so that the client reports a refusal and not a lost network."""

HELLO_LIMIT: Final = 65_536
"""Bytes. Hellos with post-quantum keys are about 2 kB; what is longer than this is no hello."""

_HANDSHAKE: Final = 0x16
_CLIENT_HELLO: Final = 0x01
_SERVER_NAME: Final = 0x0000
_ENCRYPTED_HELLO: Final = 0xFE0D
_MAX_RECORD: Final = 16_384


class IncompleteHelloError(Exception):
    """The bytes so far begin a ClientHello, and more are needed to read it."""


class MalformedHelloError(Exception):
    """The bytes begin as TLS and then break its grammar."""


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What a ClientHello says about its destination.

    Attributes:
        server_name: Lower-case name without its last dot, or ``None``.
        has_hidden_name: Whether it carries an Encrypted ClientHello.
    """

    server_name: str | None
    has_hidden_name: bool


class _Cursor:
    """Reads big-endian fields and never past the end."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_at_end(self) -> bool:
        return self._at >= len(self._data)

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise MalformedHelloError
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def take_rest(self) -> bytes:
        return self.take(len(self._data) - self._at)

    def vector(self, width: int) -> _Cursor:
        return _Cursor(self.take(self.number(width)))


def read_client_hello(data: bytes) -> ClientHello | None:
    """Reads a ClientHello from the start of a connection.

    Args:
        data: Everything that the client has sent so far.

    Returns:
        The hello, or ``None`` when the bytes are not TLS.

    Raises:
        IncompleteHelloError: More bytes are needed.
        MalformedHelloError: The bytes are TLS but no well-formed ClientHello.
    """
    if not data:
        raise IncompleteHelloError
    if data[0] != _HANDSHAKE or (len(data) > 1 and data[1] != 0x03):
        return None
    return _parse(_first_handshake_message(data))


def _first_handshake_message(data: bytes) -> bytes:
    """Joins the fragments of the first handshake message, which may span records."""
    message = b""
    at = 0
    while True:
        if len(message) >= 4:
            if message[0] != _CLIENT_HELLO:
                raise MalformedHelloError
            length = 4 + int.from_bytes(message[1:4], "big")
            if length > HELLO_LIMIT:
                raise MalformedHelloError
            if len(message) >= length:
                return message[4:length]
        if len(data) < at + 5:
            raise IncompleteHelloError
        kind, size = data[at], int.from_bytes(data[at + 3 : at + 5], "big")
        if kind != _HANDSHAKE or data[at + 1] != 0x03 or not 0 < size <= _MAX_RECORD:
            raise MalformedHelloError
        if len(data) < at + 5 + size:
            raise IncompleteHelloError
        message += data[at + 5 : at + 5 + size]
        at += 5 + size


def _parse(body: bytes) -> ClientHello:
    cursor = _Cursor(body)
    cursor.take(2 + 32)  # legacy version, random
    cursor.vector(1)  # session id
    cursor.vector(2)  # cipher suites
    cursor.vector(1)  # compression methods
    name: str | None = None
    hidden = False
    seen: set[int] = set()
    if not cursor.is_at_end:
        extensions = cursor.vector(2)
        while not extensions.is_at_end:
            kind = extensions.number(2)
            content = extensions.vector(2)
            if kind in seen:  # two names would let two readers choose differently
                raise MalformedHelloError
            seen.add(kind)
            if kind == _SERVER_NAME:
                name = _server_name(content)
            hidden = hidden or kind == _ENCRYPTED_HELLO
    if not cursor.is_at_end:
        raise MalformedHelloError
    return ClientHello(name, hidden)


def _server_name(content: _Cursor) -> str:
    entries = content.vector(2)
    kind = entries.number(1)
    raw = entries.vector(2)
    if kind != 0 or not entries.is_at_end or not content.is_at_end:
        raise MalformedHelloError
    try:
        name = raw.take_rest().decode("ascii")
    except UnicodeDecodeError:
        raise MalformedHelloError from None
    return name.lower().removesuffix(".")
