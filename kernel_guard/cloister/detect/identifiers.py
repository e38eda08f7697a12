"""Rules for text: numbers and addresses that lead to a person.

High precision comes first, since they run on every output of a notebook: measurements, shapes,
versions, hashes, times and paths must not be hit. So each rule asks for a checksum, for a way of
writing that little else has, or for a word nearby that says what the number is.
"""

from __future__ import annotations

import re

from cloister.detect.checksums import IBAN_LENGTH, is_card, is_iban, is_luhn, is_ssn
from cloister.detect.rules import Rule, before, is_joined

Range = tuple[int, int]

_NOT_DIGITS = re.compile(r"[^0-9]+")
# Attributes and methods that follow a matrix product: ``x@w.sum()`` is no address.
_ATTRIBUTE_NAMES = """
    bias cols columns data dot dtype flat grad iloc imag index inv items loc max mean min ndim
    norm real rows shape size std sum to tolist transpose values weight
"""
_ATTRIBUTES = frozenset(_ATTRIBUTE_NAMES.split())


def _digits(text: str) -> str:
    return _NOT_DIGITS.sub("", text)


# -- e-mail addresses ------------------------------------------------------------------------------


def _email(text: str, start: int, end: int) -> Range | None:
    if text[end : end + 1] in {"(", "["} or (
        before(text, start) in {"/", "="} and "//" in before(text, start, 12)
    ):
        return None
    while start < end and text[start] in ".'+-%":
        start += 1
    local, _, domain = text[start:end].partition("@")
    if not local or local == "git" or domain.rpartition(".")[2].lower() in _ATTRIBUTES:
        return None
    return start, end


# -- social security numbers -----------------------------------------------------------------------


def _ssn(text: str, start: int, end: int) -> Range | None:
    value = text[start:end]
    if value[3] != value[6] or is_joined(text, start, end) or not is_ssn(_digits(value)):
        return None
    if value[3] == " " and (
        re.search(r"\d[ ,]$", before(text, start, 2)) or re.match(r"[ ,]+\d", text[end : end + 3])
    ):
        return None  # three numbers in a row of numbers
    return start, end


def _ssn_after_word(text: str, _start: int, end: int) -> Range | None:
    start = end - 9
    return (start, end) if is_ssn(text[start:end]) and not text[end : end + 1].isalnum() else None


# -- telephone numbers -----------------------------------------------------------------------------

_COUNTRY_CODES = """
    20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64
    65 66 81 82 84 86 90 91 92 93 94 95 98
"""
_TWO_DIGIT_CODES = frozenset(_COUNTRY_CODES.split())
_EXTENSION = re.compile(r" ?x\d{1,6}\b")
_ONE_DECIMAL_POINT = re.compile(r"[+]?\d+\.\d+")


def _phone_international(text: str, start: int, end: int) -> Range | None:  # noqa: PLR0911 - one return for each reason
    if before(text, start).isalnum() or before(text, start) in {"_", ".", "+", "]", ")", "="}:
        return None
    if not _EXTENSION.match(text, end) and (
        text[end : end + 1].isalnum() or text[end : end + 1] == "_"
    ):
        return None
    value = text[start:end]
    if _ONE_DECIMAL_POINT.fullmatch(value):
        return None  # a number with its sign
    digits = _digits(value)
    if not digits:
        return None
    if digits[0] == "1":
        return _cut(text, start, end, 11)
    code = digits[:2] if digits[:2] in _TWO_DIGIT_CODES else digits[:3]
    if digits[0] == "0" or (len(code) == 3 and code[0] not in "23456789"):
        return None
    return (start, end) if 9 <= len(digits) <= 15 else None


def _cut(text: str, start: int, end: int, digits: int) -> Range | None:
    """Cuts a range after its first ``digits`` digits; ``None`` when there are fewer."""
    for position in range(start, end):
        digits -= text[position].isdigit()
        if digits == 0:
            tail = text[position + 1 : position + 2]
            return None if tail.isdigit() else (start, position + 1)
    return None


