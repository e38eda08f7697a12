"""The private connection between the proxy process and the sidecar.

One socket pair, made before the process starts and inherited by it; it has no name that anybody
else could connect to. A frame is two lengths (4 bytes each, big endian), a JSON object and bytes. A
request has an ``id``, and its answer the same one; a note has none and gets no answer. When the
sidecar ends, the proxy reads the end of the stream and ends, too.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import struct
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, NoReturn

from cloister.sidecar.proxy.desk import Ask, Grant
from cloister.sidecar.proxy.filters import Leaving, Onward
from cloister.sidecar.proxy.refusal import Refusal

if TYPE_CHECKING:
    from cloister.sidecar.proxy.filters import Reply

LENGTHS: Final = struct.Struct(">II")
MOST_HEAD_BYTES: Final = 1_048_576
MOST_BODY_BYTES: Final = 1_100_000_000


class BrokenLinkError(ConnectionError):
    """The other side is gone, or does not speak as it should."""


def pack(head: dict[str, Any], body: bytes = b"") -> bytes:
    """Returns one frame."""
    text = json.dumps(head, separators=(",", ":")).encode()
    return b"".join((LENGTHS.pack(len(text), len(body)), text, body))


def unpack_lengths(data: bytes) -> tuple[int, int]:
    """Reads the lengths of a frame.

    Raises:
        BrokenLinkError: They are longer than any frame.
    """
    head, body = LENGTHS.unpack(data)
    if head > MOST_HEAD_BYTES or body > MOST_BODY_BYTES:
        raise BrokenLinkError
    return head, body


def refusal_as_dict(refusal: Refusal) -> dict[str, Any]:
    """Returns the fields of a refusal for a frame."""
    return {
        "status": refusal.status,
        "message": refusal.message,
        "code": refusal.code,
        "rule": refusal.rule,
        "remedy": refusal.remedy,
    }


def leaving_as_dict(leaving: Leaving) -> dict[str, Any]:
    """Returns what leaves for a frame, without the body."""
    return {
        "changed": leaving.body is not None,
        "onward": None if leaving.onward is None else asdict(leaving.onward),
        "notes": leaving.notes,
    }


def leaving_from_dict(fields: dict[str, Any], body: bytes) -> Leaving:
    """Reads what :func:`leaving_as_dict` wrote."""
    onward = fields["onward"]
    return Leaving(
        body if fields["changed"] else None,
        None if onward is None else Onward(**onward),
        tuple((name, value) for name, value in fields["notes"]),
    )


def _raise(fields: dict[str, Any]) -> NoReturn:
    raise Refusal(**fields)


class LinkDesk:
    """The desk as the proxy process sees it.

    Args:
        reader: The private connection.
        writer: Its other direction.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[tuple[dict[str, Any], bytes]]] = {}

    async def serve(self) -> None:
        """Hands answers to who waits for them, until the sidecar is gone.

        Raises:
            BrokenLinkError: It is gone.
        """
        try:
            while True:
                head, body = await read_frame(self._reader)
                waiting = self._waiting.pop(head["id"], None)
                if waiting is not None and not waiting.done():
                    waiting.set_result((head, body))
        except (OSError, asyncio.IncompleteReadError):
            raise BrokenLinkError from None

    async def look(self, ask: Ask) -> Grant:
        """See :class:`~.desk.Desk`."""
        head, _ = await self._call("look", ask=ask.as_dict())
        return Grant(**head["grant"])

    async def admit(self, ask: Ask, body: bytes | None = None) -> tuple[Grant, Leaving]:
        """See :class:`~.desk.Desk`."""
        is_here = body is not None
        head, changed = await self._call("admit", body or b"", ask=ask.as_dict(), is_here=is_here)
        return Grant(**head["grant"]), leaving_from_dict(head["leaving"], changed)

    async def submit(self, use: int, body: bytes) -> Leaving:
        """See :class:`~.desk.Desk`."""
        head, changed = await self._call("submit", body, use=use)
        return leaving_from_dict(head["leaving"], changed)

    async def reply(self, use: int, reply: Reply) -> None:
        """See :class:`~.desk.Desk`."""
        await self._call("reply", use=use, status=reply.status, headers=reply.headers)

    async def feed(self, use: int, data: bytes) -> bytes:
        """See :class:`~.desk.Desk`."""
        return (await self._call("feed", data, use=use))[1]

    async def finish(self, use: int, data: bytes) -> bytes:
        """See :class:`~.desk.Desk`."""
        return (await self._call("finish", data, use=use))[1]

    async def may_reach(self, address: str, port: int) -> bool:
        """See :class:`~.desk.Desk`."""
        head, _ = await self._call("may_reach", address=address, port=port)
        return bool(head["may"])

    async def progress(self, ask: Ask, bytes_out: int, bytes_in: int) -> None:
        """See :class:`~.desk.Desk`."""
        await self._call("progress", ask=ask.as_dict(), bytes_out=bytes_out, bytes_in=bytes_in)

    def inbound(self, use: int, reply: Reply, data: bytes) -> None:
        """See :class:`~.desk.Desk`."""
        self._note("inbound", data, use=use, status=reply.status, headers=reply.headers)

    def close(self, ask: Ask, bytes_out: int, bytes_in: int, denied_by: str | None) -> None:
        """See :class:`~.desk.Desk`."""
        self._note(
            "close", ask=ask.as_dict(), bytes_out=bytes_out, bytes_in=bytes_in, denied_by=denied_by
        )

    async def _call(
        self, op: str, body: bytes = b"", **fields: Any
    ) -> tuple[dict[str, Any], bytes]:
        number = next(self._ids)
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._writer.write(pack({"id": number, "op": op, **fields}, body))
            if body:
                await self._writer.drain()
            head, answer = await future
        finally:
            self._waiting.pop(number, None)
        if "refusal" in head:
            _raise(head["refusal"])
        return head, answer

    def _note(self, op: str, body: bytes = b"", **fields: Any) -> None:
        self._writer.write(pack({"op": op, **fields}, body))


async def read_frame(reader: asyncio.StreamReader) -> tuple[dict[str, Any], bytes]:
    """Reads one frame.

    Raises:
        asyncio.IncompleteReadError: The stream ended.
        BrokenLinkError: The frame is too long.
    """
    head_length, body_length = unpack_lengths(await reader.readexactly(LENGTHS.size))
    head: dict[str, Any] = json.loads(await reader.readexactly(head_length))
    return head, await reader.readexactly(body_length) if body_length else b""
