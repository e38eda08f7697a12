"""Finds the values in text that a policy does not show, with everything that is known.

Patterns, the policy's own types, encoded pieces and the exact-match index, as at the gate. What
leaves as a file has no cell and no channel, so there is nothing here but text in, spans out.
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
    from collections.abc import Iterable, Iterator

    from cloister.core.labels import Level
    from cloister.core.policy import Policy
    from cloister.detect.exact import ExactIndex
    from cloister.detect.masking.keyed import Keyed

_WORDS: Final = str.maketrans("._", "  ")
_ANSI: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


@dataclass(frozen=True, slots=True)
class ValueFinder:
    """Finds and masks values by policy.

    Attributes:
        policy: Levels, treatments, masks, own types and allow list.
        keyed: Makes the stand-ins.
        index: Values of the workspace's data, or ``None``.
    """

    policy: Policy
    keyed: Keyed
    index: ExactIndex | None = None

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

    def _find_visible(self, text: str) -> list[Span]:
        recognizers = Recognizers.of(self.policy)
        search = partial(find_spans, recognizers=recognizers)
        decoded = decode(text)
        spans = search(text)
        if decoded:
            inside = decoded.find(search, patterns=True)
            inside += [Span(start, end, "ENCODED", 1.0) for start, end in decoded.unread]
            spans = joined(spans, without_overlaps(inside))
        if self.index is not None and len(self.index):
            known = self.index.find(text, decoded)
            spans = joined(spans, recognizers.without_allowed(text, known))
        return [span for span in spans if self.is_hidden(span.entity_type)]

    def mask(self, text: str) -> tuple[str, list[Span]]:
        """Returns a text with its values masked, and what was found in it."""
        spans = self.find(text)
        return (mask_text(text, spans, self._stand_in) if spans else text), spans

    def mask_name(self, name: str) -> str:
        """Returns the name of a file masked; dots and underscores end words in it."""
        spans = joined(self.find(name), self.find(name.translate(_WORDS)))
        return mask_text(name, spans, self._stand_in) if spans else name

    def stand_ins(self, text: str) -> list[tuple[str, str]]:
        """Returns what stands in for each value of a text, with the value."""
        spans = self.find(text)
        return [(self._stand_in(s, text[s.start : s.end]), text[s.start : s.end]) for s in spans]

    def is_hidden(self, entity_type: str) -> bool:
        """Returns whether values of a type are not shown."""
        return self.policy.display[self.policy.level_of(entity_type)] is not Treatment.SHOW

    def levels(self, entity_types: Iterable[str]) -> set[Level]:
        """Returns the levels of some types."""
        return {self.policy.level_of(entity_type) for entity_type in entity_types}

    def _find_coloured(self, text: str) -> list[Span]:
        """Finds in the text without escape sequences, which may stand inside a value."""
        kept = [i for a, b in _between_escapes(text) for i in range(a, b)]
        plain = "".join(text[i] for i in kept).replace("\x1b", " ")
        return [
            Span(kept[s.start], kept[s.end - 1] + 1, s.entity_type, s.score)
            for s in self.find(plain)
        ]

    def _stand_in(self, span: Span, value: str) -> str:
        mask = self.policy.mask_for(span.entity_type, self.policy.level_of(span.entity_type))
        if not mask.is_opaque and not any(s.entity_type == span.entity_type for s in _plain(value)):
            # Parts of an encoded or indexed value may be parts of another spelling of it.
            mask = REDACTED_WHOLE
        return mask_in_text(value, mask, span.entity_type, self.keyed)


def _between_escapes(text: str) -> Iterator[tuple[int, int]]:
    position = 0
    for match in _ANSI.finditer(text):
        yield position, match.start()
        position = match.end()
    yield position, len(text)


def _plain(value: str) -> list[Span]:
    return find_spans(value)
