"""Telephone numbers without a word before them, confirmed by the numbering plans of the world.

A plan accepts one in a few random numbers, so a number must also be written like one. Versions,
times, sums of money, pieces of identifiers and rows of numbers are refused. Numbering plans are
those of the phonenumbers library, which is imported with the first candidate.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from cloister.detect.rules import Rule, before, is_joined

Range = tuple[int, int]

_REGION_CODES = """
    US GB DE FR ES IT NL BE CH AT AU IN BR MX SE NO DK FI PL PT IE NZ ZA JP CN IL TR GR CZ HU
    RO RU UA AR CL CO SG HK KR EE SI HR IS LU
"""
# Regions whose national writing is tried, the more frequent first.
_REGIONS: Final = tuple(_REGION_CODES.split())
_WORD = re.compile(
    r"(?i)\b(?:phone|tel|telephone|telefon|telefono|call|mobile|mob|cell|fax|dial|ring|contact|"
    r"whatsapp|sms|text|number|handy|gsm|desk|hotline|line|reach)\b"
)
_LABEL_AFTER = re.compile(
    r"(?i)[ -]{0,2}\(?(?:office|fax|mobile|cell|home|work|desk|tel|phone|main|direct)\b"
)
_GROUPS = re.compile(r"[ ().\-/]+")
_DATE = re.compile(r"\d{4}[-/. ]\d{1,2}[-/. ]\d{1,2}|\d{1,2}[-/. ]\d{1,2}[-/. ]\d{2,4}")
# A sum of money, a share, or a number in a row of numbers.
_NUMBER_BEFORE = re.compile(r"[\d:#$=/]\s?$|\d[ ,;]+$")
_NUMBER_AFTER = re.compile(r"[ ,;]{1,2}\d|\s?[%:$]|\.\d")
_CONTEXT_CHARS = 40
_LEAST_DIGITS = 7
_LEAST_LONG_DIGITS = 9
_MOST_DIGITS = 15


@lru_cache(maxsize=4096)
def is_possible(number: str, *, regions: tuple[str, ...] = _REGIONS) -> bool:
    """Returns whether some region's numbering plan has this number.

    Args:
        number: As it is written, with or without the code of a country.
        regions: Regions whose national writing is tried, when there is no such code.
    """
    import phonenumbers

    tried = (None,) if number.lstrip("( ").startswith(("+", "00")) else regions
    if number.startswith("00"):
        number = f"+{number[2:]}"
    for region in tried:
        try:
            parsed = phonenumbers.parse(number, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(parsed):
            return True
    return False


def is_written_as_phone(text: str, start: int, end: int) -> bool:  # noqa: PLR0911 - one return for each reason
    """Returns whether digits at a place look and stand like a telephone number.

    Also used to judge what others take for one.
    """
    value = text[start:end].strip()
    digits = sum(c.isdigit() for c in value)
    if not _LEAST_DIGITS <= digits <= _MOST_DIGITS:
        return False
    if _LABEL_AFTER.match(text, end):
        return not before(text, start).isalnum()
    if is_joined(text, start, end):
        return False
    if (
        value.count("(") != value.count(")")
        or _DATE.fullmatch(value)
        or re.fullmatch(r"[+-]?\d+[.,]\d+", value)
    ):
        return False
    is_marked = value.startswith(("+", "(", "0")) and not value.startswith("0.")
    around = before(text, start, 3)
    if around.endswith(": ") and is_marked and digits >= _LEAST_LONG_DIGITS:
        around = ""  # what any label announces
    if re.search(r"[\d:#$€£=/]\s?$|\d[ ,;]+$", around) or re.match(
        r"[ ,;]{1,2}\d|\s?[%:€$]|\.\d", text[end:]
    ):
        return False
    has_word = _WORD.search(before(text, start, _CONTEXT_CHARS)) is not None
    groups = [g for g in _GROUPS.split(value.lstrip("+")) if g]
    if has_word:
        return len(groups) > 1 or is_marked or digits >= 10
    if not is_marked:
        return [len(g) for g in groups] in ([3, 3, 4], [1, 3, 3, 4])
    if value[0] == "0" and digits < _LEAST_LONG_DIGITS:
        return False  # postcodes and part numbers are written like that, too
    # Groups of one digit are a list of numbers, not a number.
    return len(groups) > 1 and all(len(g) > 1 for g in groups[1:])


def _phone(text: str, start: int, end: int) -> Range | None:
    while end > start and text[end - 1] in " .-/(":
        end -= 1
    if not is_written_as_phone(text, start, end):
        return None
    value = re.sub(r"(?i) ?(?:x|ext\.?) ?\d+$", "", text[start:end])
    has_word = _LABEL_AFTER.match(text, end) or _WORD.search(before(text, start, _CONTEXT_CHARS))
    return (start, end) if has_word or is_possible(value) else None


def _confirmed(text: str, start: int, end: int) -> Range | None:
    value = text[start:end]
    is_one = is_written_as_phone(text, start, end) and is_possible(value)
    return (start, end) if is_one else None


def _trunk(text: str, start: int, end: int) -> Range | None:
    while text[start] not in "(0":
        start += 1  # the pattern takes what stands before along
    return _confirmed(text, start, end)


#: National writing with the zero that trunk calls need: few candidates, so it runs on every output.
TRUNK_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "PHONE_NUMBER",
        # Output is full of months, minutes and clocks that begin with a zero, so the pattern knows
        # what may stand before: no number, and nothing that makes it a piece of one.
        r"(?:^|[^\d:#$=/ ,;][ ,;]{1,2}|: |[ ,;]{3}|[^\w+:#$=/.,; -]|(?:^|[^\w.])[.-])"
        r"\(?0(?:\d{1,4}\)?(?: / |[ /.-]|\) )\d{2,8}(?:[ .-]\d{2,4}){1,4}"
        r"|\d{3,4}\)?(?:[ /.-]|\) )\d{4,8}|\d{1,2}\)?(?:[ /.-]|\) )\d{5,8})\b",
        0.55,
        _trunk,
    ),
)

#: Everything else: not on the hot path.
PHONE_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "PHONE_NUMBER",
        r"[+(]?\d[\d ().\-/]{5,20}\d(?: ?(?:x|ext\.?) ?\d{1,6}\b)?",
        0.5,
        _phone,
        hint=r"\d[\d ().\-/]{5}",
    ),
)
