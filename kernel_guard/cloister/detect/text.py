"""Finds sensitive values in text: patterns, check digits and the words around them.

It runs on every output of a notebook, live, so a text without anything to find costs one pass of
one automaton over all hints (RE2, a few hundred MB/s); rules run only where their hint was seen.
What has no pattern, such as a name, is found by exact match (:mod:`cloister.detect.exact`).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from cloister.detect.drawings import without_coordinates
from cloister.detect.series import without_rows_of_matrices
from cloister.detect.spans import STAND_IN, Span, touches, without_overlaps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cloister.detect.folding import Offsets
    from cloister.detect.recognizers import Recognizers
    from cloister.detect.rules import Rule

__all__ = ["RuleSet", "Span", "find_spans", "hot_rules", "without_overlaps"]

_AUTOMATON_BYTES = 64 << 20
_SHORTEST_CHARS = 7
# Of a long text: how much is asked at once for hints, how much of its neighbours comes along, and
# how far a value may reach that begins in it.
_BLOCK_BYTES = 4_096
_HINT_BYTES = 512
_MARGIN_BYTES = 1_024


class RuleSet:
    """Rules that are looked for together. Built once; safe to share between threads.

    Args:
        rules: In any order; where two claim one place, the score and the length decide.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        import re2

        options = _options()
        self._rules = tuple(rules)
        self._patterns = tuple(re2.compile(rule.pattern, options) for rule in rules)
        # Tells in one pass which rules have a place in a text.
        self._hints = re2.Set.SearchSet(_options())
        for rule in rules:
            self._hints.Add(rule.hint or rule.pattern)
        self._hints.Compile()

    def claims(self, text: str) -> list[Span]:
        """Returns every place that a rule claims, in no order; places may overlap."""
        if len(text) < _SHORTEST_CHARS:
            return []
        plain, offsets = (text, None) if text.isascii() else _fold(text)
        data = plain.encode("ascii")
        stretches = self._stretches(data)
        if not stretches:
            return []
        masked: list[tuple[int, int]] = []
        if "~" in plain or "[" in plain:
            masked = [match.span() for match in _stand_in().finditer(data)]
        if masked:
            plain, data = _blanked(data, masked)
        claims = [
            claim
            for number, first, last in stretches
            for claim in self._claims_of(number, plain, data, first, last)
            if not touches(masked, claim.start, claim.end)
        ]
        if offsets is None:
            return claims
        return [
            Span(offsets[s.start], offsets[s.end - 1] + 1, s.entity_type, s.score) for s in claims
        ]

    def _claims_of(
        self, number: int, plain: str, data: bytes, first: int, last: int
    ) -> Iterator[Span]:
        rule = self._rules[number]
        entity_type, score, check = rule.entity_type, rule.score, rule.check
        for match in self._patterns[number].finditer(data, first, last):
            start, end = match.span()
            if check is None:
                yield Span(start, end, entity_type, score)
                continue
            place = check(plain, start, end)
            if place is not None:
                yield Span(*place, entity_type, score)

    def _stretches(self, data: bytes) -> list[tuple[int, int, int]]:
        """Returns which rules have a place in which stretches: rule, from, to.

        A long text is asked in blocks, since one that has a hint somewhere has it seldom
        everywhere. A stretch reaches past its blocks, and to the end of a line, so that no value
        is cut.
        """
        length = len(data)
        if length <= _BLOCK_BYTES + 2 * _HINT_BYTES:
            return [(number, 0, length) for number in self._hints.Match(data) or ()]
        stretches: list[tuple[int, int, int]] = []
        reaching: dict[int, tuple[int, int]] = {}
        line_end = -1
        for first in range(0, length, _BLOCK_BYTES):
            last = first + _BLOCK_BYTES
            seen = self._hints.Match(data[max(0, first - _HINT_BYTES) : last + _HINT_BYTES])
            if not seen:
                continue
            start, end = max(0, first - _MARGIN_BYTES), last + _MARGIN_BYTES
            if line_end < end:
                line_end = data.find(b"\n", end)
                line_end = length if line_end < 0 else line_end
            for number in seen:
                known = reaching.get(number)
                if known is not None and known[1] < start:
                    stretches.append((number, *known))
                    known = None
                reaching[number] = (start if known is None else known[0], line_end)
        return stretches + [(number, *known) for number, known in reaching.items()]


def find_spans(text: str, recognizers: Recognizers | None = None) -> list[Span]:
    """Returns the sensitive values in ``text``, in order and without overlaps.

    Where two rules claim one place the higher score stays, then the longer span. What stands in for
    a value already (``US_SSN~k3f7x2abqd``, ``[US_SSN]``) is never looked into.

    Args:
        text: Any text.
        recognizers: What an admin adds, and what is never sensitive.
    """
    claims = without_coordinates(text, hot_rules().claims(text))
    claims = without_rows_of_matrices(text, claims)
    if recognizers is not None and recognizers:
        claims = recognizers.without_allowed(text, claims + recognizers.find(text))
    return without_overlaps(claims)


@cache
def hot_rules() -> RuleSet:
    """Returns the rules that run on every output."""
    from cloister.detect.addresses import STREET_RULES
    from cloister.detect.credentials import CREDENTIAL_RULES
    from cloister.detect.dates import BIRTH_RULES
    from cloister.detect.documents import DOCUMENT_RULES
    from cloister.detect.identifiers import IDENTIFIER_RULES
    from cloister.detect.network import NETWORK_RULES
    from cloister.detect.payments import PAYMENT_RULES
    from cloister.detect.people import PEOPLE_RULES
    from cloister.detect.phones import TRUNK_RULES

    return RuleSet(
        (
            *CREDENTIAL_RULES,
            *IDENTIFIER_RULES,
            *NETWORK_RULES,
            *BIRTH_RULES,
            *DOCUMENT_RULES,
            *PAYMENT_RULES,
            *PEOPLE_RULES,
            *STREET_RULES,
            *TRUNK_RULES,
        )
    )


def _blanked(data: bytes, ranges: list[tuple[int, int]]) -> tuple[str, bytes]:
    """Returns a text without what stands in some ranges, as characters and as bytes."""
    blanked = bytearray(data)
    for start, end in ranges:
        blanked[start:end] = bytes(end - start)
    return blanked.decode("ascii"), bytes(blanked)


@cache
def _stand_in() -> Any:
    import re2

    return re2.compile(STAND_IN.pattern.replace("\u2026", ""), _options())


def _options() -> Any:
    import re2

    options = re2.Options()
    options.max_mem = _AUTOMATON_BYTES
    options.log_errors = False
    return options


def _fold(text: str) -> tuple[str, Offsets | None]:
    from cloister.detect.folding import fold

    return fold(text)
