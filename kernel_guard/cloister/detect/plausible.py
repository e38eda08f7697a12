"""Which exact matches count: digits that only happen to stand side by side do not.

An output is full of numbers, and an index of many identifiers knows many digit strings. So digits
are not joined over a decimal point, a column gap or a list, and a piece of a longer number, of a
UUID or of a name in code is no match. All decisions look at the text around one match.
"""

from __future__ import annotations

import re
from collections import defaultdict
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Form(Enum):
    """How an entry may be met in a text."""

    WHOLE = "whole"
    NAME_WORD = "name word"  # one word that is a person's name
    DENSE = "dense"  # a number of which the data has so many that one alone says little
    DATE = "date"  # three numbers with something between them
    WEAK = "weak"  # only near another value of the same row
    PAIR = "pair"  # no value, but two of a row


_GAP_BETWEEN_DIGITS = re.compile(r"[\s\d]*[\n\r\t]|.*\s{2}|.*[|;\[\]{}=<>'\"]|,\s|.*\s[+-]$")
_DOTTED = frozenset({".", ")", ") ", ")."})  # 219.09.9871 and (620) 555.0166
_NUMBER = re.compile(r"(?<!\d)(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)")
_NEIGHBOURS = 4
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+")
_ROW_BEFORE = re.compile(r"\d,? $")
_ROW_AFTER = re.compile(r",? \d")
_DECIMALS_BEFORE = re.compile(r"(?<![\d.])[+-]?\d*\.$")
_DECIMALS_AFTER = re.compile(r"\.(\d+)(?![\d.])")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_WIDTHLESS = re.compile(r"[\u00ad\u0300-\u036f\u200b-\u200f\u2060\ufeff]+")
_LONGEST_GAP_CHARS = 64
# From this many digits on a chance meeting in a row of numbers is out of the question.
_SURE_DIGITS = 12
_SHORTEST_LOWER_CASE_NAME = 5
# So many digits are one value even in cells side by side: 4111 | 1111 | 1111 | 1111.
_SURE_IN_CELLS = 13
_SHORTEST_CELL_DIGITS = 3


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
        return _is_name(text, start, end, tokens)
    is_one_number = value.isdigit() or _THOUSANDS.fullmatch(value) is not None
    if (form is Form.DATE and tokens < 3) or (form is Form.DENSE and not is_one_number):
        return False
    if any(c.isalpha() for c in value):
        if form is Form.WEAK and tokens == 1:
            return _is_word_alone(text, start, end)
        return tokens == 1 or _widest_gap(value) <= _LONGEST_GAP_CHARS
    if sum(c.isdigit() for c in value) >= _SURE_IN_CELLS and _are_cells(value):
        return _widest_gap(value) <= _LONGEST_GAP_CHARS
    return _is_number_whole(text, start, end, value)


def _is_name(text: str, start: int, end: int, tokens: int) -> bool:
    value = text[start:end]
    if tokens > 1:  # "an 'A" is not Ana
        value = _WIDTHLESS.sub("", value)
        if not value.isalpha():
            return False
    is_long = len(value) >= _SHORTEST_LOWER_CASE_NAME
    is_written_so = is_long or value in {value.title(), value.upper()}
    return is_written_so and _is_word_alone(text, start, end)


def among_their_like(text: str, places: Sequence[tuple[int, int]]) -> list[int]:
    """Returns which dense numbers stand among numbers as long, half of which are known.

    One number of seven digits in a hundred may be a customer's. A list of customers is known
    nearly as a whole, a list of sizes here and there.

    Args:
        text: The whole text.
        places: Where known numbers stand that say little alone, in order.
    """
    known = {start: number for number, (start, _) in enumerate(places)}
    by_length: dict[int, list[int]] = defaultdict(list)
    for match in _NUMBER.finditer(text):
        by_length[sum(c.isdigit() for c in match[0])].append(known.get(match.start(), -1))
    found: list[int] = []
    for numbers in by_length.values():
        for i, number in enumerate(numbers):
            if number >= 0:
                around = numbers[max(0, i - _NEIGHBOURS) : i + _NEIGHBOURS + 1]
                if 2 * sum(n >= 0 for n in around) >= len(around):
                    found.append(number)
    return sorted(found)


def _is_word_alone(text: str, start: int, end: int) -> bool:
    """Returns whether a word is not part of a longer name, as in ``grace_period`` or ``#may``."""
    previous = text[start - 1 : start]
    if previous in {"_", "#", "$", "\\"} or text[end : end + 1] == "_":
        return False
    if previous and previous in "./-@+" and text[start - 2 : start - 1].isalnum():
        return False
    following = text[end : end + 2]
    return not (len(following) == 2 and following[0] in "./-@(+" and following[1].isalnum())


def _are_cells(value: str) -> bool:
    """Returns whether a number stands in pieces that are long enough not to meet by chance."""
    pieces = re.findall(r"\d+", value)
    return len(pieces) > 1 and min(map(len, pieces)) >= _SHORTEST_CELL_DIGITS


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
