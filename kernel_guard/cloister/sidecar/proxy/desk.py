"""What the proxy asks, and what it is told.

The proxy process decides nothing about policy. It asks at a :class:`Desk`, which stands in the
sidecar: a :class:`~cloister.sidecar.proxy.decider.Decider` behind the private link
(:mod:`.link`), or in a test the same object in the same process.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from cloister.sidecar.proxy.filters import Headers, Leaving, Reply

Kind: TypeAlias = Literal["connect", "http", "https"]
"""A tunnel that stays closed, a plain request, or a request in TLS that the proxy opened."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, or a tunnel that begins.

    Attributes:
        use: Number of the use. One client connection to one destination is one use, whatever the
            number of its requests.
        host: Lower-case name or canonical address.
        port: TCP port.
        kind: How the kernel goes there.
        method: HTTP method; empty for a tunnel.
        target: Path and query; empty for a tunnel.
        headers: End-to-end headers, names in lower case; none for a tunnel.
    """

    use: int
    host: str
    port: int
    kind: Kind
    method: str = ""
    target: str = ""
    headers: Headers = ()

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields for the link."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Ask:
        """Reads what :meth:`as_dict` wrote."""
        return cls(**{**fields, "headers": tuple((n, v) for n, v in fields["headers"])})


@dataclass(frozen=True, slots=True)
class Grant:
    """Permission for one request or tunnel.

    Attributes:
        rule: The rule that allows it.
        inspect: Whether TLS is to be opened.
        scans: Whether the body is to be submitted before a byte of it leaves.
        rewrites: Whether the response passes a filter.
        upload_bytes: The most bytes of a body that is submitted.
        ca_file: More certificates that upstreams may be verified with, or ``None``.
        traceparent: The trace that the request belongs to, where the rule lets it be told.
    """

    rule: str
    inspect: bool
    scans: bool
    rewrites: bool = False
    upload_bytes: int = 33_554_432
    ca_file: str | None = None
    traceparent: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields for the link."""
        return asdict(self)


class Desk(Protocol):
    """Where the proxy asks. Every method but the last two raises ``Refusal`` for a no."""

    async def look(self, ask: Ask) -> Grant:
        """Decides without any effect: how to begin, and whether a use may go on."""
        ...

    async def admit(self, ask: Ask, body: bytes | None = None) -> tuple[Grant, Leaving]:
        """Decides, scans the head, charges the quota and makes the use durable in the record.

        A body that is here already is submitted with it: one question in place of two.

        Returns:
            The permission, and what leaves, as far as the body is here.
        """
        ...

    async def submit(self, use: int, body: bytes) -> Leaving:
        """Shows a whole request body; returns what leaves in its place."""
        ...

    async def reply(self, use: int, reply: Reply) -> None:
        """Shows the head of a response that passes a filter."""
        ...

    async def feed(self, use: int, data: bytes) -> bytes:
        """Passes a piece of a response through the filter."""
        ...

    async def finish(self, use: int, data: bytes) -> bytes:
        """Ends a response with its last piece, possibly nothing."""
        ...

    async def may_reach(self, address: str, port: int) -> bool:
        """Whether a rule names a special address itself."""
        ...

    async def progress(self, ask: Ask, bytes_out: int, bytes_in: int) -> None:
        """Reports what an open use has moved; refuses when it may not go on."""
        ...

    def inbound(self, use: int, reply: Reply, data: bytes) -> None:
        """Shows the beginning of a response body that the kernel got."""
        ...

    def close(self, ask: Ask, bytes_out: int, bytes_in: int, denied_by: str | None) -> None:
        """Ends a use; ``denied_by`` names the rule that ended it or kept it from beginning."""
        ...
