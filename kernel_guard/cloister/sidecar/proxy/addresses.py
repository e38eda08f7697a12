"""Which addresses a kernel may reach, whatever name stands for them.

A host name in the policy says who may be reached, not where. The answer of a resolver is not
trusted: a name that resolves into the private network, to this machine or to a cloud's metadata
service is refused, and the connection goes to the very address that was checked, so that a second
look-up cannot answer differently (DNS rebinding).

Sources: the IANA special-purpose address registries (RFC 6890 and its updates), RFC 6052 (NAT64),
RFC 6598 (shared address space). The table is written out because the answers of
:mod:`ipaddress` differ between Python releases.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Resolver: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]

_SPECIAL_V4: Final = tuple(
    (ip_network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "cloud metadata"),
        ("169.254.0.0/16", "link-local or cloud metadata"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "reserved"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "private"),
        ("198.51.100.0/24", "reserved"),
        ("203.0.113.0/24", "reserved"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved or broadcast"),
    )
)

_GLOBAL_V6: Final = ip_network("2000::/3")
"""The only part of IPv6 from which public addresses are given out. All else is special:
loopback, unique local, link-local, multicast, IPv4-mapped and NAT64 among them."""

_SPECIAL_V6: Final = tuple(
    (ip_network(network), kind)
    for network, kind in (
        ("2001::/23", "reserved or tunnelled"),  # Teredo and ORCHID among them
        ("2001:db8::/32", "reserved"),
        ("2002::/16", "tunnelled"),  # 6to4 carries an IPv4 address of the author's choice
        ("3fff::/20", "reserved"),
    )
)


def special_kind(address: Address) -> str | None:
    """Says why an address is not a public host of the internet.

    Args:
        address: An address that a resolver returned or that a request named.

    Returns:
        A word for people, for instance ``private`` or ``loopback``; ``None`` for a public address.
    """
    if isinstance(address, IPv4Address):
        return next((kind for network, kind in _SPECIAL_V4 if address in network), None)
    if address.ipv4_mapped is not None:
        return "IPv4-mapped"
    if address not in _GLOBAL_V6:
        return "loopback, local, multicast or translated"
    return next((kind for network, kind in _SPECIAL_V6 if address in network), None)


def literal_address(host: str) -> Address | None:
    """Returns the address that ``host`` spells out, or ``None`` when it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


async def resolve_with_system(host: str, port: int) -> Sequence[str]:
    """Looks a name up with the resolver of the machine, outside the kernel's sandbox.

    Args:
        host: A name or an address literal.
        port: TCP port.

    Returns:
        Addresses in the order of preference, without duplicates.

    Raises:
        OSError: The name is not known or no resolver answers.
    """
    answers = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in answers))
