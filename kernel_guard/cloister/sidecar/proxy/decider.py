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
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from cloister.core.decisions import Effect, decide_use, match_use
from cloister.core.egressrules import EgressRule, EgressUse, Found
from cloister.core.errors import CloisterError
from cloister.core.labels import Level
from cloister.core.modes import Mode
from cloister.core.providers import provider_of
from cloister.sidecar.outgoing.deadline import TimeIsUp, searching_at_most
from cloister.sidecar.proxy.desk import Ask, Grant
from cloister.sidecar.proxy.encodings import UnreadableError, decode
from cloister.sidecar.proxy.filters import Exchange, Leaving
from cloister.sidecar.proxy.payloads import as_text
from cloister.sidecar.proxy.refusal import (
    Refusal,
    body_too_long,
    check_too_long,
    denied_by_policy,
    filter_failed,
    found_values,
    quota_spent,
    unreadable_body,
    volume_spent,
)
from cloister.sidecar.proxy.uses import Use, unlisted
from cloister.sidecar.proxy.valuefilter import ValueFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.core.decisions import EgressAnswer
    from cloister.core.policy import Policy
    from cloister.sidecar.outgoing.withheld import Reason
    from cloister.sidecar.proxy.desk import Kind
    from cloister.sidecar.proxy.events import EgressEvent
    from cloister.sidecar.proxy.filters import (
        BodyFilter,
        FilterFactory,
        Onward,
        Reply,
    )
    from cloister.sidecar.textguard import TextGuard
    from cloister.store.quota import QuotaBook

_LOG = logging.getLogger(__name__)
_INBOUND_BYTES: Final = 1_048_576


