"""Coordinates of drawings: numbers in SVG paths and polygons that are nobody's.

A plot in SVG holds tens of thousands of numbers, and in so many some have the check digits of a
card by chance. Whoever writes a known value there is still found by exact match.

Source: SVG 2, 9.3 (path data) and 10.6 (points).
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from cloister.detect.spans import touches

if TYPE_CHECKING:
    from cloister.detect.spans import Span

_NUMBERS = r"[0-9eE.,\s+-]*"
_PATH = rf'\bd\s*=\s*["\'](\s*[Mm]{_NUMBERS}(?:[LlHhVvCcSsQqTtAaZzMm]{_NUMBERS})+)["\']'
_POINTS = rf'\bpoints\s*=\s*["\'](\s*{_NUMBERS})["\']'
_COORDINATES = re.compile(r"[0-9.,\s]+")


def without_coordinates(text: str, spans: list[Span]) -> list[Span]:
    """Returns the spans that are no run of plain numbers inside a drawing.

    Args:
        text: What was searched.
        spans: What was found in it, in any order.
    """
    if not spans or ("<path" not in text and "<poly" not in text):
        return spans
    if not any(_COORDINATES.fullmatch(text, span.start, span.end) for span in spans):
        return spans
    ranges = [
        match.span(group)
        for match in _drawing().finditer(text)
        for group in (1, 2)
        if match.group(group) is not None
    ]
    return [
        span
        for span in spans
        if not _COORDINATES.fullmatch(text, span.start, span.end)
        or not touches(ranges, span.start, span.end)
    ]


@cache
def _drawing() -> Any:
    import re2

    return re2.compile(f"{_PATH}|{_POINTS}")
