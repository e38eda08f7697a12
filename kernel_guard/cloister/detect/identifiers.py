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


def _phone_international(text: str, start: int, end: int) -> Range | None:
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
    if area[0] in "01" or area[3] in "01" or ("-" in value and "." in value):
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
_CARD_WORD = re.compile(r"(?i)card|visa|\bcredit|\bdebit|amex|maestro|\bpan\b|\bcc\b")
_CARD_WORD_CHARS = 32


def _card(text: str, start: int, end: int) -> Range | None:  # noqa: PLR0911 - one return for each reason
    if is_joined(text, start, end):
        return None
    value = text[start:end]
    if not value.isdigit():
        for candidate in (value, value.rpartition(" ")[0], value.rpartition("-")[0]):
            if _GROUPS.fullmatch(candidate) and is_card(_digits(candidate)):
                return start, start + len(candidate)
        return None
    has_word = _CARD_WORD.search(before(text, start, _CARD_WORD_CHARS)) is not None
    if has_word and len(value) >= 12 and len(set(value)) > 1:
        return (start, end) if is_luhn(value) else None
    if not is_card(value):
        return None
    # One in ten random numbers passes Luhn's rule. Lengths that cards seldom have, and numbers in a
    # row of numbers, need the word nearby.
    if len(value) not in {15, 16}:
        around = before(text, start, 3).rstrip() + text[end : end + 3].lstrip()
        if re.search(r"[\d,\[\]]", around):
            return None
    return start, end


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


# -- network addresses -----------------------------------------------------------------------------

_VERSION_BEFORE = re.compile(
    r"(?i)(?:\bv|\bver\.?|\bversions?|\brelease|\bbuild|\brev|\bdriver|\bfirmware|[=<>~!]=|[<>])"
    r"[\s:='\"(]*$"
)
_NETWORK_WORD = re.compile(r"(?i)\b(?:ip|addr|address|host|client|server|peer|from|remote)\b")


def _ipv4(text: str, start: int, end: int) -> Range | None:  # noqa: PLR0911 - one return for each reason
    previous, following = before(text, start), text[end : end + 2]
    if previous.isalnum() or (previous and previous in "_.-+"):
        return None
    if following[:1].isalnum() or following[:1] in {"_", "-", "+"}:
        return None
    if following[:1] == "." and following[1:].isalnum():
        return None
    if previous == "/" and before(text, start, 2) != "//":
        return None  # Chrome/120.0.6099.71, or a path
    octets = text[start:end].split(".")
    if any(len(o) > 1 and o[0] == "0" for o in octets):
        return None
    numbers = [int(o) for o in octets]
    if max(numbers) > 255 or numbers[0] in {0, 127} or numbers[:2] == [255, 255]:
        return None
    around = before(text, start, 24)
    if _VERSION_BEFORE.search(around):
        return None
    # Small numbers throughout are more often a version than an address.
    if numbers[0] < 10 and max(numbers) < 50 and not _NETWORK_WORD.search(around):
        return None
    return start, end


def _ipv6(text: str, start: int, end: int) -> Range | None:
    if before(text, start).isalnum() or before(text, start) in {":", "_", "."}:
        return None
    if text[end : end + 1].isalnum() or text[end : end + 1] in {":", "_"}:
        return None
    groups = [g for g in text[start:end].split(":") if g]
    if len(groups) > 8 or all(len(g) == 2 for g in groups):
        return None
    if "::" in text[start:end] and len(groups) < 3 and not re.search("[a-fA-F]", text[start:end]):
        return None  # a slice: x[2000::2]
    return start, end


# -- dates of birth, record numbers ----------------------------------------------------------------

_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec)[a-z]{0,6}\.?"
_DATE = (
    r"(?:(?:18|19|20)\d\d[-/.](?:0?[1-9]|1[0-2])[-/.](?:3[01]|[12]\d|0?[1-9])"
    r"|(?:3[01]|[12]\d|0?[1-9])[-/. ](?:3[01]|[12]\d|0?[1-9])[-/. ](?:(?:18|19|20)\d\d|\d\d)"
    rf"|(?:3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?[ -]{_MONTH},?[ -](?:(?:18|19|20)\d\d|\d\d)"
    rf"|{_MONTH} (?:3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?,? (?:18|19|20)\d\d)"
)
_DATE_AT_END = re.compile(rf"(?i)(?<![\w/.-]){_DATE}$")


