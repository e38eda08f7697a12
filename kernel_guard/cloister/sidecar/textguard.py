"""Masks sensitive values in what a kernel says: text, terminal colours, JSON of any depth, bytes.

What a value is, :class:`~cloister.detect.valuefinder.ValueFinder` decides, with the policy,
patterns and the exact-match index; here it is taken out of the shapes that messages have, and
counted. A text with terminal colours is scanned without them, because an escape sequence inside a
value must not hide it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from cloister.detect.mask import mask_text
from cloister.detect.spans import Span
from cloister.detect.valuefinder import ESCAPE_SEQUENCE, ValueFinder
from cloister.sidecar.leaves import parts_of_values
from cloister.sidecar.outgoing.deadline import look_at_the_clock

if TYPE_CHECKING:
    from cloister.core.policy import Policy
    from cloister.detect.cleared import ClearedValues
    from cloister.detect.exact import ExactIndex
    from cloister.detect.tokens import Tokenizer
    from cloister.sidecar.leaves import Place

Json: TypeAlias = "None | bool | int | float | str | list[Any] | dict[str, Any]"

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

    @property
    def finder(self) -> ValueFinder:
        """Finds by what is known now."""
        known = (self.index, self.cleared)
        return ValueFinder(self.policy, self._tokenizer, *known, before_step=look_at_the_clock)

    def find(self, text: str) -> list[Span]:
        """Returns the spans that the policy does not let through, in order, not overlapping."""
        return self.finder.find(text)

    def find_known(self, text: str) -> list[Span]:
        """Returns known values that the policy does not let through."""
        look_at_the_clock()
        return self.finder.find_known(text)

    def mask(self, text: str, tally: Tally) -> str:
        """Returns ``text`` with what the policy masks replaced, and counts it in ``tally``."""
        if "\x1b" in text:
            return self._mask_coloured(text, tally)
        spans = self.find(text)
        if not spans:
            return text
        for span in spans:
            tally.add(span.entity_type)
        return mask_text(text, spans, self.finder.stand_in)

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
        for match in ESCAPE_SEQUENCE.finditer(text):
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

    def _replacement(self, span: Span, text: str, tally: Tally) -> str:
        tally.add(span.entity_type)
        return self.finder.stand_in(span, text[span.start : span.end])
