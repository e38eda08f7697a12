"""One call to a provider: may it be made, who answers it, what leaves, what comes back.

In this order: contract, region and level of the kernel before a byte of the body is read; then
the records that a vendor may get; then the values, as tokens; then the level once more, with what
was found; then the record; then it leaves. Whether a provider answers is no part of the question:
one that is overloaded or down is not replaced by another.

What cannot be checked is not sent: anything that fails here ends in ``CLO-EGRESS-014``.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from cloister.core.modes import Mode
from cloister.core.policy import Treatment
from cloister.core.routing import route
from cloister.sidecar.llm.answering import Restoring
from cloister.sidecar.llm.attachments import Attachments
from cloister.sidecar.llm.documents import AmbiguousError, looks_like_json, read, write
from cloister.sidecar.llm.enrichment import Filtering, filtered, others
from cloister.sidecar.llm.memory import Known
from cloister.sidecar.llm.redaction import Redaction, TwinKeysError
from cloister.sidecar.llm.refusals import no_enrichment, not_allowed, unreadable, values_remain
from cloister.sidecar.proxy.filters import Leaving, Onward
from cloister.sidecar.proxy.payloads import as_text
from cloister.sidecar.proxy.valuefilter import ValueFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.core.policy import Policy
    from cloister.core.providers import Provider
    from cloister.core.routing import Route
    from cloister.sidecar.llm.documents import Json
    from cloister.sidecar.llm.service import ProviderService
    from cloister.sidecar.proxy.filters import Exchange

_CONTINUES: Final = ("previous_response_id", "conversation", "thread", "thread_id", "container")
"""Members of a request that go on with what the provider keeps."""

_CHARSET: Final = re.compile(r"(?i)charset=(?!\"?(?:utf-?8|us-ascii)\"?(?:;|\s|$))")
"""A provider that believes another encoding than UTF-8 reads another text."""

_KEPT_PATHS: Final = ("/threads/", "/conversations/", "/responses/", "/batches/", "/files/")


class ProviderCall:
    """The filter of one call; see :class:`~cloister.sidecar.proxy.filters.BodyFilter`.

    Args:
        service: Guard, tokens, record and memory.
        policy: The policy of this moment.
        asked: Whose host it is.
        exchange: The request, without its body.
        on_found: Told the entity types that are found, with counts.

    Raises:
        Refusal: The provider may get nothing from this kernel, whatever it says.
    """

    def __init__(
        self,
        service: ProviderService,
        policy: Policy,
        asked: Provider,
        exchange: Exchange,
        on_found: Callable[[Counter[str]], None],
    ) -> None:
        self._service = service
        self._policy = policy
        self._asked = asked
        self._on_found = on_found
        self._observes = policy.mode is Mode.OBSERVE
        self._began_s = time.monotonic()
        self._found: Counter[str] = Counter()
        self._tokens: dict[str, str] = {}
        self._filtering: Filtering | None = None
        self._continues = any(kept in exchange.path for kept in _KEPT_PATHS)
        self._level = exchange.level
        self._route, self._goes_to = self._routed(exchange)
        self._guard = service.guard.under(_terms(policy, self._goes_to))

    def request(self, exchange: Exchange, body: bytes) -> Leaving:
        """Returns what leaves, and where to."""
        text = as_text(body) if body else None
        is_json = text is not None and looks_like_json(text)
        if body and (is_json or "json" in exchange.header("content-type").lower()):
            made = self._document(exchange, body)
        else:
            made = self._other(exchange, body)
        self._record_sent(exchange)
        self._service.memory(self._goes_to.name).keep(self._tokens.items())
        return self._leaving(made)

    def response(self, exchange: Exchange) -> Restoring:
        """Returns what restores the answer."""
        name = self._goes_to.name
        memory = self._service.memory(name)
        known = memory.known() if self._continues else Known(self._tokens.items())
        return Restoring(self._service, name, exchange, known, self._began_s)

    # --- what leaves ---

    def _document(self, exchange: Exchange, body: bytes) -> bytes:
        """Returns a JSON body as it leaves; the identical object where nothing is changed."""
        try:
            if _CHARSET.search(exchange.header("content-type")):
                raise AmbiguousError
            document = read(body)
        except AmbiguousError:
            self._count(Counter({"UNREAD": 1}))
            if not self._observes:
                what = "is no JSON, or can be read in more than one way"
                raise unreadable(self._asked.name, what) from None
            self._decide_again(exchange)
            return body
        if isinstance(document, dict) and any(document.get(name) for name in _CONTINUES):
            self._continues = True
        kept = self._with_consent(exchange, document)
        redaction = self._redaction(exchange)
        try:
            made = redaction.document(kept)
        except TwinKeysError:
            raise values_remain(self._asked.name, redaction.found) from None
        self._count(redaction.found)
        self._decide_again(exchange)
        if self._observes:
            return body
        if self._goes_to.redact:
            self._require_clean(redaction, made)
            self._tokens = redaction.tokens
        else:
            made = kept
        made = self._for_model(made)
        if made is document:
            return body
        return write(made, like=body.decode()).encode("utf-8", "surrogatepass")

    def _other(self, exchange: Exchange, body: bytes) -> bytes:
        """Returns a body that is no JSON, if it may leave: nothing in it is rewritten."""
        if body and self._asked.enrichment is not None and not self._observes:
            raise no_enrichment(
                self._asked.name,
                "the request is no JSON",
                "Send JSON, one object for each row: df.to_dict('records').",
                rule="enrichment.records",
            )
        values = ValueFilter(
            self._guard,
            limit=self._policy.egress_limits.upload_bytes,
            enforces=not self._observes and self._goes_to.redact,
            on_found=self._count,
        )
        if body:
            values.request(exchange, body)
        self._decide_again(exchange)
        return body

    def _with_consent(self, exchange: Exchange, document: Json) -> Json:
        """Returns the request with the records that a vendor may get."""
        terms, book, name = self._asked.enrichment, self._service.book, self._asked.name
        if terms is None or self._observes:
            return document
        if book is None:
            raise no_enrichment(name, "nobody can say who agreed", "Run cloister doctor.")
        kept = filtered(document, name, terms, book, self._note_filtering)
        beside = self._redaction(exchange)
        beside.document(others(document, terms))
        if beside.found:
            self._count(beside.found)
            raise no_enrichment(
                name,
                "the request holds values beside its records",
                "Send the records, and nothing about people beside them.",
                rule="enrichment.records",
            )
        return kept

    def _redaction(self, exchange: Exchange) -> Redaction:
        goes_to = self._goes_to
        attachments = Attachments(
            self._guard,
            goes_to,
            exchange.level,
            self._policy.egress_limits.upload_bytes,
            enforces=not self._observes and goes_to.redact,
            on_found=self._count,
        )
        return Redaction(
            self._guard,
            self._service.tokenizer,
            attachments,
            lambda text: self._service.is_opaque(goes_to.name, text),
        )

    def _require_clean(self, redaction: Redaction, made: Json) -> None:
        remaining = redaction.remaining(made) if redaction.found else Counter[str]()
        if remaining:
            raise values_remain(self._asked.name, remaining)

    def _count(self, found: Counter[str]) -> None:
        self._found += found
        if found:
            self._on_found(found)

    # --- where it goes ---

    def _routed(self, exchange: Exchange) -> tuple[Route, Provider]:
        """Returns who gets the request.

        Raises:
            Refusal: Nobody may, or who may is not to be sent other providers' requests.
        """
        policy, asked = self._policy, self._asked
        today = self._service.day()
        found = route(policy, policy.providers, asked.name, self._level, today=today)
        other = found.provider
        if other is asked or (other and other.origin and other.style is asked.style):
            return found, other
        self._record_refused(exchange, found)
        remedy = f"Call {other.name}: it is local and may get this data." if other else ""
        reason = found.decision.reason.partition("; it goes to")[0]
        raise not_allowed(replace(found.decision, reason=reason), remedy)

    def _decide_again(self, exchange: Exchange) -> None:
        """Decides with what was found in the request."""
        levels = [self._policy.level_of(kind) for kind in self._found if kind != "UNREAD"]
        self._level = max([exchange.level, *levels])
        self._route, self._goes_to = self._routed(exchange)

    def _for_model(self, document: Json) -> Json:
        """Returns a request that was sent on with the name of a model that is there."""
        model = self._goes_to.model
        is_other = self._goes_to is not self._asked and model is not None
        if is_other and isinstance(document, dict) and "model" in document:
            return {**document, "model": model}
        return document

    def _leaving(self, body: bytes) -> Leaving:
        notes = []
        if self._filtering is not None:
            notes.append(("Records", f"{self._filtering.sent} of {self._filtering.rows}"))
        origin = self._goes_to.origin
        if self._goes_to is self._asked or origin is None:
            return Leaving(body, notes=tuple(notes))
        notes.append(("Provider", self._goes_to.name))
        return Leaving(body, Onward(origin.host, origin.port, origin.tls), tuple(notes))

    # --- the record ---

    def _note_filtering(self, decided: Filtering) -> None:
        """Records what was decided about the records, whether or not any of them leaves."""
        self._filtering = decided
        terms = self._asked.enrichment
        if terms is not None:
            self._record(
                "enrichment.decided",
                dataset=terms.dataset,
                purpose=terms.purpose,
                fields=list(terms.fields),
                rows=decided.rows,
                sent=decided.sent,
                withheld=dict(decided.withheld),
                fields_withheld=decided.fields_withheld,
            )

    def _record_sent(self, exchange: Exchange) -> None:
        would = "redact" if self._observes and self._found else None
        self._record(
            "llm.sent",
            provider=self._goes_to.name,
            asked=self._asked.name,
            rule=exchange.rule.id,
            decided_by=self._route.decision.rule,
            level=str(self._level),
            found=dict(self._found),
            redacted=bool(self._tokens),
            region=self._goes_to.region,
            retention_days=self._goes_to.retention_days,
            would="block" if self._route.would_block else would,
        )

    def _record_refused(self, exchange: Exchange, found: Route) -> None:
        self._record(
            "llm.refused",
            rule=exchange.rule.id,
            decided_by=found.decision.rule,
            level=str(self._level),
            found=dict(self._found),
        )

    def _record(self, kind: str, **body: Any) -> None:
        who = {"provider": self._asked.name, "attested_by": "sidecar"}
        self._service.record(kind, {**who, **body})


def _terms(policy: Policy, provider: Provider) -> Policy:
    """Returns the policy under which values are looked for.

    What the policy shows, and the provider may get as it is, is no finding.
    """
    display = {
        level: Treatment.SHOW
        if shown is Treatment.SHOW and level <= provider.level.plain
        else Treatment.TOKEN
        for level, shown in policy.display.items()
    }
    return replace(policy, display=display)
