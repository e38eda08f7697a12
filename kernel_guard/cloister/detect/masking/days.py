"""Masks of dates: cut to a period, or moved by the days of their subject.

Dates, datetimes (aware ones and pandas' own too) and ISO 8601 text. Other text could mean two days:
``04/05/1954`` shows its year at most. Each function returns ``None`` for what it cannot read.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

_ISO = re.compile(r"(\d{4})([-/])(0[1-9]|1[0-2])\2(\d{2})(?=$|[T ])")
#: A date and the time of its day, and nothing behind it that could be something else.
_MOMENT = re.compile(
    r"(\d{4})([-/])(\d{2})\2(\d{2})"
    r"((?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?)?)"
)
_CUT = re.compile(r"\d{4}(?:-(?:\d{2}|Q[1-4]))?")
_CUT_LENGTH: Final = {"month": (4, 7), "quarter": (4, 7), "year": (4,)}
_ANY_ORDER = re.compile(r"\d{1,2}[-/. ]\d{1,2}[-/. ](\d{4})")


def period(value: object, unit: str) -> object:
    """Returns the first day of a date's period; of text, the period: ``1954-05``, ``1954-Q2``."""
    if isinstance(value, str):
        return _written_period(value.strip(), unit)
    if not isinstance(value, dt.date):
        return None
    month = _first_month(value.month, unit)
    if not isinstance(value, dt.datetime):
        return value.replace(month=month, day=1)
    midnight: dict[str, int] = dict.fromkeys(("hour", "minute", "second", "microsecond"), 0)
    if hasattr(value, "nanosecond"):  # pandas' own
        midnight["nanosecond"] = 0
    return value.replace(month=month, day=1, **midnight)  # type: ignore[arg-type] # names are those


def shifted(value: object, days: int) -> object:
    """Returns a date moved by some days; of ISO text, text in the same form."""
    try:
        if isinstance(value, str):
            return _written_shifted(value.strip(), days)
        if isinstance(value, dt.date):
            return value + dt.timedelta(days=days)
    except (OverflowError, ValueError):
        return None
    return None


def days_of(offset: float, most: int) -> int:
    """Returns the days of a subject: 1 to ``most``, before or after, never none.

    Args:
        offset: In [-1, 1), the same for equal subjects.
        most: The most days.
    """
    days = min(1 + int(abs(offset) * most), most)
    return days if offset >= 0 else -days


def _first_month(month: int, unit: str) -> int:
    if unit == "year":
        return 1
    return month if unit == "month" else month - (month - 1) % 3


def _written_period(text: str, unit: str) -> str | None:
    if len(text) in _CUT_LENGTH[unit] and _CUT.fullmatch(text):
        if len(text) == 4 or ("Q" in text) == (unit == "quarter"):
            return text
        return None
    found = _ISO.match(text)
    if found is None:
        other = _ANY_ORDER.match(text) if unit == "year" else None
        return None if other is None else other[1]
    year, month = found[1], int(found[3])
    if unit == "year":
        return year
    return f"{year}-{found[3]}" if unit == "month" else f"{year}-Q{(month + 2) // 3}"


def _written_shifted(text: str, days: int) -> str | None:
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    year, separator, month, day, time = found.groups()
    moved = dt.date(int(year), int(month), int(day)) + dt.timedelta(days=days)
    return moved.isoformat().replace("-", separator) + time
