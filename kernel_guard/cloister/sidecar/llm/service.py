"""Calls of one kernel to the policy's providers, and what is remembered between them."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cloister.core.providers import provider_of
from cloister.sidecar.llm.call import ProviderCall
from cloister.sidecar.llm.memory import Memory

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from cloister.core.policy import Policy
    from cloister.core.records import Json
    from cloister.detect.tokens import Tokenizer
    from cloister.sidecar.llm.consent import ConsentBook
    from cloister.sidecar.proxy.filters import Exchange
    from cloister.sidecar.textguard import TextGuard

_MOST_OPAQUE: Final = 20_000


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


@dataclass(slots=True)
class _Past:
    """What has gone to one provider and come from it.

    Attributes:
        memory: Values that left, by token.
        opaque: Keyed digests of texts that the provider made and only it can read.
    """

    memory: Memory = field(default_factory=Memory)
    opaque: OrderedDict[bytes, None] = field(default_factory=OrderedDict)


class ProviderService:
    """Makes the filters for calls to providers. Safe to share between threads.

    Args:
        policy: Returns the policy in force or raises ``CloisterError``.
        guard: Finds sensitive values.
        tokenizer: Makes what stands for them.
        record: Makes a record durable; when it raises, nothing leaves.
        book: Says who agreed; without it vendors get nothing.
        day: Returns the day in UTC.
    """

    def __init__(
        self,
        policy: Callable[[], Policy],
        guard: TextGuard,
        tokenizer: Tokenizer,
        record: Callable[[str, dict[str, Json]], None],
        *,
        book: ConsentBook | None = None,
        day: Callable[[], dt.date] = _today,
    ) -> None:
        self.policy = policy
        self.guard = guard
        self.tokenizer = tokenizer
        self.record = record
        self.book = book
        self.day = day
        self._pasts: dict[str, _Past] = {}
        self._digest_key = secrets.token_bytes(32)
        self._lock = threading.Lock()

    def __call__(
        self, exchange: Exchange, on_found: Callable[[Counter[str]], None]
    ) -> ProviderCall | None:
        """Returns the filter for an exchange; ``None`` where its host is no provider's.

        Raises:
            Refusal: The provider may get nothing from this kernel.
        """
        policy = self.policy()
        provider = provider_of(policy.providers, exchange.host, exchange.port)
        if provider is None:
            return None
        return ProviderCall(self, policy, provider, exchange, on_found)

    def memory(self, provider: str) -> Memory:
        """Returns what has left to a provider."""
        return self._past(provider).memory

    def note_opaque(self, provider: str, text: str) -> None:
        """Remembers a text that a provider made for itself."""
        opaque, digest = self._past(provider).opaque, self._digest(text)
        with self._lock:
            opaque[digest] = None
            opaque.move_to_end(digest)
            while len(opaque) > _MOST_OPAQUE:
                opaque.popitem(last=False)

    def is_opaque(self, provider: str, text: str) -> bool:
        """Whether a provider made this text, so that it tells it nothing."""
        return self._digest(text) in self._past(provider).opaque

    def _past(self, provider: str) -> _Past:
        with self._lock:
            return self._pasts.setdefault(provider, _Past())

    def _digest(self, text: str) -> bytes:
        data = text.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, key=self._digest_key, digest_size=16).digest()
