"""Forwards one plain HTTP request and its response.

The request is rewritten from absolute form to origin form; what belongs to the connection between
kernel and proxy stays there (RFC 9110 section 7.6.1, ``Proxy-*``); the framing is made anew. Each
request gets its own upstream connection, which ends with it: no response can be left over for the
request after it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import h11

from cloister.sidecar.egress_refusal import HEADER_PREFIX, malformed, upstream_failed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloister.sidecar.egress_target import Destination
    from cloister.sidecar.egress_wire import Wire

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
_FRAMING: Final = frozenset({b"content-length", b"host"})
"""Names that ``Connection`` may not take away: they decide where a message ends and goes."""


class TruncatedResponseError(Exception):
    """The upstream ended in the middle of a response whose head the client already has."""


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


def rewrite_request(request: h11.Request, target: str, destination: Destination) -> h11.Request:
    """Builds the request that the upstream gets.

    Args:
        request: What the kernel sent, already checked.
        target: Origin-form target.
        destination: Where it goes; becomes the only ``Host``.
    """
    kept = [
        (name, value)
        for name, value in end_to_end(request.headers.raw_items())
        if name.lower() not in {b"host", b"expect"}
    ]
    if _has(request.headers, b"transfer-encoding"):
        kept.append((b"Transfer-Encoding", b"chunked"))
    return h11.Request(
        method=request.method,
        target=target.encode("ascii"),
        headers=[
            (b"Host", destination.authority(default_port=80).encode("ascii")),
            *kept,
            (b"Connection", b"close"),
        ],
    )


async def forward(client: Wire, upstream: Wire, request: h11.Request) -> bool:
    """Sends a request, streams both bodies and waits for both to end.

    Args:
        client: The kernel's side; its request head has been read.
        upstream: A fresh connection to the checked address.
        request: What :func:`rewrite_request` made.

    Returns:
        Whether the client's connection can take another request.

    Raises:
        Refusal: Nothing of a response has been sent yet, and none will come.
        TruncatedResponseError: The response cannot be finished.
        OSError: The kernel's side broke.
    """
    await _to_upstream(upstream, request)
    upload = asyncio.create_task(_upload(client, upstream))
    download = asyncio.create_task(_download(client, upstream))
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
    return client.http.our_state is h11.DONE and client.http.their_state is h11.DONE


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
    while True:
        try:
            event = await client.next_event()
        except h11.RemoteProtocolError as error:
            raise malformed("The request body breaks the HTTP protocol.") from error
        if isinstance(event, h11.Data):
            listening = listening and await _to_upstream(upstream, h11.Data(data=event.data))
        elif isinstance(event, h11.EndOfMessage):
            if listening:  # trailers stay here: they would be headers that nobody checked
                await _to_upstream(upstream, h11.EndOfMessage())
            return
        else:
            raise malformed("The request ended before its body did.")


async def _download(client: Wire, upstream: Wire) -> None:
    try:
        head = await upstream.next_event()
        while isinstance(head, h11.InformationalResponse):
            head = await upstream.next_event()
    except (h11.RemoteProtocolError, OSError) as error:
        raise upstream_failed("The upstream's answer is not HTTP/1.1.") from error
    if not isinstance(head, h11.Response):
        raise upstream_failed("The upstream closed the connection without an answer.")
    if _has(head.headers, b"transfer-encoding") and _has(head.headers, b"content-length"):
        raise upstream_failed("The upstream's answer has two lengths.")
    response = h11.Response(
        status_code=head.status_code,
        headers=end_to_end(head.headers.raw_items()),
        reason=head.reason,
    )
    await client.send(response)
    while True:
        try:
            event = await upstream.next_event()
        except (h11.RemoteProtocolError, OSError) as error:
            raise TruncatedResponseError from error
        if isinstance(event, h11.Data):
            await client.send(h11.Data(data=event.data))
        elif isinstance(event, h11.EndOfMessage):
            await client.send(h11.EndOfMessage())
            return
        else:
            raise TruncatedResponseError
