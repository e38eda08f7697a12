"""Reads where a request wants to go, in one way only.

Proxies are fooled by addresses that two programs read differently, so this grammar is a small
part of RFC 9110 section 7.2 and RFC 3986: no user names, no escapes, no fragments, no zone ids, and
nothing that looks like a number but is not a plain dotted IPv4 address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from cloister.sidecar.proxy.addresses import literal_address
from cloister.sidecar.proxy.refusal import Refusal, denied_identity, malformed

_AUTHORITY: Final = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[A-Za-z0-9._-]{1,254}))(?::(?P<port>[0-9]{1,5}))?"
)
_ABSOLUTE: Final = re.compile(r"http://(?P<authority>[^/?#]*)(?P<rest>[^#]*)", re.IGNORECASE)
_NUMBER_LABEL: Final = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a request wants to go.

    Attributes:
        host: Lower-case name without its last dot, or an address in its canonical spelling.
        port: TCP port.
    """

    host: str
    port: int

    @property
    def is_name(self) -> bool:
        """Whether the host is a name that must be looked up."""
        return literal_address(self.host) is None

    def authority(self, *, default_port: int) -> str:
        """Returns the destination as a ``Host`` header spells it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == default_port else f"{host}:{self.port}"


def parse_authority(text: str, *, default_port: int | None) -> Destination:
    """Reads ``host`` or ``host:port``.

    Args:
        text: The text of an authority, without user information.
        default_port: Port when none is written; ``None`` when it must be written.

    Raises:
        Refusal: It can be read in no way, or in more than one.
    """
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise malformed("The destination is not a plain host and port.")
    written = match["port"]
    if written is None and default_port is None:
        raise malformed("The destination has no port.")
    port = int(written) if written is not None else default_port
    if port is None or not 1 <= port <= 65535:
        raise malformed("The destination's port is not between 1 and 65535.")
    return Destination(_canonical_host(match["v6"], match["name"]), port)


def _canonical_host(v6: str | None, name: str | None) -> str:
    if v6 is not None:
        address = literal_address(v6)
        if address is None or ":" not in v6:
            raise malformed("The destination is not an IPv6 address.")
        return str(address)
    host = (name or "").lower().removesuffix(".")
    labels = host.split(".")
    if _NUMBER_LABEL.fullmatch(labels[-1]):
        # 127.1, 0x7f000001 and 2130706433 are 127.0.0.1 to the C library.
        address = literal_address(host)
        if address is None:
            raise malformed("The destination is not a plain dotted IPv4 address.")
        return str(address)
    if not all(1 <= len(label) <= 63 for label in labels) or len(host) > 253:
        raise malformed("The destination is not a host name.")
    return host


def parse_absolute_form(target: str) -> tuple[Destination, str]:
    """Splits the target of a plain HTTP request to a proxy.

    Args:
        target: ``http://host[:port]/path?query``.

    Returns:
        The destination and the origin-form target, ``/path?query``.

    Raises:
        Refusal: The target is no absolute ``http`` URL.
    """
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise malformed("The request target is neither host:port of CONNECT nor an http:// URL.")
    if not target.isascii():
        raise malformed("The request target is not ASCII.")
    destination = parse_authority(match["authority"], default_port=80)
    rest = match["rest"]
    return destination, rest if rest.startswith("/") else f"/{rest}"


def parse_origin_form(target: str) -> str:
    """Checks the target of a request in a connection that was opened.

    Args:
        target: ``/path?query``; ``*`` is for servers, and no URL names it.

    Raises:
        Refusal: It is not in origin form.
    """
    if not target.startswith("/") or not target.isascii() or "#" in target:
        raise malformed("The request target in TLS is not a path.")
    return target


def require_same_host(header: str | None, destination: Destination, *, default_port: int) -> None:
    """Refuses a ``Host`` header that names another destination than the request target.

    Args:
        header: Value of the ``Host`` header; ``None`` when there is none (HTTP/1.0).
        destination: What the request target named.
        default_port: Port that a ``Host`` without port stands for.

    Raises:
        Refusal: The two differ (rule ``egress.host-mismatch``) or the header cannot be read.
    """
    if header is None:
        return
    try:
        named = parse_authority(header.strip(), default_port=default_port)
    except Refusal as error:
        raise malformed("The Host header is not a plain host and port.") from error
    if named != destination:
        raise denied_identity(
            f"The Host header does not name {destination.host} on port {destination.port}.",
            "egress.host-mismatch",
        )
