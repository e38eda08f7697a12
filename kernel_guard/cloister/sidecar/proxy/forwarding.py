"""Forwards one plain HTTP request and its response.

The request is rewritten from absolute form to origin form; what belongs to the connection between
kernel and proxy stays there (RFC 9110 section 7.6.1, ``Proxy-*``); the framing is made anew. An
upstream connection serves one client connection only, and is kept for its next request only when
request and response have both ended and nothing is left over.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

import h11

from cloister.sidecar.proxy.refusal import HEADER_PREFIX, malformed, upstream_failed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloister.sidecar.proxy.replies import ReplyPath
    from cloister.sidecar.proxy.target import Destination
    from cloister.sidecar.proxy.wire import Wire

Header = tuple[bytes, bytes]

_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    }
)
_IDENTIFIES: Final = re.compile(
    rb"auth|cookie|token|secret|signature|credential|key|organization|project|account"
)
"""What a header's name holds that says who calls, or proves it."""

_TRACE: Final = frozenset({b"traceparent", b"tracestate"})
"""Headers of W3C Trace Context."""

_FRAMING: Final = frozenset({b"content-length", b"host"})
"""Names that ``Connection`` may not take away: they decide where a message ends and goes."""


class TruncatedResponseError(Exception):
    """The upstream ended in the middle of a response whose head the client already has."""


class StaleUpstreamError(Exception):
    """A kept connection was ended by the upstream before it answered the request."""


def end_to_end(headers: Iterable[Header]) -> list[Header]:
    """Returns the headers that travel on, in their order and spelling.

    Args:
        headers: Names and values as received.
    """
    pairs = list(headers)
    named = {
        token.strip().lower()
        for name, value in pairs
        if name.lower() == b"connection"
        for token in value.split(b",")
    } - _FRAMING
    prefix = HEADER_PREFIX.lower().encode()
    return [
        (name, value)
        for name, value in pairs
        if not (
            (lower := name.lower()) in _HOP_BY_HOP
            or lower in named
            or lower.startswith((b"proxy-", prefix))
        )
    ]


def _has(headers: Iterable[Header], name: bytes) -> bool:
    return any(key == name for key, _ in headers)


def require_one_framing(request: h11.Request) -> None:
    """Refuses a request whose body could end in two places.

    h11 lets ``Transfer-Encoding`` win over ``Content-Length``, as RFC 9112 section 6.3 allows; the
    same section lets a proxy refuse, and nobody sends both by accident.

    Raises:
        Refusal: The request is ambiguous.
    """
    chunked = _has(request.headers, b"transfer-encoding")
    if chunked and _has(request.headers, b"content-length"):
        raise malformed("The request has both a Content-Length and a Transfer-Encoding.")
    if chunked and request.http_version < b"1.1":
        raise malformed("An HTTP/1.0 request cannot be chunked.")


def is_upgrade(request: h11.Request) -> bool:
    """Whether a request asks for a WebSocket; other upgrades are left out and HTTP goes on."""
    return any(
        name == b"upgrade" and b"websocket" in value.lower() for name, value in request.headers
    )


def rewrite_request(
    request: h11.Request,
    target: str,
    destination: Destination,
    *,
    default_port: int = 80,
    body: bytes | None = None,
    replaced: bool = False,
    identity: bool = False,
    anonymous: bool = False,
    traceparent: str | None = None,
) -> h11.Request:
    """Builds the request that the upstream gets.

    Args:
        request: What the kernel sent, already checked.
        target: Origin-form target.
        destination: Where it goes; becomes the only ``Host``.
        default_port: Port that a ``Host`` without port stands for.
        body: The whole body, where it has been read; ``None`` where it is streamed.
        replaced: Whether ``body`` is another one than the kernel sent, without encoding.
        identity: Whether the answer must come without encoding.
        anonymous: Whether the caller's credentials are left out: they are for somebody else.
        traceparent: The trace that the destination may know of; what the kernel says about traces
            stays here in any case, because ids that come back elsewhere join people's traces.
    """
    dropped = {b"host", b"expect", *_TRACE}
    if body is not None:
        dropped.add(b"content-length")
    if replaced:
        dropped |= {b"content-encoding", b"content-md5", b"digest", b"content-digest"}
    if identity:
        dropped.add(b"accept-encoding")
    kept = [
        (name, value)
        for name, value in end_to_end(request.headers.raw_items())
        if name.lower() not in dropped and not (anonymous and _IDENTIFIES.search(name.lower()))
    ]
    if body is None:
        if _has(request.headers, b"transfer-encoding"):
            kept.append((b"Transfer-Encoding", b"chunked"))
    elif body or has_body(request):
        kept.append((b"Content-Length", str(len(body)).encode()))
    if identity:
        kept.append((b"Accept-Encoding", b"identity"))
    if traceparent is not None:
        kept.append((b"Traceparent", traceparent.encode("ascii")))
    return h11.Request(
        method=request.method,
        target=target.encode("ascii"),
        headers=[
            (b"Host", destination.authority(default_port=default_port).encode("ascii")),
            *kept,
        ],
    )


