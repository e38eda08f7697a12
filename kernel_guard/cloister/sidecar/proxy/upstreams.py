"""Connections to destinations: looked up here, checked, connected to, verified."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Final

import h11

from cloister.sidecar.proxy.addresses import literal_address, special_kind
from cloister.sidecar.proxy.refusal import denied_address, untrusted_upstream, upstream_failed
from cloister.sidecar.proxy.trust import upstream_context
from cloister.sidecar.proxy.wire import Limits, Meter, PlainStream, Wire

if TYPE_CHECKING:
    from cloister.sidecar.proxy.addresses import Address, Resolver
    from cloister.sidecar.proxy.desk import Desk
    from cloister.sidecar.proxy.target import Destination

_ADDRESSES_TRIED: Final = 4
_REASONS: Final = {
    10: "it has expired",
    9: "it is not valid yet",
    18: "it is signed by itself",
    19: "its authority is not known here",
    20: "its authority is not known here",
    21: "its authority is not known here",
    62: "it is for another name",
    64: "it is for another address",
}
"""OpenSSL's ``X509_V_ERR_*`` codes, in words."""


class Upstreams:
    """Makes connections for one kernel.

    Args:
        desk: Says which special addresses a rule names itself.
        resolve: Looks names up.
        limits: How long that may take.
    """

    def __init__(self, desk: Desk, resolve: Resolver, limits: Limits) -> None:
        self._desk = desk
        self._resolve = resolve
        self._limits = limits
        self._contexts: dict[str | None, ssl.SSLContext] = {}

    async def connect(
        self, destination: Destination, rule: str, meter: Meter, *, tls: bool, ca_file: str | None
    ) -> Wire:
        """Connects to the first checked address that answers.

        Args:
            destination: Where to; the policy has allowed it.
            rule: The rule that did.
            meter: Counts what moves.
            tls: Whether to speak TLS and to verify who answers.
            ca_file: More certificates to verify with.

        Raises:
            Refusal: It cannot be reached, may not be reached, or cannot prove who it is.
        """
        context = self._context(destination, rule, ca_file) if tls else None
        tried = (await self._checked_addresses(destination, rule))[:_ADDRESSES_TRIED]
        share_s = self._limits.connect_s / len(tried)  # one dead address leaves time for the next
        for address in tried:
            try:
                async with asyncio.timeout(share_s):
                    reader, writer = await asyncio.open_connection(
                        str(address),
                        destination.port,
                        ssl=context,
                        server_hostname=destination.host if context else None,
                    )
            except ssl.SSLCertVerificationError as error:
                why = _REASONS.get(error.verify_code, "it does not hold")
                raise untrusted_upstream(destination.host, rule, why) from None
            except OSError:  # TimeoutError is one
                continue
            head_bytes = self._limits.head_bytes
            return Wire(h11.CLIENT, PlainStream(reader, writer), head_bytes=head_bytes, meter=meter)
        raise upstream_failed(
            f"No connection to {destination.host} on port {destination.port}.", rule
        )

    def _context(self, destination: Destination, rule: str, ca_file: str | None) -> ssl.SSLContext:
        context = self._contexts.get(ca_file)
        if context is None:
            try:
                context = self._contexts[ca_file] = upstream_context(ca_file)
            except OSError:
                why = "the policy's egress.ca_file cannot be read"
                raise untrusted_upstream(destination.host, rule, why) from None
        return context

    async def _checked_addresses(self, destination: Destination, rule: str) -> list[Address]:
        """Resolves a destination and refuses it when any of its addresses may not be reached."""
        literal = literal_address(destination.host)
        if literal is not None:
            found = [literal]
        else:
            answers: list[str] = []
            with contextlib.suppress(OSError, UnicodeError):  # TimeoutError is an OSError
                async with asyncio.timeout(self._limits.resolve_s):
                    answers = list(await self._resolve(destination.host, destination.port))
            found = [address for answer in answers if (address := literal_address(answer))]
        if not found:
            raise upstream_failed(f"The name {destination.host} could not be resolved.", rule)
        for address in found:
            kind = special_kind(address)
            if kind is not None and not await self._is_named(address, destination):
                raise denied_address(destination.host, kind)
        return found

    async def _is_named(self, address: Address, destination: Destination) -> bool:
        if destination.host == "localhost" and address.is_loopback:
            return True
        return await self._desk.may_reach(str(address), destination.port)
