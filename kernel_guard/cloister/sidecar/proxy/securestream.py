"""TLS towards the kernel, on a stream whose first bytes have been looked at already.

asyncio can begin TLS only on a stream that nobody has read from. The greeting has been read here,
to compare its name with the destination, so the state machine of :mod:`ssl` is fed by hand.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.sidecar.proxy.wire import Stream

_T = TypeVar("_T")
_CHUNK: Final = 65_536


class SecureStream:
    """The proxy's end of a TLS connection that a kernel makes.

    Args:
        inner: The bytes below.
        context: Certificate and protocol versions.
        first: Bytes of the greeting that were read already.
    """

    def __init__(self, inner: Stream, context: ssl.SSLContext, first: bytes) -> None:
        self._inner = inner
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._incoming.write(first)
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def handshake(self) -> None:
        """Finishes the handshake.

        Raises:
            ssl.SSLError: The kernel does not accept the certificate, or breaks the protocol.
            OSError: The stream broke.
        """
        await self._run(self._tls.do_handshake)

    async def read(self) -> bytes:
        """See :class:`~.wire.Stream`; a stream that ends without saying so ends all the same."""
        try:
            return await self._run(lambda: self._tls.read(_CHUNK))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def write(self, data: bytes) -> None:
        """See :class:`~.wire.Stream`."""
        self._tls.write(data)
        await self._flush()

    def end(self) -> bool:
        """See :class:`~.wire.Stream`; TLS before 1.3 cannot end one direction."""
        return False

    def is_at_end(self) -> bool:
        """See :class:`~.wire.Stream`."""
        return self._inner.is_at_end()

    async def close(self) -> None:
        """Says goodbye and closes."""
        with contextlib.suppress(ssl.SSLError, OSError):
            self._tls.unwrap()
        with contextlib.suppress(OSError):
            await self._flush()
        await self._inner.close()

    def abort(self) -> None:
        """See :class:`~.wire.Stream`."""
        self._inner.abort()

    async def _run(self, step: Callable[[], _T]) -> _T:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._flush()
                if data := await self._inner.read():
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            except ssl.SSLError:
                with contextlib.suppress(OSError):
                    await self._flush()  # the alert that says why
                raise
            else:
                await self._flush()
                return result

    async def _flush(self) -> None:
        if data := self._outgoing.read():
            await self._inner.write(data)
