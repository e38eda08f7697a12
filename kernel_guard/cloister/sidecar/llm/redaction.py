"""Takes the values out of a request: every text, key and long number of its JSON, at any depth.

A text that is JSON itself (arguments of a tool) is redacted within, so that it stays JSON. What
is found becomes a token of the workspace; what the provider made itself and gets back
(signatures) is left alone. Files, pictures and sound are not rewritten: they leave as they are,
where that is allowed, or not at all.

Pure but for what it collects: :attr:`Redaction.tokens` and :attr:`Redaction.found`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from cloister.sidecar.leaves import parts_of_values
from cloister.sidecar.llm.documents import AmbiguousError, looks_like_json, read, write
from cloister.sidecar.llm.seams import parts_over_seams

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.detect.spans import Span
    from cloister.detect.tokens import Tokenizer
    from cloister.sidecar.leaves import Place
    from cloister.sidecar.llm.attachments import Attachments
    from cloister.sidecar.llm.documents import Json
    from cloister.sidecar.textguard import TextGuard

_MIN_NUMBER_DIGITS: Final = 9
_SHORTEST: Final = 3
_LONGEST_NAMED: Final = 80
_MOST_ROUNDS: Final = 3
_Parts = dict["Place", list[tuple[int, int, str]]]


class TwinKeysError(ValueError):
    """Two keys of one object would become the same token."""


class Redaction:
    """Redacts one request.

    Args:
        guard: Finds what may not leave as it is.
        tokenizer: Makes the stand-ins.
        attachments: Looks at what is no text.
        is_opaque: Whether the provider made this text itself.
    """

    def __init__(
        self,
        guard: TextGuard,
        tokenizer: Tokenizer,
        attachments: Attachments,
        is_opaque: Callable[[str], bool] = lambda _text: False,
    ) -> None:
        self._guard = guard
        self._tokenizer = tokenizer
        self._attachments = attachments
        self._is_opaque = is_opaque
        self._parts: _Parts = {}
        self._clean: set[str] = set()
        self.tokens: dict[str, str] = {}
        self.found: Counter[str] = Counter()

    def document(self, document: Json) -> Json:
        """Returns a request without values; the identical object when there are none.

        Raises:
            Refusal: It holds a file with values, or data that may not leave as it is.
            TwinKeysError: See there.
        """
        kept, self._parts = self._parts, self._cut_values(document)
        try:
            made: Json = self._value(document)
            return made
        finally:
            self._parts = kept

    def remaining(self, document: Json) -> Counter[str]:
        """Returns what is still to be found in a request that was redacted."""
        again = Redaction(self._guard, self._tokenizer, self._attachments, self._is_opaque)
        again._clean = self._clean  # what was searched in vain needs no second look
        again.document(document)
        return again.found

    def _cut_values(self, document: Json) -> _Parts:
        parts = parts_over_seams(document, self._guard.find, self._is_opaque)
        for place, known in parts_of_values(document, self._guard.find_known).items():
            parts.setdefault(place, known)
        return parts

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, list):
            return self._list(value)
        return self._number(value)

    def _object(self, value: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, item in value.items():
            name = self._text(key)
            if name in made:
                raise TwinKeysError
            attached = self._attachments.replaced(value, key, item)
            made[name] = self._leaf(value, key, item) if attached is None else attached
        is_same = all(a is b and value[a] is made[b] for a, b in zip(value, made, strict=True))
        return value if is_same else made

    def _list(self, value: list[Any]) -> list[Any]:
        made = [self._leaf(value, i, item) for i, item in enumerate(value)]
        return value if all(a is b for a, b in zip(value, made, strict=True)) else made

    def _leaf(self, container: Any, key: str | int, item: Any) -> Any:
        parts = self._parts.get((id(container), key))
        if isinstance(item, (dict, list)):
            return self._value(item)
        if parts is None or (isinstance(item, str) and (self._is_opaque(item) or _is_json(item))):
            made = self._value(item)
            return self._named(key, item) if made is item and isinstance(key, str) else made
        text = str(item)
        for start, end, entity_type in reversed(parts):
            text = text[:start] + self._token(entity_type, text[start:end]) + text[end:]
        return self._text(text)

    def _named(self, key: str, item: Any) -> Any:
        """Redacts a short leaf in which nothing was found, read with its name before it."""
        if isinstance(item, bool) or not isinstance(item, (str, int, float)):
            return item
        text, before = str(item), f"{key}: "
        if not _SHORTEST < len(text) <= _LONGEST_NAMED or self._is_opaque(text):
            return item
        spans = [s for s in self._find(before + text) if s.start >= len(before)]
        for span in reversed(spans):
            start, end = span.start - len(before), span.end - len(before)
            token = self._token(span.entity_type, text[start:end])
            text = text[:start] + token + text[end:]
        return text if spans else item

    def _number(self, value: Any) -> Any:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return value
        text = str(value)
        if sum(char.isdigit() for char in text) < _MIN_NUMBER_DIGITS:
            return value
        masked = self._flat(text)
        return value if masked == text else masked

    def _text(self, text: str) -> str:
        if len(text) < _SHORTEST or self._is_opaque(text):
            return text
        if _is_json(text):
            inner = read(text)
            redacted = self.document(inner)
            if redacted is not inner:
                text = write(redacted, like=text)
        return self._flat(text)

    def _flat(self, text: str) -> str:
        """Replaces what is found; a few times, since what stood beside a value may be one, too."""
        for _ in range(_MOST_ROUNDS):
            spans = self._find(text)
            if not spans:
                return text
            pieces: list[str] = []
            at = 0
            for span in spans:
                token = self._token(span.entity_type, text[span.start : span.end])
                pieces += [text[at : span.start], token]
                at = span.end
            text = "".join([*pieces, text[at:]])
        return text

    def _find(self, text: str) -> list[Span]:
        if text in self._clean:
            return []
        spans = self._guard.find(text)
        if not spans:
            self._clean.add(text)
        return spans

    def _token(self, entity_type: str, value: str) -> str:
        token = self._tokenizer.token(entity_type, value)
        self.found[entity_type] += 1
        self.tokens.setdefault(token, value)
        return token


def _is_json(text: str) -> bool:
    """Whether a text is JSON that has its own parts."""
    if not looks_like_json(text):
        return False
    try:
        read(text)
    except AmbiguousError:
        return False
    return True