def _phone_national(text: str, start: int, end: int) -> Range | None:
    while text[start] == " ":
        start += 1
    if is_joined(text, start, end):
        return None
    value = text[start:end]
    digits = _digits(value.partition("x")[0])
    area = digits[-10:]
    # Brackets around an area code are a telephone number's, whatever the plan says of the rest.
    if area[0] in "01" or (area[3] in "01" and "(" not in value) or ("-" in value and "." in value):
        return None
    return start, end


_PHONE_START = re.compile(r"[+(]?\d")


def _phone_after_word(text: str, start: int, end: int) -> Range | None:
    first = _PHONE_START.search(text, start, end)
    if first is None or text[end : end + 1].isalnum() or text[end : end + 2][:1] == "_":
        return None
    value = text[first.start() : end].partition("\n")[0].rstrip(" .-/(")
    if not 7 <= len(_digits(value)) <= 15 or _ONE_DECIMAL_POINT.fullmatch(value):
        return None
    if re.match(r"\d{4}-\d{2}-\d{2}", value):
        return None
    return first.start(), first.start() + len(value)


def _phone_after_verb(text: str, start: int, end: int) -> Range | None:
    place = _phone_after_word(text, start, end)
    # "called 1234567 times" is a count; a telephone number is written in groups.
    is_grouped = place is not None and re.search(r"\d[ ().-]+\d", text[place[0] : place[1]])
    return place if is_grouped else None


# -- payment cards and accounts --------------------------------------------------------------------

_GROUPS = re.compile(r"\d{4}([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?|\d{4}([ -])\d{6}\2\d{4,5}")
_CARD_WORDS = r"(?i)card|visa|\bcredit|\bdebit|amex|maestro|\bpan\b|\bcc\b"
_CARD_WORD = re.compile(_CARD_WORDS)
_CARD_WORD_CHARS = 32


def _card(text: str, start: int, end: int) -> Range | None:
    """Claims a number that is a card's by its first digits, its length and its check digit."""
    if not text[start].isdigit():
        start += 1  # the pattern takes the character before along
    value = text[start:end]
    if value.isdigit():
        return (start, end) if _is_card_alone(text, start, end) else None
    if is_joined(text, start, end):
        return None
    for candidate in (value, value.rpartition(" ")[0], value.rpartition("-")[0]):
        if _GROUPS.fullmatch(candidate) and is_card(_digits(candidate)):
            return start, start + len(candidate)
    return None


def _is_card_alone(text: str, start: int, end: int) -> bool:
    # Output is full of long numbers, so the cheapest test comes first.
    value = text[start:end]
    if not is_luhn(value) or is_joined(text, start, end) or not is_card(value):
        return False
    # One in ten random numbers passes Luhn's rule. Lengths that cards seldom have, and numbers in a
    # row of numbers, need the word nearby.
    around = before(text, start, 3).rstrip() + text[end : end + 3].lstrip()
    return len(value) in {15, 16} or not re.search(r"[\d,\[\]]", around)


def _card_after_word(text: str, start: int, end: int) -> Range | None:
    if not text[start].isdigit():
        start += 1
    value = text[start:end]
    if not is_luhn(value) or is_joined(text, start, end) or len(set(value)) < 2:
        return None
    is_said = _CARD_WORD.search(before(text, start, _CARD_WORD_CHARS)) is not None
    return (start, end) if is_said else None


def _iban(text: str, start: int, _end: int) -> Range | None:
    if before(text, start) in {"_", "-", "."}:
        return None
    length = IBAN_LENGTH.get(text[start : start + 2].upper())
    if length is None:
        return None
    compact = ""
    position = start
    while position < len(text) and len(compact) < length:
        character = text[position]
        if character.isalnum():
            compact += character
        elif character not in " -" or not text[position - 1].isalnum():
            return None
        position += 1
    if text[position : position + 1].isalnum() or text[position : position + 1] == "_":
        return None
    if not (compact.isupper() or compact.islower()) or not is_iban(compact.upper()):
        return None
    return start, position


_DOMAIN = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,24}"