def _birth(text: str, start: int, end: int) -> Range | None:
    if text[end : end + 1].isdigit():
        return None
    found = _DATE_AT_END.search(text[start:end])
    return None if found is None else (start + found.start(), end)


_RECORD_AT_END = re.compile(r"[A-Za-z]{0,4}-?\d{5,12}$")


def _record(text: str, start: int, end: int) -> Range | None:
    found = _RECORD_AT_END.search(text[start:end])
    if found is None or is_joined(text, start + found.start(), end):
        return None
    return start + found.start(), end


IDENTIFIER_RULES: tuple[Rule, ...] = (
    Rule(
        "EMAIL_ADDRESS",
        r"[A-Za-z0-9._%+'-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,24}",
        0.9,
        _email,
        hint=r"[A-Za-z0-9._%+'-]@[A-Za-z0-9.-]*\.[A-Za-z]{2}",
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
        hint=r"\+\d[ ().\d-]{5}\d",
    ),
    Rule(
        "PHONE_NUMBER",
        r"(?:\b1[ .-])?\([2-9]\d{2}\) ?[2-9]\d{2}[-. ]\d{4}(?: ?x\d{1,6})?\b"
        r"|\b(?:(?:00)?1[.-])?[2-9]\d{2}[.-][2-9]\d{2}[.-]\d{4}(?: ?x\d{1,6})?\b",
        0.8,
        _phone_national,
    ),
    Rule(
        "PHONE_NUMBER",
        r"(?i)\b(?:tele)?(?:phone|fax|mobile|whatsapp|landline|hotline|tel|mob|cell ?phone)"
        r"(?:[ _]?(?:no|nr|num|number))?\b[.'\"]?[ :=#]{0,3}\n?(?:is |at |on )?['\"]?"
        r"[+(]?\d[\d ().+/-]{5,20}\d",
        0.7,
        _phone_after_word,
        hint=r"(?i)(?:phone|fax|mobile|whatsapp|landline|hotline|tel|mob)[^\d]{0,16}\d"
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
        r"\b\d{12,19}\b|\b\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{1,4}(?:[ -]\d{1,3})?\b"
        r"|\b\d{4}[ -]\d{6}[ -]\d{4,5}\b",
        0.95,
        _card,
    ),
    Rule(
        "IBAN_CODE",
        r"\b[A-Za-z]{2}\d{2}[ -]?[A-Za-z0-9]{4}[ -]?[A-Za-z0-9]{3}",
        0.95,
        _iban,
    ),
    Rule("IP_ADDRESS", r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b", 0.7, _ipv4),
    Rule(
        "IP_ADDRESS",
        r"(?i)\b(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}\b"
        r"|\b(?:[23][0-9a-f]{3}|f[cd][0-9a-f]{2}|fe[89ab][0-9a-f])(?::[0-9a-f]{1,4}){0,6}::"
        r"(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6})?",
        0.7,
        _ipv6,
    ),
    Rule(
        "DATE_OF_BIRTH",
        r"(?i)(?:\b|_)(?:dob|d\.o\.b\.?|(?:date|day)[ _]?of[ _]?birth|birth[ _]?(?:date|day)|born|"
        r"geburtsdatum)\b[^0-9A-Za-z\n]{0,40}(?:(?:is|was|on) ?){0,2}[^0-9A-Za-z\n]{0,2}" + _DATE,
        0.85,
        _birth,
    ),
    Rule(
        "MEDICAL_RECORD",
        r"(?i)\b(?:mrn|medical record(?: (?:no|number|id))?)\b\.?[^0-9A-Za-z\n]{0,8}"
        r"[A-Za-z]{0,4}-?\d{5,12}\b",
        0.85,
        _record,
    ),
)
