"""Masks sensitive values in text and in JSON of any depth.

Decides with three things: patterns, the exact-match index, and the policy's treatment of the level
of what was found. What a pattern finds may have been cleared by a data owner; what the index finds
is sensitive somewhere, and that wins. Both also look into encoded pieces of the text, and mask the
encoded piece. Everything is a pure function of those and the text. A text
with terminal colours is scanned without them, because an escape sequence inside a value must not
hide it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from cloister.core.masks import REDACTED_WHOLE
from cloister.core.policy import Treatment
from cloister.detect.decoded import decode
from cloister.detect.folding import without_invisible
from cloister.detect.masking.cells import mask_in_text
from cloister.detect.recognizers import Recognizers
from cloister.detect.spans import Span, joined, without_overlaps
from cloister.detect.text import find_spans
from cloister.sidecar.leaves import parts_of_values
from cloister.sidecar.outgoing.deadline import look_at_the_clock

if TYPE_CHECKING:
    from cloister.core.policy import Policy
    from cloister.detect.cleared import ClearedValues
    from cloister.detect.exact import ExactIndex
    from cloister.detect.tokens import Tokenizer
    from cloister.sidecar.leaves import Place

Json: TypeAlias = "None | bool | int | float | str | list[Any] | dict[str, Any]"

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_MOVES_IN_LINE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[CDGHPXade`fsu@]|[78DEM])")
_ASCII_ONLY = bytes(range(128)) + b" " * 128
_MIN_NUMBER_DIGITS = 9
_LEAST_TELLING = 1e5
_MAX_DEPTH = 200
_Parts: TypeAlias = "dict[Place, list[tuple[int, int, str]]]"


@dataclass(slots=True)
class Tally:
    """What was masked: entity types with counts; never a value."""

    masked: dict[str, int] = field(default_factory=dict)

    def add(self, entity_type: str) -> None:
        """Counts one masked value."""
        self.masked[entity_type] = self.masked.get(entity_type, 0) + 1

    def __bool__(self) -> bool:
        return bool(self.masked)


class TextGuard:
    """Masks text by policy.

    Args:
        policy: Levels and treatments. Replace it with :attr:`policy` when it changes.
        tokenizer: Makes the stand-ins.
        index: Exact-match index, or ``None`` as long as nothing is indexed.
        cleared: Values that may be shown although a pattern fits, or ``None`` for none.
    """

    def __init__(
        self,
        policy: Policy,
        tokenizer: Tokenizer,
        index: ExactIndex | None,
        cleared: ClearedValues | None = None,
    ) -> None:
        self.policy = policy
        self.index = index
        self.cleared = cleared
        self._tokenizer = tokenizer

    def under(self, policy: Policy) -> TextGuard:
        """Returns a guard that knows the same values and treats them by another policy."""
        return TextGuard(policy, self._tokenizer, self.index, self.cleared)

    def find(self, text: str) -> list[Span]:
        """Returns the spans that the policy does not let through, in order, not overlapping."""
        seen, offsets = without_invisible(text)
        spans = self._find_visible(seen)
        if offsets is None:
            return spans
        return [
            Span(offsets[s.start], offsets[s.end - 1] + 1, s.entity_type, s.score) for s in spans
        ]

    def _find_visible(self, text: str) -> list[Span]:
        look_at_the_clock()
        recognizers = Recognizers.of(self.policy)
        decoded = decode(text)
        look_at_the_clock()
        spans = self._by_pattern(recognizers, text)
        look_at_the_clock()
        if decoded:
            inside = decoded.find(partial(self._by_pattern, recognizers), patterns=True)
            inside += [Span(start, end, "ENCODED", 1.0) for start, end in decoded.unread]
            spans = joined(spans, without_overlaps(inside))
        if self.index is not None and len(self.index):
            known = self.index.find(text, decoded)
            spans = joined(spans, recognizers.without_allowed(text, known))
        return [s for s in spans if self._treatment(s.entity_type) is not Treatment.SHOW]

    def _by_pattern(self, recognizers: Recognizers, text: str) -> list[Span]:
        spans = find_spans(text, recognizers)
        if self.cleared is None:
            return spans
        return [s for s in spans if not self._is_cleared(text[s.start : s.end])]

    def mask(self, text: str, tally: Tally) -> str:
        """Returns ``text`` with what the policy masks replaced, and counts it in ``tally``."""
        if "\x1b" in text:
            return self._mask_coloured(text, tally)
        spans = self.find(text)
        if not spans:
            return text
        pieces: list[str] = []
        position = 0
        for span in spans:
            pieces += [text[position : span.start], self._replacement(span, text, tally)]
            position = span.end
        pieces.append(text[position:])
        return "".join(pieces)

    def mask_json(self, value: Json, tally: Tally) -> Json:
        """Returns ``value`` with every string, key and long number in it masked."""
        parts: _Parts = {}
        if isinstance(value, (dict, list)) and self.index is not None and len(self.index):
            parts = parts_of_values(value, self.find_known)
        return self._mask_value(value, tally, parts, 0)

    def _mask_value(self, value: Json, tally: Tally, parts: _Parts, depth: int) -> Json:
        if isinstance(value, str):
            return self.mask(value, tally) if len(value) > 2 else value
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, (int, float)):
            return self._mask_number(value, tally)
        if depth > _MAX_DEPTH:
            tally.add("UNKNOWN")
            return "[nested too deep to be checked]"
        if isinstance(value, list):
            return [
                self._mask_value(
                    self._without_parts(item, parts.get((id(value), i)), tally),
                    tally,
                    parts,
                    depth + 1,
                )
                for i, item in enumerate(value)
            ]
        return {
            self.mask(key, tally): self._mask_value(
                self._without_parts(item, parts.get((id(value), key)), tally),
                tally,
                parts,
                depth + 1,
            )
            for key, item in value.items()
        }

    def _without_parts(
        self, item: Json, parts: list[tuple[int, int, str]] | None, tally: Tally
    ) -> Json:
        """Returns a leaf without its parts of values that stand in several leaves."""
        if parts is None:
            return item
        text = str(item)
        for start, end, entity_type in reversed(parts):
            part = Span(start, end, entity_type, 1.0)
            text = text[:start] + self._replacement(part, text, tally) + text[end:]
        return text

    def find_known(self, text: str) -> list[Span]:
        """Returns known values that the policy does not let through."""
        look_at_the_clock()
        if self.index is None:
            return []
        known = Recognizers.of(self.policy).without_allowed(text, self.index.find(text))
        return [s for s in known if self._treatment(s.entity_type) is not Treatment.SHOW]

    def mask_bytes(self, data: bytes, tally: Tally) -> bytes:
        """Returns ``data`` with sensitive text in it overwritten, same length.

        Every byte is read as one character, so offsets stay true; what is not ASCII counts as a
        separator.
        """
        text = data.translate(_ASCII_ONLY).decode("ascii")
        spans = self.find(text)
        if not spans:
            return data
        out = bytearray(data)
        for span in spans:
            tally.add(span.entity_type)
            out[span.start : span.end] = b"*" * (span.end - span.start)
        return bytes(out)

    def _mask_number(self, value: float, tally: Tally) -> Json:
        if isinstance(value, float) and abs(value) < _LEAST_TELLING:
            return value  # digits behind a point are no value, and there are not enough before it
        text = str(value)
        if len(text) < _MIN_NUMBER_DIGITS or sum(c.isdigit() for c in text) < _MIN_NUMBER_DIGITS:
            return value
        masked = self.mask(text, tally)
        return value if masked == text else masked

    def _mask_coloured(self, text: str, tally: Tally) -> str:
        """Masks in the text without escape sequences and puts those outside values back."""
        plain: list[str] = []
        kept: list[tuple[int, str]] = []  # offset in the plain text, escape sequence
        position = length = 0
        for match in _ANSI.finditer(text):
            plain.append(text[position : match.start()])
            length += match.start() - position
            kept.append((length, self._clean_escape(match.group(), tally)))
            position = match.end()
        plain.append(text[position:])
        joined = "".join(plain)
        spans = self.find(joined)
        out: list[str] = []
        position = 0
        escapes = iter([*kept, (len(joined) + 1, "")])
        offset, escape = next(escapes)
        for span in [*spans, None]:
            stop = span.start if span else len(joined)
            while offset <= stop:
                out += [joined[position:offset], escape]
                position = offset
                offset, escape = next(escapes)
            out.append(joined[position:stop])
            position = stop
            if span:
                out.append(self._replacement(span, joined, tally))
                position = span.end
                while offset < position:  # colours inside a value go after its stand-in
                    out.append(escape)
                    offset, escape = next(escapes)
        return "".join(out)

    def _clean_escape(self, escape: str, tally: Tally) -> str:
        """Returns an escape sequence, or nothing if it is no harmless one.

        One that moves the cursor within a line lets a terminal put a value together, which no
        notebook does; one that carries text, such as a link, may carry a value.
        """
        if _MOVES_IN_LINE.fullmatch(escape):
            return ""
        spans = self.find(escape[1:]) if escape.startswith("\x1b]") else []
        for span in spans:
            tally.add(span.entity_type)
        return "" if spans else escape

    def _is_cleared(self, value: str) -> bool:
        """Returns whether an owner lowered a column with this value to a level that is shown."""
        level = None if self.cleared is None else self.cleared.level_of(value)
        if level is None or self.policy.display[level] is not Treatment.SHOW:
            return False
        return self.index is None or not self.index.find(value)

    def _is_encoded(self, value: str) -> bool:
        """Returns whether a value is one only when it is decoded."""
        decoded = decode(value)
        search = partial(self._by_pattern, Recognizers.of(self.policy))
        if not decoded or search(value) or (self.index is not None and self.index.holds(value)):
            return False
        if decoded.unread or decoded.find(search, patterns=True):
            return True
        return self.index is not None and bool(self.index.find(value, decoded))

    def _treatment(self, entity_type: str) -> Treatment:
        return self.policy.display[self.policy.level_of(entity_type)]

    def _replacement(self, span: Span, text: str, tally: Tally) -> str:
        tally.add(span.entity_type)
        value = text[span.start : span.end]
        mask = self.policy.mask_for(span.entity_type, self.policy.level_of(span.entity_type))
        if not mask.is_opaque and self._is_encoded(value):
            mask = REDACTED_WHOLE  # the last characters of a mirrored value are its first
        return mask_in_text(value, mask, span.entity_type, self._tokenizer)
