"""One side of the proxy: a byte stream, the HTTP state machine on it, and what it may cost.

All reading and writing of HTTP goes through h11, on both sides, so a message is always taken apart
and put together again; bytes are never copied from one side to the other as they came. That is what
makes request smuggling hard: the upstream sees h11's framing, not the client's.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import h11

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

CHUNK: Final = 65_536
"""Bytes read at once; with the stream's own buffer this bounds what one direction holds."""

_LINGER_BYTES: Final = 1_048_576
_LINGER_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one kernel's connections may cost.

    Attributes:
        connections: Client connections at once.
        head_bytes: Bytes of a request or response head.
        head_s: Seconds from the first byte of a request head to its last.
        hello_s: Seconds in which a tunnel to port 443 must show its ClientHello.
        uploads: Long request bodies that are held in memory at once.
        keep_alive_s: Seconds that a connection may wait for its next request.
        resolve_s: Seconds for a name look-up.
        connect_s: Seconds for a connection, all addresses together.
        silence_s: Seconds without a byte in either direction of an exchange or tunnel.
        recheck_s: Seconds between two looks at the policy while an exchange or tunnel is open.
    """

    connections: int = 128
    head_bytes: int = 32_768
    head_s: float = 10.0
    hello_s: float = 10.0
    uploads: int = 4
    keep_alive_s: float = 60.0
    resolve_s: float = 10.0
    connect_s: float = 10.0
    silence_s: float = 900.0
    recheck_s: float = 2.0


@dataclass(slots=True)
class Meter:
    """Counts the bytes between proxy and upstream, and when the last of any kind moved."""

    bytes_out: int = 0
    bytes_in: int = 0
    last_active: float = field(default_factory=time.monotonic)

    def sent(self, count: int) -> None:
        """Counts bytes that went to the upstream."""
        self.bytes_out += count
        self.last_active = time.monotonic()

    def received(self, count: int) -> None:
        """Counts bytes that came from the upstream."""
        self.bytes_in += count
        self.last_active = time.monotonic()


class Stream(Protocol):
    """Bytes both ways."""

    async def read(self) -> bytes:
        """Reads some bytes; none at the end."""
        ...

    async def write(self, data: bytes) -> None:
        """Writes, and waits until enough of it has been taken."""
        ...

    def end(self) -> bool:
        """Ends the direction of writing; returns whether that can be done by itself."""
        ...

    def is_at_end(self) -> bool:
        """Whether the other side has ended and everything was read."""
        ...

    async def close(self) -> None:
        """Closes both directions."""
        ...

    def abort(self) -> None:
        """Breaks the stream."""
        ...


class PlainStream:
    """Bytes on a socket, or on the TLS of asyncio.

    Args:
        reader: Where bytes come from.
        writer: Where bytes go.
    """

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        """See :class:`Stream`."""
        return await self._reader.read(CHUNK)

    async def write(self, data: bytes) -> None:
        """See :class:`Stream`."""
        self._writer.write(data)
        await self._writer.drain()

    def end(self) -> bool:
        """See :class:`Stream`."""
        if self._writer.is_closing() or not self._writer.can_write_eof():
            return False
        self._writer.write_eof()
        return True

    def is_at_end(self) -> bool:
        """See :class:`Stream`."""
        return self._reader.at_eof() or self._writer.is_closing()

    async def close(self) -> None:
        """See :class:`Stream`."""
        self._writer.close()
        await self._writer.wait_closed()

    def abort(self) -> None:
        """See :class:`Stream`."""
        self._writer.transport.abort()


class Wire:
    """A stream with an h11 state machine on it.

    Args:
        role: ``h11.SERVER`` towards the kernel, ``h11.CLIENT`` towards an upstream.
        stream: The bytes.
        head_bytes: Most bytes of an incomplete head.
        meter: Counts what this side reads and writes, when given.
    """

    def __init__(
        self,
        role: type[h11.CLIENT | h11.SERVER],
        stream: Stream,
        *,
        head_bytes: int,
        meter: Meter | None = None,
    ) -> None:
        self.http = h11.Connection(role, max_incomplete_event_size=head_bytes)
        self.stream = stream
        self.meter = meter
        self.is_kept = False
        """Whether an exchange has ended on it before."""
        self.is_whole = False
        """Whether what :meth:`next_pieces` returned last was the end of the message."""
        self._ahead: h11.Event | None = None

    @property
    def has_unread_bytes(self) -> bool:
        """Whether bytes were received that h11 has not used."""
        return bool(self.http.trailing_data[0])

    def keep(self) -> bool:
        """Makes ready for the next exchange; returns whether there can be one."""
        http = self.http
        if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
            return False
        http.start_next_cycle()
        self.is_kept = True
        return not self.has_unread_bytes and not self.stream.is_at_end()

    async def read(self) -> bytes:
        """Reads some raw bytes; none at the end of the stream."""
        data = await self.stream.read()
        if self.meter is not None:
            self.meter.received(len(data))
        return data

    async def receive(self) -> None:
        """Reads once and feeds h11, the end of the stream included."""
        self.http.receive_data(await self.read())

    async def next_event(self) -> h11.Event:
        """Returns the next h11 event, reading as often as it takes; or ``h11.PAUSED``.

        Raises:
            h11.RemoteProtocolError: The other side breaks the protocol.
            OSError: The stream broke.
        """
        if self._ahead is not None:
            ahead, self._ahead = self._ahead, None
            return ahead
        while True:
            event = self.http.next_event()
            if event is not h11.NEED_DATA:
                return event
            await self.receive()

    async def next_pieces(self) -> h11.Event:
        """Returns the next h11 event; pieces of a body that have come already are put together.

        A stream of small chunks then takes as many steps as it has packets. Nothing is waited for.

        Raises:
            h11.RemoteProtocolError: The other side breaks the protocol.
            OSError: The stream broke.
        """
        event = await self.next_event()
        self.is_whole = isinstance(event, h11.EndOfMessage)
        if not isinstance(event, h11.Data):
            return event
        pieces = [bytes(event.data)]
        while isinstance(more := self.http.next_event(), h11.Data):
            pieces.append(bytes(more.data))
        self.is_whole = isinstance(more, h11.EndOfMessage)
        if not self.is_whole and more is not h11.NEED_DATA:
            self._ahead = more
        return event if len(pieces) == 1 else h11.Data(data=b"".join(pieces))

    async def send(self, event: h11.Event) -> None:
        """Writes an event and waits until the other side has taken enough of it.

        Raises:
            h11.LocalProtocolError: The event does not fit the state.
            OSError: The stream broke.
        """
        data = self.http.send(event)
        if data:
            await self.write(data)

    async def write(self, data: bytes) -> None:
        """Writes raw bytes with back-pressure."""
        # Counted before it is delivered: a count that is too high is the safe error here.
        if self.meter is not None:
            self.meter.sent(len(data))
        await self.stream.write(data)

    async def close(self, *, linger: bool = False) -> None:
        """Closes the stream; never raises.

        Args:
            linger: Take in what the other side is still sending, for a moment, so that it reads
                the answer and not a broken pipe.
        """
        with contextlib.suppress(OSError, RuntimeError):
            if linger and self.stream.end():
                await self._drain_input()
            await asyncio.wait_for(self.stream.close(), _LINGER_S)

    def abort(self) -> None:
        """Breaks the stream, so that a truncated message cannot be taken for a whole one."""
        self.stream.abort()

    async def _drain_input(self) -> None:
        left = _LINGER_BYTES
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                while left > 0 and (data := await self.stream.read()):
                    left -= len(data)
