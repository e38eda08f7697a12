"""What the record learns of the way out. No path, query, header or body is part of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cloister.sidecar.proxy.desk import Kind


@dataclass(frozen=True, slots=True)
class EgressEvent:
    """One use of the way out, for the record.

    An allowed use gives two events: ``opened`` before a byte leaves, ``closed`` with the totals. A
    denied one gives a ``closed`` event alone.

    Attributes:
        host: Lower-case name or canonical address that the request named. It was chosen by code in
            the kernel, so it can carry data; a record treats it as such.
        port: TCP port.
        method_kind: ``connect`` for a tunnel that stays closed, ``http`` or ``https`` for requests.
        decision: ``allow`` or ``deny``.
        rule: The rule that decided, for instance ``egress.allow[0]`` or ``egress.default``.
        bytes_out: Bytes to the upstream.
        bytes_in: Bytes from the upstream.
        phase: ``opened`` or ``closed``.
        requests: Requests so far.
        found: Entity types that were found in what was sent, with counts.
        received: Entity types that were found in what came in, with counts.
        would_block: Whether it was allowed only because the policy observes.
    """

    host: str
    port: int
    method_kind: Kind
    decision: Literal["allow", "deny"]
    rule: str
    bytes_out: int = 0
    bytes_in: int = 0
    phase: Literal["opened", "closed"] = "closed"
    requests: int = 0
    found: tuple[tuple[str, int], ...] = ()
    received: tuple[tuple[str, int], ...] = ()
    would_block: bool = False
