"""Dates and times as values of a column: written in many ways, with months and days that exist."""

# ruff: noqa: E501 - patterns read best unbroken

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cloister.detect.values import count_matches

if TYPE_CHECKING:
    from collections.abc import Sequence

_YEAR = r"(?:1[89]|20|21)\d\d"
_MONTH = r"(?:0?[1-9]|1[0-2])"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_NAME = r"(?:jan|feb|mar|apr|may|mai|jun|jul|aug|sep|sept|oct|okt|nov|dec|dez)[a-z]{0,6}\.?"
_TIME = r"(?:[T ,]+\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?: ?[ap]\.?m\.?)?(?: ?(?:Z|UTC|GMT|[+-]\d{2}:?\d{2}))?)?"
#: A date, with a time or without; a pattern for the whole value.
DATE_VALUE: Final = (
    rf"(?i)(?:{_YEAR}[-/.]{_MONTH}[-/.]{_DAY}|{_YEAR}-{_MONTH}-{_DAY}|{_DAY}[.]{_MONTH}[.]{_YEAR}|(?:0[1-9]|[12]\d|3[01])[.](?:0[1-9]|1[0-2])[.]\d\d"
    rf"|(?:{_DAY}[-/]{_MONTH}|{_MONTH}[-/]{_DAY})[-/](?:{_YEAR}|\d\d)"
    rf"|(?:[a-z]{{3,9}},? )?{_DAY}[- ]{_NAME}[- ,]+(?:{_YEAR}|\d\d)|(?:[a-z]{{3,9}},? )?{_NAME} {_DAY}(?:st|nd|rd|th)?,? {_YEAR})"
    rf"{_TIME}|\[?{_DAY}/{_NAME}/{_YEAR}(?::\d{{2}}){{3}}(?: [+-]\d{{4}})?\]?|{_YEAR}年{_MONTH}月{_DAY}日.*"
    rf"|(?:[a-z]{{3}} )?{_NAME} +{_DAY} \d{{2}}:\d{{2}}:\d{{2}}(?: [A-Z]{{3,4}})?(?: {_YEAR})?"
)
#: A date in digits only, which is a date when the column's name says so.
_COMPACT: Final = r"(?:1[89]|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[ T]?\d{4}(?:\d{2})?)?|\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_SHARE: Final = 0.8


def are_dates(values: Sequence[str], *, is_named: bool = False) -> bool:
    """Returns whether values are dates.

    Args:
        values: Distinct texts.
        is_named: Whether the column's name speaks of a date, so that digits suffice.
    """
    if not values:
        return False
    if count_matches(values, DATE_VALUE) >= _SHARE * len(values):
        return True
    return is_named and count_matches(values, _COMPACT) >= _SHARE * len(values)
