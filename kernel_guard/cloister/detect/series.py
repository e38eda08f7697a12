"""Numbers and dates that are steps of a series or cells of a matrix, and nobody's by themselves.

A time axis is full of days on which somebody in the data was born, and a matrix of four-digit
numbers has a row in fifty with the check digit of a card. What follows a rule says no more than the
rule does: a date counts as one of an axis when it and its neighbours are equally far apart, a card
as a row of a matrix when the rows around it have the same shape and are no cards.
"""

from __future__ import annotations

import itertools
import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from cloister.detect.checksums import is_card

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloister.detect.spans import Span

_AROUND_CHARS: Final = 1_500
_DATE: Final = re.compile(r"(?<!\d)(\d{4})[-/](\d\d)[-/](\d\d)(?!\d)")
_FEWEST_DATES: Final = 5
_SATURDAY: Final = 5
_ROW: Final = re.compile(r"(?<!\S)[\[ ]*\d{4}(?: +\d{4}){3,}[\] ]*(?!\S)")
_GROUPS: Final = re.compile(r"\d{4}(?: \d{4}){3}")
_FEWEST_ROWS: Final = 3


def in_series(text: str, start: int, end: int) -> bool:
    """Returns whether a date is one of at least five that follow each other in equal steps.

    Args:
        text: The whole text.
        start: Where the date begins.
        end: Where it ends.
    """
    first = max(0, start - _AROUND_CHARS)
    dates: list[date] = []
    place = -1
    for match in _DATE.finditer(text, first, end + _AROUND_CHARS):
        day = _day(match)
        if day is None or (dates and day == dates[-1] and match.start() < start):
            continue
        if match.start() <= start and end <= match.end():
            place = len(dates)
        dates.append(day)
    if place < 0:
        return False
    runs = (
        dates[i : i + _FEWEST_DATES] for i in range(max(0, place - _FEWEST_DATES + 1), place + 1)
    )
    return any(len(run) == _FEWEST_DATES and _is_regular(run) for run in runs)


def _day(match: re.Match[str]) -> date | None:
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


def _is_regular(days: Sequence[date]) -> bool:
    steps = {b - a for a, b in itertools.pairwise(days)}
    if timedelta(0) in steps:
        return False
    return len(steps) == 1 or _are_months(days) or _are_working_days(days)


def _are_months(days: Sequence[date]) -> bool:
    months = [12 * day.year + day.month for day in days]
    steps = {b - a for a, b in itertools.pairwise(months)}
    if len(steps) != 1 or 0 in steps:
        return False
    at_ends = all((day + timedelta(1)).day == 1 for day in days)
    return at_ends or len({day.day for day in days}) == 1


def _are_working_days(days: Sequence[date]) -> bool:
    if any(day.weekday() >= _SATURDAY for day in days):
        return False
    ordered = sorted(days)
    if list(days) not in (ordered, ordered[::-1]):
        return False
    return all(
        (b - a).days == (3 if a.weekday() == _SATURDAY - 1 else 1)
        for a, b in itertools.pairwise(ordered)
    )


def without_rows_of_matrices(text: str, spans: list[Span]) -> list[Span]:
    """Returns the spans without cards that are part of a row of a matrix.

    Args:
        text: What was searched.
        spans: What was found in it, in any order.
    """
    cards = [
        s
        for s in spans
        if s.entity_type == "CREDIT_CARD" and _GROUPS.fullmatch(text, s.start, s.end)
    ]
    chance = {card for card in cards if _is_row(text, card)}
    return [span for span in spans if span not in chance] if chance else spans


def _is_row(text: str, card: Span) -> bool:
    begin = text.rfind("\n", 0, card.start) + 1
    row = _line(text, begin)
    if _ROW.fullmatch(row) is None:
        return False
    alike = [
        line
        for line in (*_lines_before(text, begin), *_lines_after(text, begin + len(row)))
        if _ROW.fullmatch(line) is not None and len(line.split()) == len(row.split())
    ]
    return len(alike) >= _FEWEST_ROWS and 2 * sum(map(_has_card, alike)) < len(alike)


def _has_card(line: str) -> bool:
    groups = re.findall(r"\d{4}", line)
    return any(is_card("".join(groups[i : i + 4])) for i in range(len(groups) - 3))


def _line(text: str, begin: int) -> str:
    end = text.find("\n", begin)
    return text[begin : len(text) if end < 0 else end]


def _lines_before(text: str, begin: int) -> list[str]:
    return text[max(0, begin - _AROUND_CHARS) : begin].split("\n")[-4:]


def _lines_after(text: str, end: int) -> list[str]:
    return text[end : end + _AROUND_CHARS].split("\n")[1:4]
