"""A place in a text, which of several claims to a place holds, and what is never looked into."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloister.detect.tokens import TOKEN_PATTERN

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What stands in for a value already. It is never looked into, and is no context for what follows.
#: Folding has made a full stop of the ellipsis in ``[US_SSN …9871]``.
STAND_IN = re.compile(
    rf"{TOKEN_PATTERN.pattern}|\[redacted\]|\[[A-Z][A-Z0-9_]{{2,40}}(?: [.…].{{1,4}})?\]"
)


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


def stand_ins(text: str) -> list[tuple[int, int]]:
    """Returns the half-open ranges of tokens and marks in ``text``, in order."""
    if "~" not in text and "[" not in text:
        return []
    return [match.span() for match in STAND_IN.finditer(text)]


def touches(ranges: Sequence[tuple[int, int]], start: int, end: int) -> bool:
    """Returns whether a range overlaps one of some ranges that are in order and apart."""
    following = bisect_left(ranges, (end,))
    return following > 0 and ranges[following - 1][1] > start


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


def _settle(group: list[Span]) -> list[Span]:
    if len(group) == 1:
        return group
    taken: list[tuple[int, int]] = []  # in order and apart
    kept: list[Span] = []
    for claim in sorted(group, key=lambda s: (-s.score, s.start - s.end, s.start)):
        if not touches(taken, claim.start, claim.end):
            taken.insert(bisect_left(taken, (claim.start,)), (claim.start, claim.end))
            kept.append(claim)
    return sorted(kept, key=lambda s: s.start)


def joined(first: list[Span], second: list[Span]) -> list[Span]:
    """Returns spans of both lists; what overlaps is joined under the type of the longer one.

    Nothing that either list covers is left uncovered. Of two that are as long, ``second`` says what
    it is. Each list is without overlaps.
    """
    if not first or not second:
        return first or second
    merged: list[Span] = []
    for span in sorted([*second, *first], key=lambda s: (s.start, -s.end)):
        if merged and span.start < merged[-1].end:
            last = merged[-1]
            longer = max(last, span, key=lambda s: s.end - s.start)
            merged[-1] = Span(last.start, max(last.end, span.end), longer.entity_type, longer.score)
        else:
            merged.append(span)
    return merged
