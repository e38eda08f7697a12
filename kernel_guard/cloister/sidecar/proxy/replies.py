"""What happens to a response on its way to the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from cloister.sidecar.proxy.filters import Reply
from cloister.sidecar.proxy.refusal import HEADER_PREFIX, upstream_failed

if TYPE_CHECKING:
    from cloister.sidecar.proxy.desk import Desk
    from cloister.sidecar.proxy.filters import Headers
    from cloister.sidecar.proxy.forwarding import Header

_SHOWN_BYTES: Final = 1_048_576
_TEXT: Final = ("text/", "application/json", "application/x-ndjson", "application/xml", "+json")
_ABOUT_THE_BODY: Final = frozenset(
    {b"content-length", b"content-md5", b"digest", b"content-digest", b"repr-digest", b"etag"}
)


class ReplyPath(Protocol):
    """Takes a response piece by piece."""

    async def begin(self, status: int, headers: list[Header]) -> list[Header]:
        """Takes the head's end-to-end headers; returns those that go on."""
        ...

    async def feed(self, data: bytes) -> bytes:
        """Takes a piece; returns what goes on now."""
        ...

    async def finish(self, data: bytes) -> bytes:
        """Takes the last piece, possibly nothing, and returns all that is left."""
        ...

    def end(self) -> None:
        """Called last, whether the response was whole or not."""
        ...


class Passing:
    """A response that goes on as it is; nobody looks at it."""

    async def begin(self, status: int, headers: list[Header]) -> list[Header]:
        """See :class:`ReplyPath`."""
        del status
        return headers

    async def feed(self, data: bytes) -> bytes:
        """See :class:`ReplyPath`."""
        return data

    async def finish(self, data: bytes) -> bytes:
        """See :class:`ReplyPath`."""
        return data

    def end(self) -> None:
        """See :class:`ReplyPath`."""


class Shown:
    """A response that goes on as it comes; the sidecar is shown its beginning if it is text.

    Args:
        desk: Where it is shown.
        use: The use that it belongs to.
    """

    def __init__(self, desk: Desk, use: int) -> None:
        self._desk = desk
        self._use = use
        self._reply: Reply | None = None
        self._shown = bytearray()

    async def begin(self, status: int, headers: list[Header]) -> list[Header]:
        """See :class:`ReplyPath`."""
        reply = _reply(status, headers)
        kind = next((v.lower() for n, v in reply.headers if n == "content-type"), "text/")
        if any(part in kind for part in _TEXT):
            self._reply = reply
        return headers

    async def feed(self, data: bytes) -> bytes:
        """See :class:`ReplyPath`."""
        self._keep(data)
        return data

    async def finish(self, data: bytes) -> bytes:
        """See :class:`ReplyPath`."""
        self._keep(data)
        self._show()
        return data

    def end(self) -> None:
        """See :class:`ReplyPath`; a part of an answer is an answer."""
        self._show()

    def _keep(self, data: bytes) -> None:
        if self._reply is not None:
            self._shown += data[: _SHOWN_BYTES - len(self._shown)]
            if len(self._shown) >= _SHOWN_BYTES:
                self._show()

    def _show(self) -> None:
        if self._reply is not None and self._shown:
            self._desk.inbound(self._use, self._reply, bytes(self._shown))
        self._reply = None
        self._shown.clear()


class Rewritten(Shown):
    """A response that passes a filter; the sidecar is shown its beginning, too, before that.

    Args:
        desk: Where the filter is.
        use: The use that it belongs to.
        host: Destination, for a refusal.
        notes: Headers that are added, ``X-Cloister-`` and a name.
    """

    def __init__(self, desk: Desk, use: int, host: str, notes: Headers = ()) -> None:
        super().__init__(desk, use)
        self._host = host
        self._notes = notes

    async def begin(self, status: int, headers: list[Header]) -> list[Header]:
        """See :class:`ReplyPath`; an answer that is encoded against our wish is refused."""
        encodings = {
            value.lower() for name, value in headers if name.lower() == b"content-encoding"
        }
        if encodings - {b"identity"}:
            raise upstream_failed(f"{self._host} encodes its answer, so it cannot be read.")
        await self._desk.reply(self._use, _reply(status, headers))
        await super().begin(status, headers)
        kept = [(n, v) for n, v in headers if n.lower() not in _ABOUT_THE_BODY]
        return kept + [((HEADER_PREFIX + n).encode(), v.encode()) for n, v in self._notes]

    async def feed(self, data: bytes) -> bytes:
        """See :class:`ReplyPath`."""
        self._keep(data)
        return await self._desk.feed(self._use, data)

    async def finish(self, data: bytes) -> bytes:
        """See :class:`ReplyPath`."""
        self._keep(data)
        self._show()
        return await self._desk.finish(self._use, data)


def _reply(status: int, headers: list[Header]) -> Reply:
    return Reply(
        status, tuple((n.decode("latin-1").lower(), v.decode("latin-1")) for n, v in headers)
    )
