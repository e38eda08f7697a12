"""Masks sensitive values in text and in JSON of any depth.

Decides with three things: patterns, the exact-match index, and the policy's treatment of the level
of what was found. Everything is a pure function of those and the text. A text with terminal colours
is scanned without them, because an escape sequence inside a value must not hide it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from cloister.core.policy import Treatment
from cloister.detect.text import Span, find_spans

if TYPE_CHECKING:
    from cloister.core.policy import Policy
    from cloister.detect.exact import ExactIndex
    from cloister.detect.tokens import Tokenizer

Json: TypeAlias = "None | bool | int | float | str | list[Any] | dict[str, Any]"

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_ASCII_ONLY = bytes(range(128)) + b" " * 128
_MIN_NUMBER_DIGITS = 9
_MAX_DEPTH = 200


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
    """

    def __init__(self, policy: Policy, tokenizer: Tokenizer, index: ExactIndex | None) -> None:
        self.policy = policy
        self.index = index
        self._tokenizer = tokenizer

    def find(self, text: str) -> list[Span]:
        """Returns the spans that the policy does not let through, in order, not overlapping."""
        spans = find_spans(text)
        if self.index is not None and len(self.index):
            spans = _merge(spans, self.index.find(text))
        return [s for s in spans if self._treatment(s.entity_type) is not Treatment.SHOW]

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

    def mask_json(self, value: Json, tally: Tally, depth: int = 0) -> Json:
        """Returns ``value`` with every string, key and long number in it masked."""
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
            return [self.mask_json(item, tally, depth + 1) for item in value]
        return {
            self.mask(key, tally): self.mask_json(item, tally, depth + 1)
            for key, item in value.items()
        }

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
        text = str(value)
        if sum(c.isdigit() for c in text) < _MIN_NUMBER_DIGITS:
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
            kept.append((length, match.group()))
            position = match.end()
        plain.append(text[position:])
        joined = "".join(plain)
        spans = self.find(joined)
        if not spans:
            return text
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

    def _treatment(self, entity_type: str) -> Treatment:
        return self.policy.display[self.policy.level_of(entity_type)]

    def _replacement(self, span: Span, text: str, tally: Tally) -> str:
        tally.add(span.entity_type)
        value = text[span.start : span.end]
        treatment = self._treatment(span.entity_type)
        if treatment is Treatment.TOKEN:
            return self._tokenizer.token(span.entity_type, value)
        if treatment is Treatment.PARTIAL and len(value) > 8:
            return f"[{span.entity_type} …{value[-4:]}]"
        return f"[{span.entity_type}]"


def _merge(first: list[Span], second: list[Span]) -> list[Span]:
    """Returns spans of both lists; what overlaps is joined under the type of the longer one."""
    if not second:
        return first
    merged: list[Span] = []
    for span in sorted([*first, *second], key=lambda s: (s.start, -s.end)):
        if merged and span.start < merged[-1].end:
            last = merged[-1]
            longer = max(last, span, key=lambda s: s.end - s.start)
            merged[-1] = Span(last.start, max(last.end, span.end), longer.entity_type, longer.score)
        else:
            merged.append(span)
    return merged
