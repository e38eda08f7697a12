"""The answers of the egress proxy that are not the upstream's own.

A refusal carries the same words three times: for the client library (the status), for Cloister's
hooks in the kernel (``X-Cloister-*`` headers) and for a person with ``curl`` (the body).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from cloister.core.errors import EgressDenied

if TYPE_CHECKING:
    from cloister.core.decisions import Decision

HEADER_PREFIX: Final = "X-Cloister-"

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
        return self.status == 403

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
