"""A use of the way out, from its begin to its end: what it has moved, found and filtered."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cloister.core.egressrules import EgressRule, Found
from cloister.sidecar.proxy.events import EgressEvent

if TYPE_CHECKING:
    from typing import Literal

    from cloister.sidecar.proxy.desk import Ask
    from cloister.sidecar.proxy.filters import BodyFilter, Exchange, StreamFilter

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Use:
    """One connection of the kernel to one destination.

    Attributes:
        ask: What was asked last; where it was sent on to another host, with that host.
        rule: The rule that allows it.
        scope: What it belongs to, for instance an execution.
        would_block: Whether it is allowed only because the policy observes.
        requests: Requests so far.
        bytes_out: Bytes to the upstream.
        bytes_in: Bytes from the upstream.
        spent: Bytes that count for the volume of the day.
        found: Entity types that were found in what was sent.
        received: Entity types that were found in what came in.
        exchange: The request under way.
        body_filter: What its body passes.
        stream: What its response passes.
    """

    ask: Ask
    rule: EgressRule
    scope: object
    would_block: bool
    requests: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    spent: int = 0
    found: Counter[str] = field(default_factory=Counter)
    received: Counter[str] = field(default_factory=Counter)
    exchange: Exchange | None = None
    body_filter: BodyFilter | None = None
    stream: StreamFilter | None = None

    def abandon(self) -> None:
        """Ends a response that was not carried to its end."""
        stream, self.stream = self.stream, None
        if stream is None:
            return
        try:
            stream.abandon()
        except Exception as error:  # noqa: BLE001 - it is over; the store reports itself
            _LOG.error("an answer that broke off was not recorded: %s", type(error).__name__)

    def event(self, phase: Literal["opened", "closed"], denied_by: str | None) -> EgressEvent:
        """Returns what the record learns of it."""
        return EgressEvent(
            self.ask.host,
            self.ask.port,
            self.ask.kind,
            "allow" if denied_by is None else "deny",
            denied_by or self.rule.id,
            self.bytes_out,
            self.bytes_in,
            phase,
            requests=self.requests,
            found=tuple(sorted(self.found.items())),
            received=tuple(sorted(self.received.items())),
            would_block=self.would_block,
        )


def unlisted(ask: Ask, rule_id: str) -> EgressRule:
    """The rule for a destination that only observing lets pass: opened, scanned, never stopped."""
    return EgressRule(rule_id, ask.host, (ask.port,), found=Found.ALLOW)