def _no_filter(exchange: Exchange, on_found: Callable[[Counter[str]], None]) -> BodyFilter | None:
    del exchange, on_found
    return None


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
        trace: Returns the ``traceparent`` of what runs now.
    """

    user: str
    level: Callable[[], Level] = lambda: Level.PUBLIC
    purposes: frozenset[str] = frozenset()
    scope: Callable[[], object] = lambda: None
    spend: Callable[[int], Reason | None] = lambda _size: None
    trace: Callable[[], str | None] = lambda: None


class Decider:
    """Answers the proxy of one kernel.

    Args:
        policy: Returns the policy in force or raises ``CloisterError``.
        record: Takes every event. When it raises for an ``opened`` event, nothing leaves.
        guard: Finds sensitive values.
        kernel: Whose way out it is.
        quotas: Counts; ``None`` refuses destinations that have a quota.
        filters: Makes the filters for calls to providers, which are refused without.
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
        self._uses: dict[int, Use] = {}
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

    def admit(self, ask: Ask, body: bytes | None = None) -> tuple[Grant, Leaving]:
        """Decides about a request or tunnel, scans it as far as it is here, counts, records.

        Args:
            ask: What the kernel wants.
            body: The whole body; ``None`` when it is not here yet.

        Raises:
            Refusal: It does not leave. The proxy closes the use, which records the refusal.
        """
        policy = self._current_policy()
        level = self._kernel.level()
        rule, answer = self._allowed(policy, ask, level)
        grant = self._grant(policy, rule, ask)
        if grant.rewrites:  # what goes to a provider, its terms decide
            rule = replace(rule, found=Found.BLOCK)
        use = self._begin(ask, rule, would_block=answer.would_block)
        self._check_name(use, policy)
        leaving = Leaving(None)
        if grant.scans:
            self._prepare(use, ask, policy, level, is_provider=grant.rewrites)
            if body is not None:
                leaving = self._filter(ask.use, body)
        use = self._uses[ask.use]  # another one, where it is sent on
        self._spend(use, len(ask.target) + sum(len(n) + len(v) for n, v in ask.headers))
        if body and not grant.scans:
            self._spend(use, len(body))
        self._enter(use)
        return grant, leaving

    def submit(self, use_id: int, body: bytes) -> Leaving:
        """Filters a request body that came after its head was admitted.

        Raises:
            Refusal: It does not leave.
        """
        use, level = self._uses[use_id], self._kernel.level()
        if use.exchange is not None and use.exchange.level != level:
            # It may have been read while the body came, and be in it.
            self._allowed(self._current_policy(), use.ask, level)
            use.exchange = replace(use.exchange, level=level)
        leaving = self._filter(use_id, body)
        if leaving.onward is not None:
            self._enter(self._uses[use_id])
        return leaving

    def _enter(self, use: Use) -> None:
        """Counts a request and makes it durable in the record, before a byte of it leaves."""
        self._charge(use.rule, use.ask, requests=1)
        self._record_opened(use)

    def _filter(self, use_id: int, body: bytes) -> Leaving:
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
            return Leaving(None)
        seconds = self._current_policy().egress_limits.time_limit_s
        try:
            with searching_at_most(seconds):
                leaving = body_filter.request(exchange, plain)
        except Refusal:
            raise
        except TimeIsUp:
            raise check_too_long(exchange.host, seconds) from None
        except Exception as error:  # noqa: BLE001 - a filter that fails lets nothing through
            _LOG.error("CLO-EGRESS-014: %s in a filter", type(error).__name__)
            raise filter_failed(exchange.host, use.rule.id) from None
        if leaving.onward is not None:
            self._send_on(use, leaving.onward)
        return replace(leaving, body=None if leaving.body is plain else leaving.body)

    def _send_on(self, use: Use, onward: Onward) -> None:
        """Goes on with a use elsewhere; the rules decide about that as about any other.

        Raises:
            Refusal: The policy does not let this kernel go there.
        """
        kind: Kind = "https" if onward.tls else "http"
        ask = replace(use.ask, host=onward.host, port=onward.port, kind=kind)
        rule, answer = self._allowed(self._current_policy(), ask, self._kernel.level())
        self.close(use.ask, use.bytes_out, use.bytes_in, None)
        fresh = replace(use, ask=ask, rule=rule, would_block=answer.would_block, requests=0)
        fresh.found, fresh.received = Counter(use.found), Counter(use.received)
        with self._lock:
            self._uses[ask.use] = fresh

    # --- what comes back ---

    def reply(self, use_id: int, reply: Reply) -> None:
        """Begins to filter a response.

        Raises:
            Refusal: It does not come in.
        """
        use = self._uses[use_id]
        if use.exchange is None or use.body_filter is None:
            raise filter_failed(use.ask.host, use.rule.id)
        use.abandon()
        use.exchange = replace(use.exchange, reply=reply)
        use.stream = use.body_filter.response(use.exchange)

    def feed(self, use_id: int, data: bytes) -> bytes:
        """Filters a piece of a response."""
        stream = self._uses[use_id].stream
        return stream.feed(data) if stream else b""

    def finish(self, use_id: int, data: bytes) -> bytes:
        """Ends a filtered response with its last piece."""
        use = self._uses[use_id]
        stream = use.stream
        if stream is None:
            return b""
        rest = stream.feed(data) + stream.finish()
        use.stream = None
        return rest

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
        use = self._uses.get(ask.use)
        where = ask if use is None else use.ask  # it may have been sent on
        rule, _ = self._allowed(self._current_policy(), where, self._kernel.level())
        if use is None:
            return
        sent = bytes_out - use.bytes_out
        use.bytes_out, use.bytes_in = bytes_out, bytes_in
        if sent > 0:
            self._charge(rule, where, sent=sent)
        if bytes_out > use.spent:  # a tunnel's bytes are known when they have left
            self._spend(use, bytes_out - use.spent)

    def close(self, ask: Ask, bytes_out: int, bytes_in: int, denied_by: str | None) -> None:
        """Records the end of a use; one that was neither allowed nor denied leaves no event."""
        with self._lock:
            use = self._uses.pop(ask.use, None)
        if use is None and denied_by is None:
            return
        if use is not None:
            use.abandon()
        if use is not None:
            self._count_bytes(use, bytes_out)
            if use.requests == 0 and denied_by is None:
                return
        ended = use or Use(ask, unlisted(ask, ""), None, would_block=False)
        ended.bytes_out, ended.bytes_in = bytes_out, bytes_in
        try:
            self._record(ended.event("closed", denied_by))
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
        return answer.rule or unlisted(ask, answer.decision.rule), answer

    def _grant(self, policy: Policy, rule: EgressRule, ask: Ask) -> Grant:
        limits = policy.egress_limits
        is_provider = provider_of(policy.providers, ask.host, ask.port) is not None
        inspect = rule.inspect or is_provider
        return Grant(
            rule.id,
            inspect=inspect,
            scans=inspect and ask.kind != "connect",
            rewrites=is_provider,
            upload_bytes=limits.upload_bytes,
            ca_file=limits.ca_file,
            traceparent=self._kernel.trace() if rule.traceparent else None,
        )

    def _begin(self, ask: Ask, rule: EgressRule, *, would_block: bool) -> Use:
        """Returns the open use, a new one where rule or execution have changed."""
        scope = self._kernel.scope()
        use = self._uses.get(ask.use)
        same = use is not None and (use.rule.id, use.scope, use.ask.host, use.ask.port) == (
            rule.id,
            scope,
            ask.host,
            ask.port,
        )
        if use is not None and same:
            use.ask, use.rule = ask, rule
            return use
        if use is not None:
            self.close(use.ask, use.bytes_out, use.bytes_in, None)
        fresh = Use(ask, rule, scope, would_block)
        with self._lock:
            self._uses[ask.use] = fresh
        return fresh

    def _prepare(
        self, use: Use, ask: Ask, policy: Policy, level: Level, *, is_provider: bool
    ) -> None:
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
        values.head(use.exchange)
        if is_provider:
            use.body_filter = self._filters(use.exchange, use.found.update)
            if use.body_filter is None:
                raise filter_failed(ask.host, use.rule.id)

    def _check_name(self, use: Use, policy: Policy) -> None:
        """A name below a wildcard is chosen by the kernel, and its look-up carries it outside."""
        if not use.rule.host.startswith("*."):
            return
        labels = use.ask.host.replace(".", " ")
        found = Counter(s.entity_type for s in self._guard.find(labels))
        use.found += found
        if found and policy.mode is not Mode.OBSERVE and use.rule.found is not Found.ALLOW:
            raise found_values("a name below a wildcard", use.rule.id, found, "that name")

    def _enforces(self, use: Use) -> bool:
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

    def _spend(self, use: Use, size: int) -> None:
        """Counts bytes for the volume of the day.

        Raises:
            Refusal: They may not leave.
        """
        reason = self._kernel.spend(size)
        if reason is not None and self._current_policy().mode is not Mode.OBSERVE:
            raise volume_spent(reason.code, f"{reason.what}.", reason.rule, reason.remedy)
        use.spent += size

    def _count_bytes(self, use: Use, bytes_out: int) -> None:
        if bytes_out > use.spent:
            with contextlib.suppress(Refusal):  # it has left; the next use is refused
                self._spend(use, bytes_out - use.spent)
        sent = bytes_out - use.bytes_out
        if sent > 0 and use.rule.quota is not None:
            try:
                self._charge(use.rule, use.ask, sent=sent)
            except Refusal:
                return  # it has left; the next use is refused

    def _record_opened(self, use: Use) -> None:
        """Records that bytes are about to leave, once for each use.

        Raises:
            Refusal: It cannot be recorded, so it does not happen.
        """
        if use.requests == 0:
            try:
                self._record(use.event("opened", None))
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
