"""Which exact matches count: digits that only happen to stand side by side do not.

An output is full of numbers, and an index of many identifiers knows many digit strings. So digits
are not joined over a decimal point, a column gap or a list, and a piece of a longer number, of a
UUID or of a name in code is no match. All decisions look at the text around one match.
"""

from __future__ import annotations

import re
from enum import Enum


class Form(Enum):
    """How an entry may be met in a text."""

    WHOLE = "whole"
    NAME_WORD = "name word"  # one word that is a person's name
    DATE = "date"  # three numbers with something between them


_GAP_BETWEEN_DIGITS = re.compile(r"[\s\d]*[\n\r\t]|.*\s{2}|.*[|;\[\]{}=<>'\"]|,\s|.*\s[+-]$")
_DOTTED = frozenset({".", ")", ") ", ")."})  # 219.09.9871 and (620) 555.0166
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+")
_ROW_BEFORE = re.compile(r"\d,? $")
_ROW_AFTER = re.compile(r",? \d")
_DECIMALS_BEFORE = re.compile(r"(?<![\d.])[+-]?\d*\.$")
_DECIMALS_AFTER = re.compile(r"\.(\d+)(?![\d.])")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_LONGEST_GAP_CHARS = 64
# From this many digits on a chance meeting in a row of numbers is out of the question.
_SURE_DIGITS = 12
_SHORTEST_LOWER_CASE_NAME = 5


def is_plausible(text: str, start: int, end: int, form: Form, tokens: int) -> bool:
    """Returns whether a match of known letters and digits is a match of the value.

    Args:
        text: The whole text.
        start: Where the match begins.
        end: Where it ends.
        form: How the entry may be met.
        tokens: How many runs of letters and digits the match has.
    """
    value = text[start:end]
    if form is Form.NAME_WORD:
        return _is_word_alone(text, start, end) and (
            not value.islower() or len(value) >= _SHORTEST_LOWER_CASE_NAME
        )
    if form is Form.DATE and tokens < 3:
        return False
    if any(c.isalpha() for c in value):
        return tokens == 1 or _widest_gap(value) <= _LONGEST_GAP_CHARS
    return _is_number_whole(text, start, end, value)


def _is_word_alone(text: str, start: int, end: int) -> bool:
    """Returns whether a word is not part of a longer name, as in ``grace_period`` or ``#may``."""
    previous = text[start - 1 : start]
    if previous in {"_", "#", "$", "\\"} or text[end : end + 1] == "_":
        return False
    if previous and previous in "./-@" and text[start - 2 : start - 1].isalnum():
        return False
    following = text[end : end + 2]
    return not (len(following) == 2 and following[0] in "./-@(" and following[1].isalnum())


def _widest_gap(value: str) -> int:
    return max((len(gap) for gap in re.findall(r"[\W_]+", value)), default=0)


def _is_number_whole(text: str, start: int, end: int, value: str) -> bool:  # noqa: C901, PLR0911 - one return for each reason
    """Returns whether digits stand for one number and not for pieces of others."""
    gaps = re.findall(r"[^0-9]+", value) if value.isascii() else re.findall(r"\D+", value)
    if any(_GAP_BETWEEN_DIGITS.match(gap) for gap in gaps):
        return False
    if "," in value and not _THOUSANDS.fullmatch(value):
        return False
    if gaps == ["."] or ("." in gaps and not _DOTTED.issuperset(gaps)):
        return False  # a decimal number, alone or beside others
    if "." not in gaps:
        if _DECIMALS_BEFORE.search(text[max(0, start - 24) : start]) and text[start - 1] == ".":
            return start < 2 or not text[start - 2].isdigit()
        decimals = _DECIMALS_AFTER.match(text, end)
        if decimals is not None and decimals[1].strip("0"):
            return False
    digits = sum(c.isdigit() for c in value)
    if " " in value and digits < _SURE_DIGITS:
        before, after = text[max(0, start - 3) : start], text[end : end + 3]
        if _ROW_BEFORE.search(before) or _ROW_AFTER.match(after):
            return False
    if digits < _SURE_DIGITS and (text[start - 1 : start] == "-" or text[end : end + 1] == "-"):
        around = text[max(0, start - 36) : end + 36]
        offset = start - max(0, start - 36)
        if any(m.start() <= offset < m.end() for m in _UUID.finditer(around)):
            return False
    return True
