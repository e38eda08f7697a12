"""The filter that every opened request passes: no sensitive value leaves unseen.

Path, query, header names and values, and the body in all its views are scanned with the rules, the
labels and the exact-match index of the kernel's gate. Credentials where credentials belong
(``Authorization`` and its kin) are what the call needs, and pass; other values there do not.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from cloister.core.egressrules import Found
from cloister.core.labels import Level
from cloister.sidecar.proxy.encodings import UnreadableError
from cloister.sidecar.proxy.filters import Leaving
from cloister.sidecar.proxy.payloads import as_text, read_payload, views
from cloister.sidecar.proxy.refusal import found_values, unreadable_body
from cloister.sidecar.textguard import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cloister.sidecar.proxy.filters import Exchange, StreamFilter
    from cloister.sidecar.textguard import TextGuard

_CREDENTIAL_HEADER: Final = re.compile(
    r"(?:.*[-_])?(?:authorization|cookie|token|secret|signature|credential|api-?key|key)"
)
_CREDENTIALS: Final = frozenset({"SECRET", "PASSWORD"})
_SCHEME: Final = re.compile(r"(?i)(?:basic|bearer|token|apikey)\s+")


class ValueFilter:
    """Scans one exchange.

    Args:
        guard: Finds and masks.
        limit: The most bytes that a body may unpack to.
        enforces: Whether findings stop the request; else they are only told (mode ``observe``).
        on_found: Told the entity types that were found, with counts.
    """

    def __init__(
        self,
        guard: TextGuard,
        *,
        limit: int,
        enforces: bool,
        on_found: Callable[[Counter[str]], None],
    ) -> None:
        self._guard = guard
        self._limit = limit
        self._enforces = enforces
        self._on_found = on_found

    def head(self, exchange: Exchange) -> None:
        """Scans path, query and headers; they can be refused, not masked.

        Raises:
            Refusal: Sensitive values were found.
        """
        found = self._count(views(exchange.path))
        for name, value in exchange.headers:
            found += self._count([name, name.partition("-")[2], name.replace("-", " ")])
            if _CREDENTIAL_HEADER.fullmatch(name):
                credentials = self._count(_credential_views(value))
                found += Counter({k: n for k, n in credentials.items() if k not in _CREDENTIALS})
            else:
                found += self._count(views(value))
        if self._tell(found) and exchange.rule.found is not Found.ALLOW:
            raise found_values(exchange.host, exchange.rule.id, found, "its address or headers")

    def request(self, exchange: Exchange, body: bytes) -> Leaving:
        """Scans a body, its content encoding undone; masks it where the rule says so.

        Raises:
            Refusal: Sensitive values were found, or it cannot be read.
        """
        try:
            contents = read_payload(body, exchange.header("content-type"), self._limit)
        except UnreadableError as error:
            return Leaving(self._unread(exchange, error.what, body))
        found = self._count(contents.texts)
        if self._tell(found) and exchange.rule.found is not Found.ALLOW:
            masked = self._mask(body) if exchange.rule.found is Found.MASK else None
            if masked is None:
                raise found_values(exchange.host, exchange.rule.id, found, "its body")
            return Leaving(masked)
        if contents.unread and exchange.level > Level.INTERNAL:
            kinds = ", ".join(sorted(set(contents.unread)))
            what = f"holds {kinds}, which cannot be looked into"
            return Leaving(self._unread(exchange, what, body))
        return Leaving(body)

    def response(self, exchange: Exchange) -> StreamFilter:
        """Answers pass; what they hold is looked at beside the way."""
        del exchange
        return _Passing()

    def _tell(self, found: Counter[str]) -> bool:
        """Reports findings; returns whether they count."""
        if found:
            self._on_found(found)
        return bool(found) and self._enforces

    def _unread(self, exchange: Exchange, what: str, body: bytes) -> bytes:
        self._on_found(Counter({"UNREAD": 1}))
        if self._enforces and exchange.rule.found is not Found.ALLOW:
            raise unreadable_body(exchange.host, exchange.rule.id, what)
        return body

    def _count(self, texts: Iterable[str]) -> Counter[str]:
        return Counter(s.entity_type for text in texts for s in self._guard.find(text))

    def _mask(self, body: bytes) -> bytes | None:
        """Returns a body of JSON or text with its values masked, or ``None`` if some remain."""
        text = as_text(body)
        if text is None:
            return None
        try:
            masked = json.dumps(self._guard.mask_json(json.loads(text), Tally()))
        except (ValueError, RecursionError):
            masked = self._guard.mask(text, Tally())
        # What was cut into pieces or escaped is still there: then nothing leaves.
        return None if self._count(views(masked)) else masked.encode()


class _Passing:
    def feed(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""

    def abandon(self) -> None:
        pass


def _credential_views(value: str) -> list[str]:
    """Returns a credential as sent and, for Basic authentication, decoded.

    The scheme is left out: after the word ``Bearer`` everything is a secret.
    """
    plain = _SCHEME.sub("", value, count=1)
    found = views(plain)
    with contextlib.suppress(ValueError):  # binascii.Error is one
        found.append(base64.b64decode(plain, validate=True).decode())
    return found
