"""Readers of what is spelled for people: digits as words, numbers to another base, mail "at" "dot".

Each reader takes a text, the same text with one byte for each character, the matches' pattern and
the budget, and yields the places read in the usual way.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from cloister.detect.views import View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloister.detect.views import Budget

_DIGITS: Final = {
    "zero": "0",
    "oh": "0",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
}
_DIGIT: Final = "(?:" + "|".join(_DIGITS) + ")"
#: Six digits are the fewest of a number that the index knows.
DIGIT_WORDS: Final = rf"(?i)\b{_DIGIT}(?:[ ,\n-]{{1,3}}{_DIGIT}){{5,}}\b"
_WORD: Final = re.compile(_DIGIT, re.IGNORECASE)

#: Numbers of six digits and more; Python's own spelling of them to the bases 16, 2 and 8.
BASED_NUMBER: Final = r"\b0[xX][0-9a-fA-F]{5,16}\b|\b0[bB][01]{17,64}\b|\b0[oO][0-7]{6,22}\b"

_LABEL: Final = r"[A-Za-z0-9](?:[\w+-]*[A-Za-z0-9])?"
_BRACKETED: Final = (r" ?[(\[{]at[)\]}] ?", r" ?[(\[{]dot[)\]}] ?")
_AT: Final = rf"(?: at |{_BRACKETED[0]}| ?@ ?)"
_DOT: Final = rf"(?: dot |{_BRACKETED[1]}|\.)"
_HOST: Final = rf"{_LABEL}(?:{_DOT}{_LABEL}){{1,5}}"
#: Either sign in brackets, or both as words: an address in the usual spelling is none of these.
MAIL_WORDS: Final = (
    rf"(?i)\b{_LABEL}(?:{_DOT}{_LABEL}){{0,4}}{_BRACKETED[0]}{_HOST}\b"
    rf"|\b{_LABEL}(?:{_DOT}{_LABEL}){{0,4}}{_AT}{_LABEL}"
    rf"(?:{_DOT}{_LABEL}){{0,4}}(?: dot |{_BRACKETED[1]}){_LABEL}\b"
)
_SPELLED_DOT: Final = re.compile(_DOT, re.IGNORECASE)
_BRACKETS: Final = frozenset("([{")
_SPELLED_AT: Final = re.compile(_AT, re.IGNORECASE)


def read_digit_words(text: str, data: bytes, pattern: Any, _budget: Budget) -> Iterator[View]:
    """Yields numbers whose digits are words."""
    for match in pattern.finditer(data):
        start, end = match.span()
        words = list(_WORD.finditer(text, start, end))
        said = "".join(_DIGITS[word[0].lower()] for word in words)
        starts, ends = [word.start() for word in words], [word.end() for word in words]
        yield View(said, start, end, starts, ends, is_sure=False, holds_more=False)


def read_based_numbers(text: str, data: bytes, pattern: Any, _budget: Budget) -> Iterator[View]:
    """Yields numbers to another base in the usual one."""
    for match in pattern.finditer(data):
        start, end = match.span()
        said = str(int(text[start:end], 0))
        yield View(said, start, end, is_sure=False, holds_more=False)


def read_mail_words(text: str, data: bytes, pattern: Any, _budget: Budget) -> Iterator[View]:
    """Yields addresses of mail in which at and dot are words."""
    for match in pattern.finditer(data):
        start, end = match.span()
        piece = text[start:end]
        said = _SPELLED_AT.sub("@", _SPELLED_DOT.sub(".", piece))
        # "Look at the dot com crash" says the same words, so they say too little for a pattern.
        yield View(said, start, end, is_sure=not _BRACKETS.isdisjoint(piece), holds_more=False)
