"""Carries the bytes of an allowed CONNECT, after a look at where TLS says they go."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from cloister.sidecar.proxy.hello import (
    ACCESS_DENIED_ALERT,
    ClientHello,
    IncompleteHelloError,
    MalformedHelloError,
    read_client_hello,
)
from cloister.sidecar.proxy.refusal import Refusal, denied_identity

if TYPE_CHECKING:
    from cloister.sidecar.proxy.target import Destination
    from cloister.sidecar.proxy.wire import Limits, Wire

_TLS_PORT: Final = 443


def check_first_bytes(data: bytes, destination: Destination, *, opened: bool = False) -> None:
    """Decides whether a tunnel may begin with ``data``.

    Args:
        data: Everything that the client has sent so far.
        destination: What CONNECT named.
        opened: Whether nothing but TLS will do.

    Raises:
        IncompleteHelloError: More bytes are needed to decide.
        Refusal: TLS names another host, hides its name, or is missing where it must be.
    """
    try:
        hello = read_client_hello(data)
    except MalformedHelloError:
        raise denied_identity(
            f"The TLS greeting to {destination.host} cannot be read.", "egress.tls-name"
        ) from None
    if hello is None:
        require_tls(destination, opened=opened)
    else:
        _require_same_name(hello, destination)


def require_tls(destination: Destination, *, opened: bool = False) -> None:
    """Refuses to speak anything but TLS to a named host on port 443, or where it is opened."""
    if opened or (destination.is_name and destination.port == _TLS_PORT):
        raise denied_identity(
            f"The connection to {destination.host} on port {destination.port} does not speak TLS.",
            "egress.tls-required",
        )


def _require_same_name(hello: ClientHello, destination: Destination) -> None:
    if hello.has_hidden_name:
        raise denied_identity(
            f"The TLS greeting to {destination.host} hides the name of its host.",
            "egress.tls-name",
        )
    # A client that connects to an address shows no name (RFC 6066 forbids addresses there).
    expected = {destination.host} if destination.is_name else {destination.host, None}
    if hello.server_name not in expected:
        raise denied_identity(
            f"The TLS greeting does not name {destination.host}.", "egress.tls-name"
        )


async def tunnel(client: Wire, upstream: Wire, destination: Destination, limits: Limits) -> None:
    """Pumps bytes both ways until both sides have ended.

    Args:
        client: The kernel's side, already told that the tunnel is open.
        upstream: A connection to the checked address.
        destination: What CONNECT named.
        limits: Time for the greeting.

    Raises:
        Refusal: The first bytes go elsewhere; a TLS client has been sent an alert.
        OSError: One side broke.
    """
    tasks = (
        asyncio.create_task(_pump_up(client, upstream, destination, limits)),
        asyncio.create_task(_pump(upstream, client)),
    )
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    except Refusal as refusal:
        if refusal.rule == "egress.tls-name":
            with contextlib.suppress(OSError):
                await client.write(ACCESS_DENIED_ALERT)
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump_up(client: Wire, upstream: Wire, destination: Destination, limits: Limits) -> None:
    first = await read_first_bytes(client, destination, limits)
    if first:
        await upstream.write(first)
    await _pump(client, upstream)


async def read_first_bytes(
    client: Wire, destination: Destination, limits: Limits, *, opened: bool = False
) -> bytes:
    """Reads until the first bytes can be judged, and judges them.

    On ports other than 443 the client of a tunnel may stay silent as long as it likes: in some
    protocols the server speaks first.

    Args:
        client: The kernel's side.
        destination: What CONNECT named.
        limits: Time for the greeting.
        opened: Whether the proxy is to open the connection: then it has to be TLS.

    Raises:
        Refusal: They go elsewhere, or are no TLS where it must be.
    """
    data = bytes(client.http.trailing_data[0])
    must_greet = opened or (destination.is_name and destination.port == _TLS_PORT)
    try:
        async with asyncio.timeout(limits.hello_s if must_greet or data else None) as deadline:
            while True:
                with contextlib.suppress(IncompleteHelloError):
                    check_first_bytes(data, destination, opened=opened)
                    return data
                more = await client.read()
                if not more:
                    break
                if deadline.when() is None:
                    deadline.reschedule(asyncio.get_running_loop().time() + limits.hello_s)
                data += more
    except TimeoutError:
        require_tls(destination, opened=opened)
    if data:  # a greeting that never ends is not passed on
        raise denied_identity(
            f"The TLS greeting to {destination.host} is not complete.", "egress.tls-name"
        )
    return b""


async def _pump(source: Wire, sink: Wire) -> None:
    while data := await source.read():
        await sink.write(data)
    sink.stream.end()
