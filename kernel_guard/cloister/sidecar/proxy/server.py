"""The only way out of a kernel: an HTTP/1.1 forward proxy on a unix socket.

A kernel's sandbox has no network. A relay inside it carries bytes from ``127.0.0.1`` to this
socket, so whatever speaks to an HTTP proxy works unchanged, and whatever does not has no route. For
every connection, and for every request that the proxy can see, in this order:

1. The request names one destination, readable in one way only (:mod:`.target`).
2. The policy of this moment allows it, for the level that the kernel carries; address, headers and
   body hold nothing that must not leave (:mod:`.decider`).
3. The use is recorded. What cannot be recorded does not leave, a look-up of the name included.
4. The name is resolved here, not in the kernel, and leads to public addresses only
   (:mod:`.addresses`); the connection goes to the address that was checked, and the upstream proves
   its name (:mod:`.upstreams`).
5. Requests are rewritten (:mod:`.forwarding`); a tunnel that stays closed must greet the same host
   in TLS (:mod:`.tunnel`).
6. While it is open the policy is asked again every few seconds; a withdrawn rule ends it.

Nothing here logs a path, a query, a header or a body.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import h11

from cloister.sidecar.proxy.addresses import Resolver, resolve_with_system
from cloister.sidecar.proxy.forwarding import TruncatedResponseError
from cloister.sidecar.proxy.refusal import proxy_busy
from cloister.sidecar.proxy.session import Session, answer
from cloister.sidecar.proxy.upstreams import Upstreams
from cloister.sidecar.proxy.wire import Limits, PlainStream, Wire

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from cloister.sidecar.proxy.desk import Desk

_LOG = logging.getLogger(__name__)


class EgressProxy:
    """Serves one kernel.

    Args:
        desk: Decides, records, filters.
        resolve: Looks names up; the system's resolver unless a test says otherwise.
        limits: What one kernel's connections may cost.
        contexts: Returns the TLS context that answers in a host's place; ``None`` where no
            connection can be opened.
    """

    def __init__(
        self,
        desk: Desk,
        resolve: Resolver = resolve_with_system,
        limits: Limits | None = None,
        contexts: Callable[[str], ssl.SSLContext] | None = None,
    ) -> None:
        self._desk = desk
        self._limits = limits or Limits()
        self._upstreams = Upstreams(desk, resolve, self._limits)
        self._contexts = contexts
        self._uploads = asyncio.Semaphore(self._limits.uploads)
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self, sock: socket.socket) -> None:
        """Accepts connections on a unix socket that listens already."""
        self._server = await asyncio.start_unix_server(self._accept, sock=sock)

    async def close(self) -> None:
        """Stops listening, ends every connection and records their totals."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._clients):
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:  # asyncio runs this callback in a task of its own
            return
        stream = PlainStream(reader, writer)
        client = Wire(h11.SERVER, stream, head_bytes=self._limits.head_bytes)
        session = Session(
            client,
            self._desk,
            self._upstreams,
            self._limits,
            contexts=self._contexts,
            uploads=self._uploads,
        )
        has_room = len(self._clients) < self._limits.connections
        self._clients.add(task)
        try:
            if has_room:
                await session.run()
            else:
                await answer(client, proxy_busy())
        except (OSError, TruncatedResponseError, asyncio.CancelledError):
            session.client.abort()
        except Exception as error:  # noqa: BLE001 - one connection must not end the only way out
            _LOG.error("egress connection ended by %s", type(error).__name__)
            session.client.abort()
        finally:
            self._clients.discard(task)
            # A client that is still sending must come to read the answer.
            client = session.client
            await client.close(linger=client.http.their_state is h11.SEND_BODY)
