"""The answer to one call to a provider: restored as it comes, and on record when it has ended."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from cloister.sidecar.llm.answers import Answer

if TYPE_CHECKING:
    from cloister.sidecar.llm.memory import Known
    from cloister.sidecar.llm.service import ProviderService
    from cloister.sidecar.proxy.filters import Exchange


class Restoring:
    """Restores one answer and records how it ended; see ``StreamFilter``."""

    def __init__(
        self,
        service: ProviderService,
        provider: str,
        exchange: Exchange,
        known: Known,
        began_s: float,
    ) -> None:
        self._service = service
        self._provider = provider
        self._exchange = exchange
        self._began_s = began_s
        self._restored: Counter[str] = Counter()
        self._answer = Answer(
            known,
            self._restored,
            exchange.reply_header("content-type"),
            lambda text: service.note_opaque(provider, text),
        )

    def feed(self, data: bytes) -> bytes:
        """Takes a piece and returns what may go on."""
        return self._answer.feed(data)

    def finish(self) -> bytes:
        """Returns what was held back."""
        data = self._answer.finish()
        self._record(is_whole=True)
        return data

    def abandon(self) -> None:
        """Notes that the answer broke off."""
        self._record(is_whole=False)

    def _record(self, *, is_whole: bool) -> None:
        reply = self._exchange.reply
        self._service.record(
            "llm.answered",
            {
                "provider": self._provider,
                "rule": self._exchange.rule.id,
                "status": 0 if reply is None else reply.status,
                "restored": dict(self._restored),
                "is_whole": is_whole,
                "took_ms": int((time.monotonic() - self._began_s) * 1000),
                "attested_by": "sidecar",
            },
        )
