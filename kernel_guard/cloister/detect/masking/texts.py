"""Masks of text that keep its coarse part: a postcode's area, a mail's domain, a network.

Each returns ``None`` for what it cannot read. None of the results has the form of a whole value, so
neither a person nor the gate takes one for it.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from typing import Final

_ELLIPSIS: Final = "…"
_HIDDEN_LEAST: Final = 2
# Ends in letters, as every public domain does: what only has digits is not one.
_HOST = re.compile(
    r"(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,63}|(?:[\w-]{1,63}\.){1,8}xn--[a-z0-9-]{1,59}"
)
_NETWORK_4 = re.compile(r"((?:\d{1,3}\.){1,3})x(?:\.x){0,2}")
_NETWORK_6 = re.compile(r"((?:[0-9a-f]{1,4}:){1,3})x")


def prefix(text: str, length: int) -> str | None:
    """Returns the first characters and an ellipsis: ``941…``."""
    text = text.strip()
    if text.endswith(_ELLIPSIS):
        return text if len(text) <= length + 1 else None
    return text[:length] + _ELLIPSIS if len(text) >= length + _HIDDEN_LEAST else None


def domain(text: str) -> str | None:
    """Returns what stands after the ``@`` of a mail address, with the ``@``."""
    name, at, host = text.strip().rpartition("@")
    if not at or "@" in name or not _HOST.fullmatch(host):
        return None
    return f"@{host.casefold()}"


def network(text: str, bits: int) -> str | None:
    """Returns the network of an IP address: ``203.0.113.x``, ``2001:db8:1:x``.

    Args:
        text: An address, version 4 or 6.
        bits: 8, 16 or 24 of version 4; twice as many of version 6.
    """
    text = text.strip().casefold()
    parts = bits // 8
    for pattern, separator in ((_NETWORK_4, "."), (_NETWORK_6, ":")):
        if known := pattern.fullmatch(text):
            return text if known[1].count(separator) <= parts else None
    try:
        address: IPv4Address | IPv6Address | None = ip_address(text)
    except (AddressValueError, ValueError):
        return None
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            groups = address.exploded.partition("%")[0].split(":")[:parts]
            return ":".join([*(f"{int(group, 16):x}" for group in groups), "x"])
        address = address.ipv4_mapped
    octets = str(address).split(".")
    return ".".join([*octets[:parts], *["x"] * (4 - parts)])
