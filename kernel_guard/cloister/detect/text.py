"""Finds sensitive values in text: patterns, check digits and the words around them.

It runs on every output of a notebook, live, so a text without anything to find costs one pass of
one automaton over all hints (RE2, a few hundred MB/s); rules run only where their hint was seen.
What has no pattern, such as a name, is found by exact match (:mod:`cloister.detect.exact`).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from cloister.detect.tokens import TOKEN_PATTERN

if TYPE_CHECKING:
    from cloister.detect.rules import Rule

_AUTOMATON_BYTES = 64 << 20
_SHORTEST_CHARS = 7
# What already stands in for a value: never looked into, and no context for what follows it.
# Folding has made a full stop of the ellipsis in ``[US_SSN …9871]``.
_STAND_IN = re.compile(rf"{TOKEN_PATTERN.pattern}|\[[A-Z][A-Z0-9_]{{2,40}}(?: \..{{1,4}})?\]")


@dataclass(frozen=True, slots=True)
class Span:
    """A sensitive value in a text.

    Attributes:
        start: Offset of its first character, in code points.
        end: Offset after its last.
        entity_type: Presidio's name.
        score: Confidence, 0 to 1.
    """

    start: int
    end: int
    entity_type: str
    score: float


def find_spans(text: str) -> list[Span]:
    """Returns the sensitive values in ``text``, in order and without overlaps.

    Where two rules claim one place the higher score stays, then the longer span. What stands in for
    a value already (``US_SSN~k3f7x2abqd``, ``[US_SSN]``) is never looked into.
    """
    if len(text) < _SHORTEST_CHARS:
        return []
    plain, offsets = (text, None) if text.isascii() else _fold(text)
    seen = _hints().Match(plain)
    if not seen:
        return []
    masked: list[tuple[int, int]] = []
    if "~" in plain or "[" in plain:
        masked = [match.span() for match in _STAND_IN.finditer(plain)]
        plain = _STAND_IN.sub(lambda m: "\x00" * len(m.group()), plain)
    claims: list[Span] = []
    data = plain.encode("ascii")
    for number in seen:
        rule, pattern = _rules()[number], _patterns()[number]
        for match in pattern.finditer(data):
            place: tuple[int, int] | None = match.span()
            if rule.check is not None:
                place = rule.check(plain, *match.span())
            if place is not None and not _touches(masked, *place):
                claims.append(Span(*place, rule.entity_type, rule.score))
    spans = without_overlaps(claims)
    if offsets is None:
        return spans
    return [Span(offsets[s.start], offsets[s.end - 1] + 1, s.entity_type, s.score) for s in spans]


def without_overlaps(claims: list[Span]) -> list[Span]:
    """Returns the claims in order; of those that overlap, higher scores and longer spans stay."""
    if len(claims) < 2:
        return claims
    kept: list[Span] = []
    end = 0
    # Claims that touch are settled among themselves; groups of them never meet.
    group: list[Span] = []
    for claim in sorted(claims, key=lambda s: s.start):
        if group and claim.start >= end:
            kept += _settle(group)
            group = []
        group.append(claim)
        end = max(end, claim.end)
    return kept + _settle(group)


def _touches(masked: list[tuple[int, int]], start: int, end: int) -> bool:
    """Returns whether a range overlaps one of some ranges that are in order."""
    following = bisect_left(masked, (end,))
    return following > 0 and masked[following - 1][1] > start


def _settle(group: list[Span]) -> list[Span]:
    if len(group) == 1:
        return group
    kept: list[Span] = []
    for claim in sorted(group, key=lambda s: (-s.score, s.start - s.end, s.start)):
        if all(claim.end <= other.start or claim.start >= other.end for other in kept):
            kept.append(claim)
    return sorted(kept, key=lambda s: s.start)


def _options() -> Any:
    import re2

    options = re2.Options()
    options.max_mem = _AUTOMATON_BYTES
    options.log_errors = False
    return options


def _fold(text: str) -> tuple[str, list[int] | None]:
    from cloister.detect.folding import fold

    return fold(text)


@cache
def _rules() -> tuple[Rule, ...]:
    from cloister.detect.credentials import CREDENTIAL_RULES
    from cloister.detect.identifiers import IDENTIFIER_RULES
    from cloister.detect.people import PEOPLE_RULES

    return (*CREDENTIAL_RULES, *IDENTIFIER_RULES, *PEOPLE_RULES)


@cache
def _hints() -> Any:
    """Returns the automaton that tells which rules have a place in a text."""
    import re2

    hints = re2.Set.SearchSet(_options())
    for rule in _rules():
        hints.Add(rule.hint or rule.pattern)
    hints.Compile()
    return hints


@cache
def _patterns() -> tuple[Any, ...]:
    import re2

    options = _options()
    return tuple(re2.compile(rule.pattern, options) for rule in _rules())
