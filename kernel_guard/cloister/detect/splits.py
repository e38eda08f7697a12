"""Numbers that a table shows in several cells: ``219 | 09 | 9871``.

Three numbers side by side that make a known one are chance in any page of numbers, and so such a
match is dropped (:mod:`cloister.detect.plausible`). The same in one line after the other is none:
known numbers in pieces of the same lengths at the same place of three lines that follow each other.
With a million known numbers of nine digits, a page of 24,000 random numbers holds that once in
several hundred pages.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

FEWEST_LINES: Final = 3
_MOST_BETWEEN: Final = 2  # a line without a value may stand between
_SHORTEST_NUMBER_DIGITS: Final = 6
_NEWLINE = re.compile("\n")
# Letters, another line, decimals: no cells of one value.
_IS_NO_ROW = re.compile(r"[^\W\d_]|\n|\d\.\d")
_TOKEN = re.compile(r"\w+")


def in_columns(text: str, places: Sequence[tuple[int, int]]) -> list[int]:
    """Returns which known numbers stand in the same cells of lines that follow each other.

    Args:
        text: The whole text.
        places: Where known letters and digits stand that are no match by themselves.
    """
    lines = [0, *(m.end() for m in _NEWLINE.finditer(text))]
    columns: dict[tuple[int, ...], list[tuple[int, int, str]]] = defaultdict(list)
    for number, (start, end) in enumerate(places):
        value = text[start:end]
        pieces = re.findall(r"\d+", value)
        digits = "".join(pieces)
        if len(digits) < _SHORTEST_NUMBER_DIGITS or _IS_NO_ROW.search(value):
            continue
        line = bisect_right(lines, start) - 1
        before = len(_TOKEN.findall(text, lines[line], start))
        columns[(before, *map(len, pieces))].append((line, number, digits))
    found: list[int] = []
    for hits in columns.values():
        hits.sort()
        run: list[tuple[int, int, str]] = []
        for hit in hits:
            if run and hit[0] - run[-1][0] > _MOST_BETWEEN:
                found += _counted(run)
                run = []
            run.append(hit)
        found += _counted(run)
    return sorted(found)


def _counted(run: list[tuple[int, int, str]]) -> list[int]:
    is_table = len({digits for _, _, digits in run}) >= FEWEST_LINES
    return [number for _, number, _ in run] if is_table else []
