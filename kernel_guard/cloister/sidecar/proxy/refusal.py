"""The answers of the egress proxy that are not the upstream's own.

A refusal carries the same words three times: for the client library (the status), for Cloister's
hooks in the kernel (``X-Cloister-*`` headers) and for a person with ``curl`` (the body).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from cloister.core.errors import EgressDenied

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloister.core.decisions import Decision

HEADER_PREFIX: Final = "X-Cloister-"

_DENIALS: Final = frozenset({403, 413, 429, 451})
_READABLE: Final = " !'()*,/:;=@[]{}"
"""Left as they are in a header: printable, and none of them can end a header."""


class Refusal(EgressDenied):
    """A request that the proxy answers itself.

    Args:
        status: HTTP status code.
        message: What happened and why; holds the host at most, never a path, a query or a body.
        code: Stable code.
        rule: Rule that decided, or ``None``.
        remedy: The smallest change that would pass.
    """

    def __init__(
        self, status: int, message: str, *, code: str, rule: str | None = None, remedy: str = ""
    ) -> None:
        super().__init__(message, code=code, rule=rule, remedy=remedy)
        self.status = status

    @property
    def is_denial(self) -> bool:
        """Whether a rule said no, as opposed to a request or a network that failed."""
        return self.status in _DENIALS

    def headers(self) -> list[tuple[str, str]]:
        """Returns the response headers, body length included."""
        fields = (
            ("Code", self.code),
            ("Rule", self.rule or ""),
            ("Message", self.message),
            ("Remedy", self.remedy),
        )
        return [
            *((HEADER_PREFIX + name, quote(text.strip(), safe=_READABLE)) for name, text in fields),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(self.body()))),
            ("Connection", "close"),
        ]

    def body(self) -> bytes:
        """Returns the text for people."""
        return f"{self}\n".encode()


def denied_by_policy(decision: Decision) -> Refusal:
    """Turns a decision that does not allow into the answer that the kernel gets."""
    return Refusal(
        403,
        f"{decision.reason}.",
        code="CLO-EGRESS-001",
        rule=decision.rule,
        remedy=decision.remedy,
    )


def denied_address(host: str, kind: str) -> Refusal:
    """A host that stands for an address which no public name may reach."""
    return Refusal(
        403,
        f"{host} leads to a {kind} address, which a kernel may not reach under that name.",
        code="CLO-EGRESS-002",
        rule="egress.private-address",
        remedy="If this is meant, ask an admin to allow the address itself, not only its name.",
    )


def upstream_failed(what: str, rule: str | None = None, *, status: int = 502) -> Refusal:
    """An allowed destination that did not answer as it should."""
    return Refusal(
        status,
        what,
        code="CLO-EGRESS-003",
        rule=rule,
        remedy="The policy allows it; check that the host is up and try again.",
    )


def malformed(what: str, *, status: int = 400) -> Refusal:
    """A request that cannot be read in one way only."""
    return Refusal(
        status,
        what,
        code="CLO-EGRESS-008",
        remedy="Send HTTP/1.1: CONNECT host:port for TLS, or an absolute http:// URL.",
    )


def denied_identity(what: str, rule: str) -> Refusal:
    """A request that names one destination to the proxy and another one to the upstream."""
    return Refusal(
        403,
        what,
        code="CLO-EGRESS-005",
        rule=rule,
        remedy="Use the same host name in the URL, in the Host header and in TLS.",
    )


def proxy_busy() -> Refusal:
    """More connections at once than one kernel may hold."""
    return Refusal(
        503,
        "This kernel holds as many connections as one kernel may.",
        code="CLO-EGRESS-006",
        remedy="Close connections that are not in use, or use a connection pool.",
    )


def found_values(host: str, rule: str, found: Mapping[str, int], where: str) -> Refusal:
    """A request in which sensitive values were found; says their types and never a value.

    Args:
        host: Destination.
        rule: The rule that allows the destination.
        found: Entity types with counts.
        where: ``its body`` or ``its address or headers``.
    """
    kinds = ", ".join(f"{kind} ({found[kind]})" for kind in sorted(found))
    return Refusal(
        451,
        f"The request to {host} holds sensitive values in {where}: {kinds}. It was not sent.",
        code="CLO-EGRESS-009",
        rule=f"{rule}.found",
        remedy="Send tokens, cloister.tokenize(...), or leave these values out.",
    )


def unreadable_body(host: str, rule: str, what: str) -> Refusal:
    """A body that nobody can check."""
    return Refusal(
        451,
        f"The body of the request to {host} {what}. It was not sent.",
        code="CLO-EGRESS-010",
        rule=f"{rule}.found",
        remedy="Send text, JSON, CSV, Parquet or Arrow, plain or with gzip, deflate, br or zstd.",
    )


def body_too_long(host: str, rule: str, limit: int) -> Refusal:
    """A body that is longer than what may be scanned."""
    return Refusal(
        413,
        f"The body of the request to {host} is longer than {limit} bytes. It was not sent.",
        code="CLO-EGRESS-010",
        rule="egress.upload_bytes",
        remedy=f"Send it in parts, or ask an admin to raise egress.upload_bytes ({rule}).",
    )


def check_too_long(host: str, seconds: float) -> Refusal:
    """A body whose check took longer than it may; what was not checked does not leave."""
    return Refusal(
        413,
        f"The check of the request to {host} took longer than {seconds:g} s. It was not sent.",
        code="CLO-EGRESS-016",
        rule="egress.time_limit_s",
        remedy="Send it in parts, or ask an admin to raise egress.time_limit_s.",
    )


def quota_spent(host: str, rule: str, until: str) -> Refusal:
    """A destination of which this user has had enough for now.

    Args:
        host: Destination.
        rule: The rule that has the quota.
        until: When the window ends, for people.
    """
    return Refusal(
        429,
        f"The quota for {host} is used up until {until}.",
        code="CLO-EGRESS-011",
        rule=f"{rule}.quota",
        remedy="Wait, or ask an admin to raise the quota in the policy.",
    )


def volume_spent(code: str, what: str, rule: str, remedy: str) -> Refusal:
    """More of a dataset than its user may see or send in a day, or than can be counted.

    Args:
        code: Stable.
        what: What it is, for people.
        rule: The limit.
        remedy: What to do.
    """
    return Refusal(429, what, code=code, rule=rule, remedy=remedy)


def denied_upgrade(host: str) -> Refusal:
    """A WebSocket: its messages would pass unscanned."""
    return Refusal(
        403,
        f"A WebSocket to {host} is not carried: what it says cannot be scanned.",
        code="CLO-EGRESS-012",
        rule="egress.upgrade",
        remedy="Use HTTP requests, or ask an admin for a rule with inspect: false for this host.",
    )


def untrusted_upstream(host: str, rule: str | None, why: str) -> Refusal:
    """An upstream that cannot prove who it is."""
    return Refusal(
        502,
        f"The certificate of {host} is not trusted: {why}.",
        code="CLO-EGRESS-013",
        rule=rule,
        remedy="Renew it, or ask an admin to name its authority in egress.ca_file of the policy.",
    )


def filter_failed(host: str, rule: str) -> Refusal:
    """A check that could not be made; what was not checked does not leave."""
    return Refusal(
        503,
        f"The request to {host} could not be checked, so it was not sent.",
        code="CLO-EGRESS-014",
        rule=rule,
        remedy="Try again; if it happens again, run cloister doctor and report it.",
    )