IDENTIFIER_RULES: tuple[Rule, ...] = (
    Rule(
        "EMAIL_ADDRESS",
        rf"[A-Za-z0-9._%+'-]{{1,64}}@{_DOMAIN}",
        0.9,
        _email,
        hint=r"[A-Za-z0-9._%+'-]@[A-Za-z0-9.-]*\.[A-Za-z]{2}",
    ),
    Rule(  # as a URL has it
        "EMAIL_ADDRESS",
        rf"\b[A-Za-z0-9._%+'-]{{1,64}}%40{_DOMAIN}",
        0.9,
        hint=r"%40[A-Za-z0-9]",
    ),
    Rule("US_SSN", r"\b\d{3}[- ]\d{2}[- ]\d{4}\b", 0.9, _ssn),
    Rule(
        "US_SSN",
        r"(?i)(?:\b|_)(?:ssn|social[ _.-]?security|soc[ _.-]?sec)[^0-9\n]{0,24}\d{9}\b",
        0.85,
        _ssn_after_word,
    ),
    Rule(
        "PHONE_NUMBER",
        r"\+\d{1,3}\)?[ .-]?(?:\(\d{1,5}\)[ .-]?)?\d{1,5}(?:[ .-]?\d{2,5}){1,4}",
        0.8,
        _phone_international,
        hint=r"\+\d[ ().\d-]{6}",
    ),
    Rule(
        "PHONE_NUMBER",
        r"(?:\b1[ .-])?\([2-9]\d{2}\) ?\d{3}[-. ]\d{4}(?: ?x\d{1,6})?\b"
        r"|\b(?:(?:00)?1[.-])?[2-9]\d{2}[.-][2-9]\d{2}[.-]\d{4}(?: ?x\d{1,6})?\b",
        0.8,
        _phone_national,
    ),
    Rule(
        "PHONE_NUMBER",
        r"(?i)\b(?:tele)?(?:phone|fax|mobile|whatsapp|landline|hotline|tel|mob|cell ?phone|"
        r"telefono|telefone|telefon|telefoon|handy|celular|cellulare|movil|portable|puhelin|tlf)"
        r"(?:[ _]?(?:no|nr|num|number))?\b[.'\"]?[ :=#]{0,3}\n?(?:is |at |on )?['\"]?"
        r"[+(]?\d[\d ().+/-]{5,20}\d",
        0.7,
        _phone_after_word,
        hint=r"(?i)(?:phone|fax|mobile|whatsapp|landline|hotline|tel|mob|telefon[oe]?|telefoon|handy|"
        r"celular|cellulare|movil|portable|puhelin|tlf)[^\d]{0,16}\d"
        r"[\d ().+/-]{5}",
    ),
    Rule(
        "PHONE_NUMBER",
        r"(?i)\b(?:call(?:ed|ing)?|ring|dial(?:led)?|text(?:ed)?|messages?|reach(?:ed)?|answering|contact)"
        r"(?: [a-z]{1,12}){0,3} (?:at|on|to) [+(]?\d[\d ().-]{5,20}\d",
        0.65,
        _phone_after_verb,
    ),
    Rule(
        "CREDIT_CARD",
        # First digits and lengths of the issuers; the check knows them exactly. The pattern sees
        # what stands before, since the decimals of a float are no card.
        r"(?:^|[^\w.])(?:4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3[05689]\d{12,17}"
        r"|6[02456]\d{14,17}|(?:50|5[6-8]|63|67)\d{11,17})\b"
        r"|\b\d{4}[ -](?:\d{4}[ -]\d{4}[ -]\d{1,4}(?:[ -]\d{1,3})?|\d{6}[ -]\d{4,5})\b",
        0.95,
        _card,
    ),
    Rule(
        "CREDIT_CARD",
        r"(?:^|[^\w.])[1-6]\d{11,18}\b",
        0.95,
        _card_after_word,
        hint=_CARD_WORDS,
    ),
    Rule(
        "IBAN_CODE",
        r"\b[A-Za-z]{2}\d{2}[ -]?[A-Za-z0-9]{4}[ -]?[A-Za-z0-9]{3}",
        0.95,
        _iban,
    ),
)
