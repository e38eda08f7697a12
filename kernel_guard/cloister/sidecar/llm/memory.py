"""Which value a token stood for, as long as an answer may still say it.

A token is restored only where its value left: in the answer to the request that it left with,
and, where a provider keeps a conversation itself, in the answers to what continues it. Tokens of
other kernels, of other providers, or made up are in nobody's memory and stay what they are.

A memory is in the sidecar only. The proxy process sees tokens and, in answers, values that the
kernel has had before.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_TOKENS: Final = 50_000
"""Tokens that are remembered for one provider; the oldest go first."""

BODY_CHARS: Final = 10
FEWEST_CHARS: Final = 6
"""Of a body that a model cut off: 30 bits, and only one token that was sent may begin so."""


class Known:
    """The tokens that an answer may say. Immutable.

    Args:
        pairs: Tokens with their values.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, dict[str, str]] = {}
        for token, value in pairs:
            entity_type, _, body = token.partition("~")
            self._values.setdefault(entity_type, {})[body] = value
        self._sorted = {kind: sorted(bodies) for kind, bodies in self._values.items()}
        self.types = tuple(sorted(self._values))

    def __bool__(self) -> bool:
        return bool(self._values)

    def value(self, entity_type: str, body: str) -> str | None:
        """Returns the value of a token, also of one cut off; ``None`` when there is no one such."""
        values = self._values.get(entity_type, {})
        if len(body) >= BODY_CHARS:
            return values.get(body)
        if len(body) < FEWEST_CHARS:
            return None
        bodies = self._sorted.get(entity_type, [])
        at = bisect_left(bodies, body)
        fits = [b for b in bodies[at : at + 2] if b.startswith(body)]
        return values[fits[0]] if len(fits) == 1 else None


class Memory:
    """What has left to one provider. Safe to share between threads."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._lock = threading.Lock()

    def keep(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Remembers tokens; one that was there already counts as new."""
        with self._lock:
            for token, value in pairs:
                self._values.pop(token, None)
                self._values[token] = value
            for token in list(self._values)[: max(0, len(self._values) - MOST_TOKENS)]:
                del self._values[token]

    def known(self) -> Known:
        """Returns everything that is remembered now."""
        with self._lock:
            return Known(self._values.items())
