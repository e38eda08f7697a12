"""One client connection: its requests, one after the other, and where each may go."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import h11

from cloister.sidecar.proxy.desk import Ask, Grant
from cloister.sidecar.proxy.forwarding import (
    StaleUpstreamError,
    end_to_end,
    forward,
    has_body,
    is_upgrade,
    read_body,
    require_one_framing,
    rewrite_request,
)
from cloister.sidecar.proxy.hello import ACCESS_DENIED_ALERT
from cloister.sidecar.proxy.refusal import (
    Refusal,
    body_too_long,
    denied_upgrade,
    malformed,
    upstream_failed,
)
from cloister.sidecar.proxy.replies import Passing, Rewritten, Shown
from cloister.sidecar.proxy.securestream import SecureStream
from cloister.sidecar.proxy.target import (
    Destination,
    parse_absolute_form,
    parse_authority,
    parse_origin_form,
    require_same_host,
)
from cloister.sidecar.proxy.tunnel import read_first_bytes, require_tls, tunnel
from cloister.sidecar.proxy.wire import Meter, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from cloister.sidecar.proxy.desk import Desk, Kind
    from cloister.sidecar.proxy.filters import Headers, Leaving
    from cloister.sidecar.proxy.replies import ReplyPath
    from cloister.sidecar.proxy.upstreams import Upstreams
    from cloister.sidecar.proxy.wire import Limits

_T = TypeVar("_T")
_REPEATABLE = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})  # RFC 9110 section 9.2.2
_SHORT_BYTES = 16_384
_use_numbers = itertools.count(1)


@dataclass(slots=True)
class _Use:
    """What this connection does at one destination."""

    ask: Ask
    meter: Meter
    upstream: Wire | None = None
    upstream_at: tuple[Destination, bool] | None = None


@dataclass(frozen=True, slots=True)
class _Trip:
    """One request as it leaves, where to, and what its answer passes."""

    request: h11.Request
    body: bytes | None
    destination: Destination
    tls: bool
    path: ReplyPath


class Session:
    """Serves one client connection.

    Args:
        client: The kernel's side.
        desk: Decides.
        upstreams: Makes connections.
        limits: How long things may take.
        contexts: Returns the TLS context that answers in a host's place; ``None`` where no
            connection can be opened.
        uploads: Room for long bodies, shared by all sessions.
    """

    def __init__(
        self,
        client: Wire,
        desk: Desk,
        upstreams: Upstreams,
        limits: Limits,
        *,
        contexts: Callable[[str], ssl.SSLContext] | None,
        uploads: asyncio.Semaphore,
    ) -> None:
        self.client = client
        self._desk = desk
        self._upstreams = upstreams
        self._limits = limits
        self._contexts = contexts
        self._uploads = uploads
        self._opened: Destination | None = None
        self._use: _Use | None = None

    async def run(self) -> None:
        """Answers requests until there are no more.

        Raises:
            OSError, TruncatedResponseError: The connection is to be broken.
        """
        try:
            while True:
                try:
                    request = await self._next_request()
                    if request is None:
                        return
                    require_one_framing(request)
                    if request.method == b"CONNECT":
                        if not await self._serve_connect(request):
                            return
                        continue
                    await self._serve_request(request)
                except Refusal as refusal:
                    await self._end_use(refusal)
                    await answer(self.client, refusal)
                    return
                except h11.LocalProtocolError:
                    await answer(
                        self.client, malformed("The message cannot be forwarded as HTTP/1.1.")
                    )
                    return
                http = self.client.http
                if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
                    return
                http.start_next_cycle()
        finally:
            await self._end_use(None)

    async def _next_request(self) -> h11.Request | None:
        """Reads a request head, or ``None`` when the client has no more to ask."""
        client = self.client
        try:
            if not client.has_unread_bytes:
                async with asyncio.timeout(self._limits.keep_alive_s):
                    await client.receive()
        except TimeoutError:
            return None
        try:
            async with asyncio.timeout(self._limits.head_s):
                event = await client.next_event()
        except TimeoutError:
            raise malformed("The request head took too long.", status=408) from None
        except h11.RemoteProtocolError as error:
            raise malformed(
                "The request breaks the HTTP protocol or its head is too long.",
                status=error.error_status_hint,
            ) from error
        if not isinstance(event, h11.Request):
            return None
        if event.http_version not in {b"1.0", b"1.1"}:
            raise malformed("The request is not HTTP/1.1.", status=505)
        return event

    # --- tunnels ---

    async def _serve_connect(self, request: h11.Request) -> bool:
        """Opens a tunnel, or the connection in it; returns whether requests follow."""
        if self._opened is not None:
            raise malformed("There is no CONNECT within a connection that was opened.")
        destination = parse_authority(request.target.decode("latin-1"), default_port=None)
        use = await self._begin_use(destination, "connect")
        _require_host(request, destination, default_port=destination.port)
        if has_body(request):
            raise malformed("A CONNECT request has no body.")
        grant = await self._desk.look(use.ask)
        if grant.inspect:
            await self._open(destination)
            return True
        grant, _ = await self._desk.admit(use.ask)
        upstream = use.upstream = await self._upstreams.connect(
            destination, grant.rule, use.meter, tls=False, ca_file=None
        )
        await self._accept_tunnel()
        work = tunnel(self.client, upstream, destination, self._limits)
        await self._while_allowed(work, use)
        return False

    async def _accept_tunnel(self) -> None:
        await self.client.next_event()  # its end; there is no body
        await self.client.send(
            h11.Response(status_code=200, headers=[], reason=b"Connection established")
        )

    async def _open(self, destination: Destination) -> None:
        """Takes the upstream's place in TLS."""
        if self._contexts is None:
            raise upstream_failed("This proxy cannot open TLS.")
        await self._accept_tunnel()
        client = self.client
        try:
            first = await read_first_bytes(client, destination, self._limits, opened=True)
        except Refusal as refusal:
            if refusal.rule == "egress.tls-name":
                with contextlib.suppress(OSError):
                    await client.write(ACCESS_DENIED_ALERT)
            raise
        stream = SecureStream(client.stream, self._contexts(destination.host), first)
        try:
            async with asyncio.timeout(self._limits.hello_s):
                await stream.handshake()
        except (ssl.SSLError, TimeoutError) as error:
            raise ConnectionAbortedError from error
        self.client = Wire(h11.SERVER, stream, head_bytes=self._limits.head_bytes)
        self._opened = destination

    # --- requests ---

    async def _serve_request(self, request: h11.Request) -> None:
        named = request.target.decode("latin-1")
        kind: Kind
        if self._opened is None:
            kind, default_port = "http", 80
            destination, target = parse_absolute_form(named)
        else:
            kind, default_port = "https", 443
            destination, target = self._opened, parse_origin_form(named)
        use = await self._begin_use(
            destination, kind, request.method.decode("ascii"), target, _headers(request)
        )
        _require_host(request, destination, default_port=default_port)
        if kind == "http":
            require_tls(destination)
        if is_upgrade(request):
            raise denied_upgrade(destination.host)
        grant, body, leaving = await self._admitted(request, use)
        tls, onward = self._opened is not None, leaving.onward
        if onward is not None:
            destination, tls = Destination(onward.host, onward.port), onward.tls
            default_port = 443 if tls else 80
        outgoing = rewrite_request(
            request,
            target,
            destination,
            default_port=default_port,
            body=body,
            replaced=leaving.body is not None,
            identity=grant.rewrites,
            anonymous=onward is not None,
            # Where it is sent on, another rule allows it, which may not let the trace be told.
            traceparent=grant.traceparent if onward is None else None,
        )
        trip = _Trip(
            outgoing,
            body,
            destination,
            tls=tls,
            path=self._reply_path(use, grant, outgoing, leaving.notes),
        )
        await self._while_allowed(self._exchange(trip, use, grant), use)

    async def _admitted(
        self, request: h11.Request, use: _Use
    ) -> tuple[Grant, bytes | None, Leaving]:
        """Returns the permission, the body that leaves, and what else is to be known about it.

        ``None`` stands for a body that nobody looks at: it is streamed. A long one is not read, nor
        asked for, before its head is allowed; a short one comes along with the question.
        """
        early = None
        if _is_short(request) and not self.client.http.they_are_waiting_for_100_continue:
            async with asyncio.timeout(self._limits.silence_s):
                early = await read_body(self.client, _SHORT_BYTES)
        grant, leaving = await self._desk.admit(use.ask, early)
        if early is not None:
            return grant, early if leaving.body is None else leaving.body, leaving
        if not grant.scans:
            return grant, None, leaving
        async with self._uploads, asyncio.timeout(self._limits.silence_s):
            body = await read_body(self.client, grant.upload_bytes)
            if body is None:
                raise body_too_long(use.ask.host, grant.rule, grant.upload_bytes)
            leaving = await self._desk.submit(use.ask.use, body)
        return grant, body if leaving.body is None else leaving.body, leaving

    async def _exchange(self, trip: _Trip, use: _Use, grant: Grant) -> None:
        """Carries out one exchange on the kept upstream connection or on a new one."""
        where = (trip.destination, trip.tls)
        if use.upstream is not None and use.upstream_at != where:
            kept, use.upstream = use.upstream, None
            await kept.close()
        use.upstream_at = where
        while True:
            if use.upstream is None:
                use.upstream = await self._upstreams.connect(
                    trip.destination, grant.rule, use.meter, tls=trip.tls, ca_file=grant.ca_file
                )
            upstream = use.upstream
            try:
                await forward(self.client, upstream, trip.request, trip.body, trip.path)
            except StaleUpstreamError:
                use.upstream = None
                upstream.abort()
                if trip.request.method not in _REPEATABLE or trip.body is None:
                    raise upstream_failed("The upstream ended a kept connection.") from None
                continue
            except BaseException:
                upstream.abort()
                use.upstream = None
                raise
            if not upstream.keep():
                use.upstream = None
                await upstream.close()
            return

    def _reply_path(
        self, use: _Use, grant: Grant, request: h11.Request, notes: Headers
    ) -> ReplyPath:
        if not grant.scans or request.method == b"HEAD":
            return Passing()
        if grant.rewrites:
            return Rewritten(self._desk, use.ask.use, use.ask.host, notes)
        return Shown(self._desk, use.ask.use)

    # --- uses ---

    async def _begin_use(
        self,
        destination: Destination,
        kind: Kind,
        method: str = "",
        target: str = "",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> _Use:
        """Returns the use that a request belongs to, the one before it where nothing changed."""
        use = self._use
        where = (destination.host, destination.port, kind)
        if use is not None and (use.ask.host, use.ask.port, use.ask.kind) != where:
            await self._end_use(None)
            use = None
        number = use.ask.use if use is not None else next(_use_numbers)
        ask = Ask(number, destination.host, destination.port, kind, method, target, headers)
        if use is None:
            use = self._use = _Use(ask, Meter())
        else:
            use.ask = ask
        return use

    async def _end_use(self, refusal: Refusal | None) -> None:
        use, self._use = self._use, None
        if use is None:
            return
        if use.upstream is not None:
            await use.upstream.close()
        denied = refusal.rule or refusal.code if refusal and refusal.is_denial else None
        self._desk.close(use.ask, use.meter.bytes_out, use.meter.bytes_in, denied)

    async def _while_allowed(self, work: Coroutine[Any, Any, _T], use: _Use) -> _T:
        """Runs an exchange or tunnel until it ends, falls silent or is no longer allowed."""
        use.meter.last_active = time.monotonic()
        task = asyncio.create_task(work)
        watch = asyncio.create_task(self._until_ended(use))
        try:
            await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else watch.result()
        finally:
            task.cancel()
            watch.cancel()
            await asyncio.gather(task, watch, return_exceptions=True)

    async def _until_ended(self, use: _Use) -> NoReturn:
        meter = use.meter
        while True:
            await asyncio.sleep(self._limits.recheck_s)
            await self._desk.progress(use.ask, meter.bytes_out, meter.bytes_in)
            if time.monotonic() - meter.last_active > self._limits.silence_s:
                raise upstream_failed(f"{use.ask.host} fell silent.", status=504)


def _is_short(request: h11.Request) -> bool:
    if not has_body(request):
        return True
    length = next((v for n, v in request.headers if n == b"content-length"), b"")
    return length.isdigit() and int(length) <= _SHORT_BYTES


def _require_host(request: h11.Request, destination: Destination, *, default_port: int) -> None:
    header = next((value for name, value in request.headers if name == b"host"), None)
    text = None if header is None else header.decode("latin-1")
    require_same_host(text, destination, default_port=default_port)


def _headers(request: h11.Request) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name.decode("latin-1").lower(), value.decode("latin-1"))
        for name, value in end_to_end(request.headers.raw_items())
        if name.lower() not in {b"host", b"content-length", b"expect"}
    )


async def answer(client: Wire, refusal: Refusal) -> None:
    """Sends a refusal where HTTP still can carry it; otherwise breaks the connection."""
    if client.http.our_state is h11.SWITCHED_PROTOCOL:
        await client.close(linger=True)
        return
    if client.http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
        client.abort()
        return
    await client.send(
        h11.Response(
            status_code=refusal.status,
            headers=refusal.headers(),
            reason=b"Refused by Cloister" if refusal.is_denial else b"Not forwarded",
        )
    )
    # The answer to HEAD has no body.
    with contextlib.suppress(h11.LocalProtocolError):
        await client.send(h11.Data(data=refusal.body()))
    await client.send(h11.EndOfMessage())
    await client.close(linger=True)
