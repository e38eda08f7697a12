"""Finds the values in text that a policy does not show, with everything that is known.

Patterns, the policy's own types, encoded pieces and the exact-match index; what a pattern finds may
have been cleared by a data owner, what the index finds is sensitive somewhere, and that wins. The
gate, files that leave and calls to providers all ask here, so that no two of them know different
values. Text in, spans out: everything is a pure function of the fields and the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from cloister.core.masks import REDACTED_WHOLE
from cloister.core.policy import Treatment
from cloister.detect.decoded import decode
from cloister.detect.folding import without_invisible
from cloister.detect.mask import mask_text
from cloister.detect.masking.cells import mask_in_text
from cloister.detect.recognizers import Recognizers
from cloister.detect.spans import Span, joined, without_overlaps
from cloister.detect.text import find_spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cloister.core.labels import Level
    from cloister.core.policy import Policy
    from cloister.detect.cleared import ClearedValues
    from cloister.detect.exact import ExactIndex
    from cloister.detect.masking.keyed import Keyed

#: Sequences that tell a terminal what to do; one of them inside a value must not hide it.
ESCAPE_SEQUENCE: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])"
)
#: In a longer text it is worth while to leave out what is nothing but measurements.
_LONG_CHARS: Final = 16_384
_WORDS: Final = str.maketrans("._", "  ")


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class ValueFinder:
    """Finds and masks values by policy.

    Attributes:
        policy: Levels, treatments, masks, own types and allow list.
        keyed: Makes the stand-ins.
        index: Values of the workspace's data, or ``None``.
        cleared: Values that may be shown although a pattern fits, or ``None`` for none.
        before_step: Called before each step of a search; what it raises ends the search.
    """

    policy: Policy
    keyed: Keyed
    index: ExactIndex | None = None
    cleared: ClearedValues | None = None
    before_step: Callable[[], None] = _nothing

    def find(self, text: str) -> list[Span]:
        """Returns the spans that the policy does not show, in order and without overlaps."""
        if "\x1b" in text:
            return self._find_coloured(text)
        seen, offsets = without_invisible(text)
        spans = self._find_visible(seen)
        if offsets is None:
            return spans
        return [
            Span(offsets[s.start], offsets[s.end - 1] + 1, s.entity_type, s.score) for s in spans
        ]

    def find_known(self, text: str) -> list[Span]:
        """Returns values of the index that the policy does not show; no pattern is asked."""
        if self.index is None:
            return []
        known = Recognizers.of(self.policy).without_allowed(text, self.index.find(text))
        return self._hidden(known)

    def find_in_name(self, name: str) -> list[Span]:
        """Returns what is found in the name of a file; dots and underscores end words in it."""
        return joined(self.find(name), self.find(name.translate(_WORDS)))

    def mask(self, text: str) -> tuple[str, list[Span]]:
        """Returns a text with its values masked, and what was found in it."""
        spans = self.find(text)
        return (mask_text(text, spans, self.stand_in) if spans else text), spans

    def mask_name(self, name: str) -> str:
        """Returns the name of a file masked."""
        spans = self.find_in_name(name)
        return mask_text(name, spans, self.stand_in) if spans else name

    def stand_ins(self, text: str) -> list[tuple[str, str]]:
        """Returns what stands in for each value of a text, with the value."""
        spans = self.find(text)
        return [(self.stand_in(s, text[s.start : s.end]), text[s.start : s.end]) for s in spans]

    def stand_in(self, span: Span, value: str) -> str:
        """Returns what is shown in place of a value."""
        mask = self.policy.mask_for(span.entity_type, self.policy.level_of(span.entity_type))
        if not mask.is_opaque and self._is_encoded(value):
            mask = REDACTED_WHOLE  # the last characters of a mirrored value are its first
        return mask_in_text(value, mask, span.entity_type, self.keyed)

    def is_hidden(self, entity_type: str) -> bool:
        """Returns whether values of a type are not shown."""
        return self.policy.display[self.policy.level_of(entity_type)] is not Treatment.SHOW

    def levels(self, entity_types: Iterable[str]) -> set[Level]:
        """Returns the levels of some types."""
        return {self.policy.level_of(entity_type) for entity_type in entity_types}

    def _find_visible(self, text: str) -> list[Span]:
        recognizers = Recognizers.of(self.policy)
        # An admin's own pattern may be one of decimal numbers.
        if len(text) < _LONG_CHARS or recognizers.entity_types:
            return self._find_in(recognizers, text)
        from cloister.detect.decimals import stretches_with_more

        return [
            Span(s.start + start, s.end + start, s.entity_type, s.score)
            for start, end in stretches_with_more(text, has_tags=True)
            for s in self._find_in(recognizers, text[start:end])
        ]

    def _find_in(self, recognizers: Recognizers, text: str) -> list[Span]:
        self.before_step()
        decoded = decode(text)
        self.before_step()
        spans = self._by_pattern(recognizers, text)
        self.before_step()
        if decoded:
            inside = decoded.find(partial(self._by_pattern, recognizers), patterns=True)
            inside += [Span(start, end, "ENCODED", 1.0) for start, end in decoded.unread]
            spans = joined(spans, without_overlaps(inside))
        if self.index is not None and len(self.index):
            known = self.index.find(text, decoded)
            spans = joined(spans, recognizers.without_allowed(text, known))
        return self._hidden(spans)

    def _find_coloured(self, text: str) -> list[Span]:
        """Finds in the text without escape sequences, which may stand inside a value."""
        kept = [i for a, b in _between_escapes(text) for i in range(a, b)]
        plain = "".join(text[i] for i in kept).replace("\x1b", " ")
        return [
            Span(kept[s.start], kept[s.end - 1] + 1, s.entity_type, s.score)
            for s in self.find(plain)
        ]

    def _by_pattern(self, recognizers: Recognizers, text: str) -> list[Span]:
        spans = find_spans(text, recognizers)
        if self.cleared is None:
            return spans
        return [s for s in spans if not self._is_cleared(text[s.start : s.end])]

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

    def _hidden(self, spans: list[Span]) -> list[Span]:
        return [span for span in spans if self.is_hidden(span.entity_type)]


def _between_escapes(text: str) -> Iterator[tuple[int, int]]:
    position = 0
    for match in ESCAPE_SEQUENCE.finditer(text):
        yield position, match.start()
        position = match.end()
    yield position, len(text)
