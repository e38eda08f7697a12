"""What writers and the sequencer say to each other over their Unix socket.

A frame is its length (four bytes, big endian) and as many bytes: a JSON object, one line, and after
it the bytes that the object counts. A request is ``{"client", "number", "drafts": [[type, bytes of
body, bytes of payload], ...]}`` with those bodies and payloads behind it; an answer is ``{"first",
"events"}`` or ``{"error": {"code", "message", "remedy"}}``.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, Final

from cloister.core.errors import StoreUnavailable
from cloister.store.entry import Draft, restore_draft
from cloister.store.lineage_request import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LENGTH: Final = struct.Struct(">I")
MOST_BYTES: Final = 256 * 1024 * 1024
"""A frame that is longer ends the connection; such an append goes to the database directly."""


class WireError(ValueError):
    """What came is not a frame of this protocol."""


def encode_request(client: bytes, number: int, drafts: Sequence[Draft]) -> bytes:
    """Returns the frame that asks for an append."""
    sizes = [[item.type, len(item.body_bytes), len(item.payload)] for item in drafts]
    parts = [part for item in drafts for part in (item.body_bytes, item.payload)]
    return _frame({"client": client.hex(), "number": number, "drafts": sizes}, parts)


def decode_request(content: bytes) -> Request:
    """Reads what :func:`encode_request` wrote, without the length.

    Raises:
        WireError: It is something else.
    """
    try:
        said, at = _object(content)
        drafts = []
        for kind, body, payload in said["drafts"]:
            middle, end = at + body, at + body + payload
            drafts.append(restore_draft(kind, content[at:middle], content[middle:end]))
            at = end
        if at != len(content):
            raise WireError("a frame of another length")
        return Request(bytes.fromhex(said["client"]), int(said["number"]), drafts)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WireError("not a request") from error


def encode_answer(first: int, events: int) -> bytes:
    """Returns the frame that says where an append is."""
    return _frame({"first": first, "events": events}, [])


def encode_error(error: StoreUnavailable) -> bytes:
    """Returns the frame that says why nothing was added."""
    return _frame({"error": error.as_dict()}, [])


def decode_answer(content: bytes) -> range:
    """Returns the numbers of the events.

    Raises:
        StoreUnavailable: What the sequencer was told by the log.
        WireError: It is not an answer.
    """
    try:
        said, _ = _object(content)
        error = said.get("error")
        if error is None:
            return range(int(said["first"]), int(said["first"]) + int(said["events"]))
        refusal = StoreUnavailable(
            str(error["message"]), code=str(error["code"]), remedy=str(error["remedy"])
        )
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise WireError("not an answer") from problem
    raise refusal


def read_frame(receive: Callable[[int], bytes]) -> bytes:
    """Reads one frame from a blocking socket.

    Args:
        receive: ``recv`` of the socket.

    Raises:
        WireError: The other side ended, or sends something else.
    """
    (length,) = LENGTH.unpack(_exactly(receive, LENGTH.size))
    if length > MOST_BYTES:
        raise WireError("a frame that is too long")
    return _exactly(receive, length)


def _exactly(receive: Callable[[int], bytes], count: int) -> bytes:
    parts: list[bytes] = []
    while count:
        part = receive(min(count, 1 << 20))
        if not part:
            raise WireError("the other side ended")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _frame(said: dict[str, Any], parts: list[bytes]) -> bytes:
    content = b"".join([json.dumps(said).encode(), b"\n", *parts])
    return LENGTH.pack(len(content)) + content


def _object(content: bytes) -> tuple[dict[str, Any], int]:
    end = content.index(b"\n")
    said = json.loads(content[:end])
    if not isinstance(said, dict):
        raise WireError("not an object")
    return said, end + 1