def has_body(request: h11.Request) -> bool:
    """Whether a request says that a body follows, an empty one included."""
    return _has(request.headers, b"transfer-encoding") or _has(request.headers, b"content-length")


async def read_body(client: Wire, limit: int) -> bytes | None:
    """Reads a whole request body.

    Args:
        client: The kernel's side; its request head has been read.
        limit: The most bytes.

    Returns:
        The body, or ``None`` when it is longer than ``limit``.

    Raises:
        Refusal: It breaks the protocol.
    """
    if client.http.they_are_waiting_for_100_continue:
        await client.send(h11.InformationalResponse(status_code=100, headers=[]))
    pieces: list[bytes] = []
    size = 0
    while True:
        data = await _next_piece(client)
        if data is None:
            return b"".join(pieces)
        size += len(data)
        if size > limit:
            return None
        pieces.append(data)


async def _next_piece(client: Wire) -> bytes | None:
    """Returns the next piece of a request body, ``None`` at its end; trailers stay here."""
    try:
        event = await client.next_event()
    except h11.RemoteProtocolError as error:
        raise malformed("The request body breaks the HTTP protocol.") from error
    if isinstance(event, h11.Data):
        return bytes(event.data)
    if isinstance(event, h11.EndOfMessage):
        return None
    raise malformed("The request ended before its body did.")


async def forward(
    client: Wire, upstream: Wire, request: h11.Request, body: bytes | None, path: ReplyPath
) -> None:
    """Sends a request, streams its body where it was not read before, and carries the response.

    Args:
        client: The kernel's side; its request head has been read.
        upstream: A connection to the checked address, with nothing under way.
        request: What :func:`rewrite_request` made.
        body: The body, or ``None`` to stream it from the client.
        path: What the response passes.

    Raises:
        StaleUpstreamError: A kept connection ended before it answered anything.
        Refusal: Nothing of a response has been sent yet, and none will come.
        TruncatedResponseError: The response cannot be finished.
        OSError: The kernel's side broke.
    """
    try:
        await _to_upstream(upstream, request)
        if body is not None:
            if body:
                await _to_upstream(upstream, h11.Data(data=body))
            await _to_upstream(upstream, h11.EndOfMessage())
            await _download(client, upstream, path)
            return
        upload = asyncio.create_task(_upload(client, upstream))
        download = asyncio.create_task(_download(client, upstream, path))
        tasks = (upload, download)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if upload.done():
                upload.result()  # a body that breaks the protocol ends the exchange
                await download
            else:
                download.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        path.end()


async def _to_upstream(upstream: Wire, event: object) -> bool:
    """Sends and returns whether the upstream still listens; it may answer early and stop."""
    try:
        await upstream.send(event)
    except OSError:
        return False
    return True


async def _upload(client: Wire, upstream: Wire) -> None:
    if client.http.they_are_waiting_for_100_continue:
        await client.send(h11.InformationalResponse(status_code=100, headers=[]))
    listening = True
    while (data := await _next_piece(client)) is not None:
        listening = listening and await _to_upstream(upstream, h11.Data(data=data))
    if listening:
        await _to_upstream(upstream, h11.EndOfMessage())


async def _download(client: Wire, upstream: Wire, path: ReplyPath) -> None:
    head = await _response_head(upstream)
    headers = await path.begin(head.status_code, end_to_end(head.headers.raw_items()))
    await client.send(
        h11.Response(status_code=head.status_code, headers=headers, reason=head.reason)
    )
    is_over = False
    while not is_over:
        try:
            event = await upstream.next_pieces()
        except (h11.RemoteProtocolError, OSError) as error:
            raise TruncatedResponseError from error
        if not isinstance(event, (h11.Data, h11.EndOfMessage)):
            raise TruncatedResponseError
        data = bytes(event.data) if isinstance(event, h11.Data) else b""
        is_over = upstream.is_whole
        data = await (path.finish(data) if is_over else path.feed(data))
        if data:
            await client.send(h11.Data(data=data))
    await client.send(h11.EndOfMessage())


async def _response_head(upstream: Wire) -> h11.Response:
    try:
        head = await upstream.next_event()
        while isinstance(head, h11.InformationalResponse):
            head = await upstream.next_event()
    except (h11.RemoteProtocolError, OSError) as error:
        if upstream.is_kept and not upstream.has_unread_bytes:
            raise StaleUpstreamError from error
        raise upstream_failed("The upstream's answer is not HTTP/1.1.") from error
    if not isinstance(head, h11.Response):
        if upstream.is_kept:
            raise StaleUpstreamError
        raise upstream_failed("The upstream closed the connection without an answer.")
    if _has(head.headers, b"transfer-encoding") and _has(head.headers, b"content-length"):
        raise upstream_failed("The upstream's answer has two lengths.")
    return head
