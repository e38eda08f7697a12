"""The seam between the proxy and whatever looks at bodies.

A filter sees one exchange: the request as a whole, before a byte of it leaves, and the response as
it comes in. It runs in the sidecar, where the policy, the exact-match index and the tokens are, in
a thread of its own; the proxy process waits for it. A filter that raises anything but a
:class:`~cloister.sidecar.proxy.refusal.Refusal` refuses the exchange.

One filter is made for each exchange (:class:`FilterFactory`), so what it keeps between request and
response it may keep in itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from cloister.core.egressrules import EgressRule
    from cloister.core.labels import Level

Headers: TypeAlias = tuple[tuple[str, str], ...]
"""Names in lower case and values, in the order received; a name may stand more than once."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The head of a response.

    Attributes:
        status: HTTP status.
        headers: End-to-end headers.
    """

    status: int
    headers: Headers


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and, once it has come, the head of its response.

    Attributes:
        id: Unique within the kernel.
        host: Lower-case name or canonical address; checked against policy, TLS and ``Host``.
        port: TCP port.
        method: HTTP method.
        path: Path and query as they stand in the request target.
        headers: End-to-end request headers, ``host`` and framing left out.
        rule: The rule that allows it.
        level: The highest level that the kernel carried when it asked.
        reply: ``None`` until the response has begun.
    """

    id: int
    host: str
    port: int
    method: str
    path: str
    headers: Headers
    rule: EgressRule
    level: Level
    reply: Reply | None = None

    def header(self, name: str) -> str:
        """Returns the request header called ``name`` (lower case), ``""`` when there is none."""
        return _header(self.headers, name)

    def reply_header(self, name: str) -> str:
        """Returns the response header called ``name`` (lower case), ``""`` when there is none."""
        return "" if self.reply is None else _header(self.reply.headers, name)


def _header(headers: Headers, name: str) -> str:
    return next((value for key, value in headers if key == name), "")


@dataclass(frozen=True, slots=True)
class Onward:
    """Where a request goes in place of the host that it named, without the caller's credentials.

    Attributes:
        host: Lower-case name or canonical address.
        port: TCP port.
        tls: Whether TLS is spoken there.
    """

    host: str
    port: int
    tls: bool


@dataclass(frozen=True, slots=True)
class Leaving:
    """What a filter makes of a request.

    Attributes:
        body: The body that leaves; in a filter the identical object, and ``None`` for the proxy,
            when nothing is to be changed.
        onward: Where it goes; ``None`` for where it was meant to.
        notes: Said to the kernel in headers of the answer, ``X-Cloister-`` and the name.
    """

    body: bytes | None
    onward: Onward | None = None
    notes: Headers = ()


class StreamFilter(Protocol):
    """Rewrites a body that comes in pieces."""

    def feed(self, data: bytes) -> bytes:
        """Takes the next piece, decoded, and returns what may go on now, possibly nothing."""
        ...

    def finish(self) -> bytes:
        """Returns what was held back; called once, at the end of a body that ended in order."""
        ...

    def abandon(self) -> None:
        """Called in place of :meth:`finish` when the body broke off."""
        ...


class BodyFilter(Protocol):
    """Looks at the bodies of one exchange.

    Content-Encoding is undone before a filter sees a body, and a body that it changed is sent
    without one. Framing (``Content-Length``, chunks) is the proxy's concern.
    """

    def request(self, exchange: Exchange, body: bytes) -> Leaving:
        """Returns what leaves; called for every request, the body may be empty.

        Raises:
            Refusal: The request does not leave; the kernel gets this answer.
        """
        ...

    def response(self, exchange: Exchange) -> StreamFilter:
        """Returns what rewrites the response; ``exchange.reply`` holds its head.

        Raises:
            Refusal: The response does not come in.
        """
        ...


class FilterFactory(Protocol):
    """Makes the filters for calls to providers."""

    def __call__(
        self, exchange: Exchange, on_found: Callable[[Counter[str]], None]
    ) -> BodyFilter | None:
        """Returns a new filter for one exchange, ``None`` where its host is no provider's.

        Args:
            exchange: The request, without its body.
            on_found: To be told the entity types that are found, with counts.

        Raises:
            Refusal: The request does not leave, whatever its body.
        """
        ...
