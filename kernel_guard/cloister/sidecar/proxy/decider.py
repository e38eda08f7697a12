"""The sidecar's side of the desk: decides, counts, records and filters.

In this order, for every request: the policy of this moment, with the level that the kernel carries
now; the head's values; the quota; the record. What cannot be decided, counted or recorded does not
leave. Calls for different uses may come from several threads, calls for one use come one by one.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from cloister.core.decisions import Effect, decide_use, match_use
from cloister.core.egressrules import EgressRule, EgressUse, Found
from cloister.core.errors import CloisterError
from cloister.core.labels import Level
from cloister.core.modes import Mode
from cloister.sidecar.proxy.desk import Ask, Grant
from cloister.sidecar.proxy.encodings import UnreadableError, decode
from cloister.sidecar.proxy.events import EgressEvent
from cloister.sidecar.proxy.filters import Exchange
from cloister.sidecar.proxy.payloads import as_text
from cloister.sidecar.proxy.refusal import (
    Refusal,
    body_too_long,
    denied_by_policy,
    filter_failed,
    found_values,
    quota_spent,
    unreadable_body,
    volume_spent,
)
from cloister.sidecar.proxy.valuefilter import ValueFilter

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from cloister.core.decisions import EgressAnswer
    from cloister.core.policy import Policy
    from cloister.sidecar.outgoing.withheld import Reason
    from cloister.sidecar.proxy.filters import BodyFilter, FilterFactory, Reply, StreamFilter
    from cloister.sidecar.textguard import TextGuard
    from cloister.store.quota import QuotaBook

_LOG = logging.getLogger(__name__)
_INBOUND_BYTES: Final = 1_048_576


def _no_filter(rule: EgressRule) -> BodyFilter | None:
    del rule
    return None


@dataclass(slots=True)
class _Open:
    """A use that has begun: one connection of the kernel to one destination."""

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


@dataclass(frozen=True, slots=True)
class Kernel:
    """What is known about the kernel whose way out this is.

    Attributes:
        user: Whose it is; quotas count by user.
        level: Returns the highest level that it carries now.
        purposes: What it is for.
        scope: Returns what a use belongs to, for instance the running execution; a kept connection
            is recorded again for each.
        spend: Counts bytes that are about to leave for the volume of the day; returns why they
            may not.
    """

    user: str
    level: Callable[[], Level] = lambda: Level.PUBLIC
    purposes: frozenset[str] = frozenset()
    scope: Callable[[], object] = lambda: None
    spend: Callable[[int], Reason | None] = lambda _size: None


class Decider:
    """Answers the proxy of one kernel.

    Args:
        policy: Returns the policy in force or raises ``CloisterError``.
        record: Takes every event. When it raises for an ``opened`` event, nothing leaves.
        guard: Finds sensitive values.
        kernel: Whose way out it is.
        quotas: Counts; ``None`` refuses destinations that have a quota.
        filters: Makes the filter of rules that name a provider.
        on_inbound: Told the level and the types of values that were found in an answer.
    """

    def __init__(
        self,
        policy: Callable[[], Policy],
        record: Callable[[EgressEvent], None],
        guard: TextGuard,
        kernel: Kernel,
        *,
        quotas: QuotaBook | None = None,
        filters: FilterFactory = _no_filter,
        on_inbound: Callable[[Level, Counter[str]], None] = lambda _level, _found: None,
    ) -> None:
        self._policy = policy
        self._record = record
        self._guard = guard
        self._kernel = kernel
        self._quotas = quotas
        self._filters = filters
        self._on_inbound = on_inbound
        self._uses: dict[int, _Open] = {}
        self._lock = threading.Lock()
        self._exchanges = 0

    # --- before anything leaves ---

    def look(self, ask: Ask) -> Grant:
        """Decides without any effect.

        Raises:
            Refusal: The policy says no.
        """
        policy = self._current_policy()
        rule, _ = self._allowed(policy, ask, self._kernel.level())
        return self._grant(policy, rule, ask)

    def admit(self, ask: Ask, body: bytes | None = None) -> tuple[Grant, bytes | None]:
        """Decides about a request or tunnel, scans it as far as it is here, counts, records.

        Raises:
            Refusal: It does not leave. The proxy closes the use, which records the refusal.
        """
        policy = self._current_policy()
        level = self._kernel.level()
        rule, answer = self._allowed(policy, ask, level)
        grant = self._grant(policy, rule, ask)
        use = self._begin(ask, rule, would_block=answer.would_block)
        self._check_name(use, policy)
        if grant.scans:
            self._prepare(use, ask, policy, level)
        changed = self.submit(ask.use, body) if grant.scans and body else None
        self._charge(rule, ask, requests=1)
        self._spend(use, len(ask.target) + sum(len(n) + len(v) for n, v in ask.headers))
        if body and not grant.scans:
            self._spend(use, len(body))
        self._record_opened(use)
        return grant, changed

    def submit(self, use_id: int, body: bytes) -> bytes | None:
        """Filters a request body.

        Raises:
            Refusal: It does not leave.
        """
        use = self._uses[use_id]
        exchange, body_filter = use.exchange, use.body_filter
        if exchange is None or body_filter is None:
            raise filter_failed(use.ask.host, use.rule.id)
        limit = self._current_policy().egress_limits.upload_bytes
        if len(body) > limit:
            raise body_too_long(exchange.host, use.rule.id, limit)
        self._spend(use, len(body))
        try:
            plain = decode(body, exchange.header("content-encoding"), limit)
        except UnreadableError as error:
            use.found["UNREAD"] += 1
            if self._enforces(use):
                raise unreadable_body(exchange.host, use.rule.id, error.what) from None
            return None
        try:
            filtered = body_filter.request(exchange, plain)
        except Refusal:
            raise
        except Exception as error:  # noqa: BLE001 - a filter that fails lets nothing through
            _LOG.error("CLO-EGRESS-014: %s in a filter", type(error).__name__)
            raise filter_failed(exchange.host, use.rule.id) from None
        return None if filtered is plain else filtered

    # --- what comes back ---

    def reply(self, use_id: int, reply: Reply) -> None:
        """Begins to filter a response.

        Raises:
            Refusal: It does not come in.
        """
        use = self._uses[use_id]
        if use.exchange is None or use.body_filter is None:
            raise filter_failed(use.ask.host, use.rule.id)
        use.exchange = replace(use.exchange, reply=reply)
        use.stream = use.body_filter.response(use.exchange)

    def feed(self, use_id: int, data: bytes) -> bytes:
        """Filters a piece of a response."""
        stream = self._uses[use_id].stream
        return stream.feed(data) if stream else b""

    def finish(self, use_id: int) -> bytes:
        """Ends a filtered response."""
        use = self._uses[use_id]
        stream, use.stream = use.stream, None
        return stream.finish() if stream else b""

    def inbound(self, use_id: int, reply: Reply, data: bytes) -> None:
        """Looks at the beginning of a response that the kernel got."""
        encoding = next((v for n, v in reply.headers if n == "content-encoding"), "")
        try:
            text = as_text(decode(data, encoding, _INBOUND_BYTES))
        except UnreadableError:
            return  # cut off in the middle, or unknown: a help, no guarantee
        spans = self._guard.find(text) if text else []
        if not spans:
            return
        found = Counter(span.entity_type for span in spans)
        use = self._uses.get(use_id)
        if use is not None:
            use.received += found
        policy = self._guard.policy
        self._on_inbound(max(policy.level_of(kind) for kind in found), found)

    # --- while it lasts, and its end ---

    def may_reach(self, address: str, port: int) -> bool:
        """Whether a rule names a special address itself.

        A wildcard covers names: ``*.0.0.1`` would also match a name that ends so, and then the rule
        that let the address pass is the same one. Observing does not open the private network.
        """
        policy = self._current_policy()
        level = self._kernel.level()
        exact, wild = (
            match_use(policy, EgressUse(host, port, level=level, purposes=self._kernel.purposes))
            for host in (address, f"any.{address}")
        )
        return exact.rule is not None and exact.rule is not wild.rule

    def progress(self, ask: Ask, bytes_out: int, bytes_in: int) -> None:
        """Notes what an open use has moved, and decides whether it may go on.

        Raises:
            Refusal: It may not.
        """
        rule, _ = self._allowed(self._current_policy(), ask, self._kernel.level())
        use = self._uses.get(ask.use)
        if use is None:
            return
        sent = bytes_out - use.bytes_out
        use.bytes_out, use.bytes_in = bytes_out, bytes_in
        if sent > 0:
            self._charge(rule, ask, sent=sent)
        if bytes_out > use.spent:  # a tunnel's bytes are known when they have left
            self._spend(use, bytes_out - use.spent)

    def close(self, ask: Ask, bytes_out: int, bytes_in: int, denied_by: str | None) -> None:
        """Records the end of a use; one that was neither allowed nor denied leaves no event."""
        with self._lock:
            use = self._uses.pop(ask.use, None)
        if use is None and denied_by is None:
            return
        if use is not None:
            self._count_bytes(use, bytes_out)
            if use.requests == 0 and denied_by is None:
                return
        ended = use or _Open(ask, _unlisted(ask, ""), None, would_block=False)
        ended.bytes_out, ended.bytes_in = bytes_out, bytes_in
        try:
            self._record(_event(ended, "closed", denied_by))
        except Exception as error:  # noqa: BLE001 - the bytes are gone; the store reports itself
            _LOG.error("egress event not recorded: %s", type(error).__name__)

    def abandon(self) -> None:
        """Records the end of every open use; for when the proxy is gone."""
        for use in list(self._uses.values()):
            self.close(use.ask, use.bytes_out, use.bytes_in, None)

    # --- parts ---

    def _current_policy(self) -> Policy:
        try:
            return self._policy()
        except CloisterError as error:
            raise Refusal(
                403, error.message, code=error.code, rule=error.rule, remedy=error.remedy
            ) from None

    def _allowed(self, policy: Policy, ask: Ask, level: Level) -> tuple[EgressRule, EgressAnswer]:
        answer = decide_use(
            policy,
            EgressUse(
                ask.host,
                ask.port,
                ask.method or None,
                ask.target.partition("?")[0] if ask.method else None,
                level,
                self._kernel.purposes,
            ),
        )
        if answer.decision.effect is not Effect.ALLOW:
            raise denied_by_policy(answer.decision)
        return answer.rule or _unlisted(ask, answer.decision.rule), answer

    def _grant(self, policy: Policy, rule: EgressRule, ask: Ask) -> Grant:
        limits = policy.egress_limits
        return Grant(
            rule.id,
            inspect=rule.inspect,
            scans=rule.inspect and ask.kind != "connect",
            rewrites=rule.provider is not None,
            upload_bytes=limits.upload_bytes,
            ca_file=limits.ca_file,
        )

    def _begin(self, ask: Ask, rule: EgressRule, *, would_block: bool) -> _Open:
        """Returns the open use, a new one where rule or execution have changed."""
        scope = self._kernel.scope()
        use = self._uses.get(ask.use)
        if use is not None and (use.rule.id, use.scope) == (rule.id, scope):
            use.ask = ask
            return use
        if use is not None:
            self.close(use.ask, use.bytes_out, use.bytes_in, None)
        fresh = _Open(ask, rule, scope, would_block)
        with self._lock:
            self._uses[ask.use] = fresh
        return fresh

    def _prepare(self, use: _Open, ask: Ask, policy: Policy, level: Level) -> None:
        """Scans the head and makes the filter for what follows."""
        self._exchanges += 1
        use.exchange = Exchange(
            id=self._exchanges,
            host=ask.host,
            port=ask.port,
            method=ask.method,
            path=ask.target,
            headers=ask.headers,
            rule=use.rule,
            level=level,
        )
        values = ValueFilter(
            self._guard,
            limit=policy.egress_limits.upload_bytes,
            enforces=policy.mode is not Mode.OBSERVE,
            on_found=use.found.update,
        )
        use.body_filter = values
        if use.rule.provider is not None:
            use.body_filter = self._filters(use.rule)
            if use.body_filter is None:
                raise filter_failed(ask.host, use.rule.id)
        values.head(use.exchange)

    def _check_name(self, use: _Open, policy: Policy) -> None:
        """A name below a wildcard is chosen by the kernel, and its look-up carries it outside."""
        if not use.rule.host.startswith("*."):
            return
        labels = use.ask.host.replace(".", " ")
        found = Counter(s.entity_type for s in self._guard.find(labels))
        use.found += found
        if found and policy.mode is not Mode.OBSERVE and use.rule.found is not Found.ALLOW:
            raise found_values("a name below a wildcard", use.rule.id, found, "that name")

    def _enforces(self, use: _Open) -> bool:
        observes = self._current_policy().mode is Mode.OBSERVE
        return not observes and use.rule.found is not Found.ALLOW

    def _charge(self, rule: EgressRule, ask: Ask, *, requests: int = 0, sent: int = 0) -> None:
        if rule.quota is None:
            return
        if self._quotas is None:
            raise filter_failed(ask.host, rule.id)
        try:
            until = self._quotas.charge(
                self._kernel.user, rule.host, rule.quota, requests=requests, sent=sent
            )
        except CloisterError as error:
            raise Refusal(503, error.message, code=error.code, remedy=error.remedy) from None
        if until is not None and self._current_policy().mode is not Mode.OBSERVE:
            when = time.strftime("%H:%M UTC", time.gmtime(until))
            raise quota_spent(ask.host, rule.id, when)

    def _spend(self, use: _Open, size: int) -> None:
        """Counts bytes for the volume of the day.

        Raises:
            Refusal: They may not leave.
        """
        reason = self._kernel.spend(size)
        if reason is not None and self._current_policy().mode is not Mode.OBSERVE:
            raise volume_spent(reason.code, f"{reason.what}.", reason.rule, reason.remedy)
        use.spent += size

    def _count_bytes(self, use: _Open, bytes_out: int) -> None:
        if bytes_out > use.spent:
            with contextlib.suppress(Refusal):  # it has left; the next use is refused
                self._spend(use, bytes_out - use.spent)
        sent = bytes_out - use.bytes_out
        if sent > 0 and use.rule.quota is not None:
            try:
                self._charge(use.rule, use.ask, sent=sent)
            except Refusal:
                return  # it has left; the next use is refused

    def _record_opened(self, use: _Open) -> None:
        """Records that bytes are about to leave, once for each use.

        Raises:
            Refusal: It cannot be recorded, so it does not happen.
        """
        if use.requests == 0:
            try:
                self._record(_event(use, "opened", None))
            except CloisterError as error:  # says itself what is wrong with the store
                raise Refusal(503, error.message, code=error.code, remedy=error.remedy) from None
            except Exception as error:  # noqa: BLE001 - whatever the store raises, nothing leaves
                _LOG.error("egress event not recorded: %s", type(error).__name__)
                raise Refusal(
                    503,
                    "The connection cannot be recorded, so it was not made.",
                    code="CLO-STORE-001",
                    remedy="See cloister doctor.",
                ) from None
        use.requests += 1


def _unlisted(ask: Ask, rule_id: str) -> EgressRule:
    """The rule for a destination that only observing lets pass: opened, scanned, never stopped."""
    return EgressRule(rule_id, ask.host, (ask.port,), found=Found.ALLOW)


def _event(use: _Open, phase: Literal["opened", "closed"], denied_by: str | None) -> EgressEvent:
    return EgressEvent(
        use.ask.host,
        use.ask.port,
        use.ask.kind,
        "allow" if denied_by is None else "deny",
        denied_by or use.rule.id,
        use.bytes_out,
        use.bytes_in,
        phase,
        requests=use.requests,
        found=tuple(sorted(use.found.items())),
        received=tuple(sorted(use.received.items())),
        would_block=use.would_block,
    )
