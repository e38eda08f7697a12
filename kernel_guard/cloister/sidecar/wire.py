"""Jupyter messages as ZMQ frames, read and signed without jupyter_client's Session.

The gate owns two keys: messages from clients are signed with the outer key, messages from the
kernel with the inner one. A message is parsed completely, because a check on raw bytes can be
walked past with JSON escapes, and written anew, because a parser that keeps the last of two equal
keys must not let the first one through.

Source: Jupyter messaging protocol 5.4, "The Wire Protocol".
"""

from __future__ import annotations

import hmac
import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

DELIMITER = b"<IDS|MSG>"
PROTOCOL_VERSION = "5.4"
MAX_MESSAGE_BYTES = 512 * 1024 * 1024
MAX_HEADER_BYTES = 64 * 1024


class BadMessage(Exception):
    """Frames that are not a correctly signed Jupyter message."""


@dataclass(slots=True)
class Message:
    """One message.

    Attributes:
        idents: Identities of the socket that it came from or goes to.
        header: Parsed.
        parent: Parsed.
        metadata: Parsed, unless it is sealed.
        content: Parsed, unless it is sealed.
        buffers: Binary data.
        sealed: Metadata and content as they came, of a message that is not to be parsed here.
        packed: Metadata and content as they leave, where they were written elsewhere.
    """

    idents: list[bytes]
    header: dict[str, Any]
    parent: dict[str, Any]
    metadata: dict[str, Any]
    content: dict[str, Any]
    buffers: list[bytes] = field(default_factory=list)
    sealed: tuple[bytes, bytes] | None = field(default=None, compare=False)
    packed: tuple[bytes, bytes] | None = field(default=None, compare=False)

    @property
    def msg_type(self) -> str:
        """The header's ``msg_type``, or an empty string."""
        return str(self.header.get("msg_type", ""))

    @property
    def msg_id(self) -> str:
        """The header's ``msg_id``, or an empty string."""
        return str(self.header.get("msg_id", ""))

    @property
    def parent_id(self) -> str:
        """The ``msg_id`` of the request that this message answers, or an empty string."""
        return str(self.parent.get("msg_id", ""))

    def pack(self) -> tuple[bytes, bytes]:
        """Writes metadata and content as they leave, once; who changes them later unpacks first."""
        if self.packed is None:
            self.packed = (_dump(self.metadata), _dump(self.content))
        return self.packed


class UnreadableMessage(BadMessage):
    """A signed message whose headers can be read and the rest of which cannot.

    Attributes:
        message: Its headers, with empty content.
    """

    def __init__(self, message: Message) -> None:
        super().__init__("its content cannot be read")
        self.message = message


def parse(
    frames: list[bytes],
    key: bytes,
    most_bytes: int = MAX_MESSAGE_BYTES,
    parsed_bytes: int = MAX_MESSAGE_BYTES,
) -> Message:
    """Checks the signature and parses a message.

    Args:
        frames: All frames, identities first.
        key: HMAC-SHA256 key of the side that the frames came from.
        most_bytes: Of a larger message only the headers are read, and it is refused.
        parsed_bytes: Of a larger message only the headers are read; the rest comes sealed.

    Raises:
        UnreadableMessage: Too large, or its metadata or content is no JSON object.
        BadMessage: No delimiter, a wrong signature, or a header is no JSON object.
    """
    try:
        start = frames.index(DELIMITER)
    except ValueError:
        raise BadMessage("no delimiter") from None
    parts = frames[start + 1 :]
    if len(parts) < 5 or max(map(len, parts[1:3])) > MAX_HEADER_BYTES:
        raise BadMessage("too few frames, or a header that is too large")
    if not hmac.compare_digest(_sign(key, parts[1:5]), parts[0]):
        raise BadMessage("wrong signature")
    header, parent = _parse_object(parts[1]), _parse_object(parts[2])
    try:
        size = sum(map(len, parts))
        if size > most_bytes:
            raise BadMessage("too large")
        if size > parsed_bytes:
            sealed = parts[3], parts[4]
            return Message(frames[:start], header, parent, {}, {}, parts[5:], sealed)
        metadata, content = _parse_object(parts[3]), _parse_object(parts[4])
    except BadMessage:
        raise UnreadableMessage(Message(frames[:start], header, parent, {}, {})) from None
    return Message(frames[:start], header, parent, metadata, content, parts[5:])


def unseal(message: Message) -> None:
    """Parses the rest of a message that :func:`parse` left sealed.

    Raises:
        BadMessage: It is no JSON object.
    """
    if message.sealed is not None:
        metadata, content = message.sealed
        message.metadata, message.content = _parse_object(metadata), _parse_object(content)
        message.sealed = None


def serialize(message: Message, key: bytes) -> list[bytes]:
    """Returns the frames of ``message``, signed with ``key``.

    Raises:
        ValueError: It is sealed, so nobody has looked into it.
    """
    if message.sealed is not None:
        raise ValueError("a sealed message does not leave")
    parts = [_dump(message.header), _dump(message.parent), *message.pack()]
    return [*message.idents, DELIMITER, _sign(key, parts), *parts, *message.buffers]


def make_message(
    msg_type: str,
    content: dict[str, Any],
    *,
    parent: dict[str, Any] | None = None,
    idents: list[bytes] | None = None,
) -> Message:
    """Returns a new message that the gate itself says, as user ``cloister``."""
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": msg_type,
        "username": "cloister",
        "session": "cloister",
        "date": datetime.now(UTC).isoformat(),
        "version": PROTOCOL_VERSION,
    }
    return Message(idents or [], header, parent or {}, {}, content)


def _sign(key: bytes, parts: list[bytes]) -> bytes:
    return hmac.digest(key, b"".join(parts), "sha256").hex().encode()


def _parse_object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise BadMessage("not JSON") from None
    if not isinstance(value, dict):
        raise BadMessage("not a JSON object")
    return value


def _dump(value: dict[str, Any]) -> bytes:
    # NaN from a kernel is not JSON, but clients in Python read it; keep what the kernel said.
    return json.dumps(value, separators=(",", ":")).encode("ascii")
