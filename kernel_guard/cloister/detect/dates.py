"""Rules for text: dates of birth on the hot path; other dates and ages off it.

A date says little by itself, and output is full of them. A date of birth is announced by a word;
other dates count only in prose, where somebody writes about somebody, never as the timestamp of a
log line. Months are known in seven languages.
"""

from __future__ import annotations

import re
from typing import Final

from cloister.detect.rules import Rule, before

Range = tuple[int, int]

_MONTH_NAMES = """
    january february march april may june july august september october november december
    januar februar marz mai juni juli oktober dezember
    janvier fevrier mars avril juin juillet aout septembre octobre novembre decembre
    enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
    gennaio febbraio aprile maggio giugno luglio settembre ottobre dicembre
    januari februari maart mei augustus janeiro fevereiro marco maio junho julho setembro outubro
    dezembro
"""
_MONTH_WORDS = "|".join(sorted(set(_MONTH_NAMES.split()), key=len, reverse=True))
_SHORT_MONTHS = "jan|feb|mar|apr|jun|jul|aug|sept|sep|oct|okt|nov|dec|dez|dic|ene|abr|ago"
_MONTH = rf"(?:{_MONTH_WORDS}|(?:{_SHORT_MONTHS})\b\.?)"
_DAY = r"(?:3[01]|[12]\d|0?[1-9])"
_YEAR = r"(?:1[6-9]|20)\d\d"

_NUMERIC = (
    rf"(?:{_YEAR}[-/.](?:0?[1-9]|1[0-2])[-/.]{_DAY}|{_DAY}[-/.]{_DAY}[-/.]{_YEAR}"
    rf"|{_DAY}[-/]{_DAY}[-/]\d\d)"
)
_WRITTEN = (
    rf"(?:{_DAY}(?:st|nd|rd|th|\.)?(?: of| de|-)?[ -]?{_MONTH}(?:,? de| of|,|-)?[ -]?"
    rf"(?:{_YEAR}|'?\d\d\b)"
    rf"|{_MONTH} {_DAY}(?:st|nd|rd|th)?,? {_YEAR}"
    rf"|{_DAY}(?:st|nd|rd|th|\.)?(?: of)? {_MONTH}"
    rf"|{_MONTH} {_DAY}(?:st|nd|rd|th)?"
    rf"|{_MONTH},? (?:of |de )?{_YEAR})"
)
_DATE = rf"(?:{_NUMERIC}|{_DAY} {_DAY} {_YEAR}|{_WRITTEN})"
_DATE_AT_END = re.compile(rf"(?i)(?<![\w/.-]){_DATE}$")


def _birth(text: str, start: int, end: int) -> Range | None:
    if text[end : end + 1].isdigit():
        return None
    found = _DATE_AT_END.search(text, start, end)
    return None if found is None else (found.start(), end)


def _birth_year(_text: str, _start: int, end: int) -> Range:
    return end - 4, end


_BIRTH_WORDS = (
    r"dob|d\.o\.b\.?|b-?day|(?:date|day)[ _]?of[ _]?birth|birth[ _]?(?:date|day)|born(?: on)?|"
    r"geburtsdatum|geboren(?: am)?|geb\.|date de naissance|nee? le|fecha de nacimiento|"
    r"nacid[oa] el|data di nascita|nat[oa] il|data de nascimento|geboortedatum|fodselsdato"
)

BIRTH_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "DOB",
        rf"(?i)(?:\b|_)(?:{_BIRTH_WORDS})[^0-9A-Za-z\n]{{0,40}}"
        rf"(?:(?:is|was|on|the|am|le|el|il) ?){{0,3}}[^0-9A-Za-z\n]{{0,2}}{_DATE}",
        0.85,
        _birth,
        hint=rf"(?i)(?:\b|_)(?:{_BIRTH_WORDS})",
    ),
)

# -- other dates -----------------------------------------------------------------------------------

_PROSE_WORD = re.compile(
    r"(?i)\b(?:the|an?|is|was|were|are|on|in|at|of|to|and|for|by|with|from|my|your|his|her|our|you|"
    r"he|she|it|we|they|i|be|been|has|have|had|will|would|until|since|due|der|die|das|und|am|vom|le|"
    r"les|et|est|du|el|los|del|il|che|di|op|het|een)\b"
)
_LABEL = re.compile(
    r"(?i)\b(?:date|dated|when|on|since|until|by|due|from|to|admitted|discharged|expires?|expiry|exp|"
    r"valid|effective|joined|hired|appointment|visit|seen|signed)\b[ :.'\"=]{1,4}$"
)
_TIME = re.compile(r"[T ]\d{1,2}:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?")
_MACHINE = re.compile(r"(?i)\b(?:v|ver|version|release|build|rev|uuid|commit|shipped|epoch)\b")
_LINE_CHARS = 400


def _line(text: str, start: int, end: int) -> tuple[int, int]:
    """Returns the line around a range, a few hundred characters of it at most."""
    first = text.rfind("\n", max(0, start - _LINE_CHARS), start) + 1 or max(0, start - _LINE_CHARS)
    last = text.find("\n", end, end + _LINE_CHARS)
    return first, last if last >= 0 else min(len(text), end + _LINE_CHARS)


def _is_piece(text: str, start: int, end: int) -> bool:
    previous, following = before(text, start), text[end : end + 2]
    if previous.isalnum() or (previous and previous in "_-/.+:$#"):
        return True
    if following[:1].isalnum() or following[:1] in {"_", "/"}:
        return True
    return following[:1] in {"-", ".", ":"} and following[1:].isalnum()


def _numeric_date(text: str, start: int, end: int) -> Range | None:
    time = _TIME.match(text, end)
    if time is None and _is_piece(text, start, end):
        return None
    if before(text, start).isalnum() or before(text, start) in {"_", "-", "/", ".", "+"}:
        return None
    first, last = _line(text, start, end)
    if time is not None and not text[first:start].strip(" [\t'\""):
        return None  # the timestamp of a log line
    line = text[first:last]
    if _LABEL.search(text, first, start) is None and (
        _MACHINE.search(line) or len(_PROSE_WORD.findall(line)) < 2
    ):
        return None
    return start, end if time is None else time.end()


def _written_date(text: str, start: int, end: int) -> Range | None:
    if before(text, start).isalnum() or before(text, start) in {"_", ".", "$"}:
        return None
    if text[end : end + 1].isalnum() or text[end : end + 1] == "_":
        return None
    value = text[start:end]
    has_year = re.search(_YEAR, value) is not None
    if not has_year:
        if _TIME.match(text, end):
            return None  # the timestamp of a log line
        # "may 5" and "5 mars" are words more often than dates.
        name = re.search("[A-Za-z]{3,}", re.sub(r"\d(?:st|nd|rd|th)", "", value))
        if name is None or not name.group()[0].isupper():
            return None
        if len(_PROSE_WORD.findall(text[slice(*_line(text, start, end))])) < 1:
            return None
    return start, end


_YEAR_AT_END = re.compile(rf"{_YEAR}$")
# Then it is a count and no year.
_COUNTED = re.compile(
    r" (?:rows?|records?|people|persons?|users?|cases?|samples?|items?|entries|employees|patients|"
    r"dollars|euros?|pounds|miles|metres|meters|feet|times|points|words|pages|steps|epochs|tokens|"
    r"iterations|bytes|kb|mb|gb|km|kg|ms|units?|members|students|customers|hours|minutes|seconds|"
    r"days|others?|more)\b|[ ]?[%x*/+]|-\d|[.,:]\d"
)


def _year(text: str, start: int, end: int) -> Range | None:
    found = _YEAR_AT_END.search(text, start, end)
    if found is None or _COUNTED.match(text, end) is not None:
        return None
    line = text[slice(*_line(text, start, end))]
    return (found.start(), end) if len(_PROSE_WORD.findall(line)) >= 2 else None


#: Dates in prose: not on the hot path.
DATE_RULES: Final[tuple[Rule, ...]] = (
    Rule("DOB", rf"(?i)\b(?:born|geboren) in {_YEAR}\b", 0.6, _birth_year),
    Rule("DATE_TIME", _NUMERIC, 0.6, _numeric_date),
    Rule("DATE_TIME", rf"(?i)\b{_WRITTEN}", 0.6, _written_date),
    Rule(
        "DATE_TIME",
        r"(?i)\b(?:in|since|of|from|until|till|by|before|after|during|around|circa|between|year|"
        r"early|late|mid|a|the|spring|summer|autumn|fall|winter|and|to)[ -](?:the (?:year )?)?"
        rf"{_YEAR}\b",
        0.5,
        _year,
        hint=rf"\b{_YEAR}\b",
    ),
    Rule("DATE_TIME", rf"\b{_YEAR}s\b", 0.45),
    Rule(
        "DATE_TIME",
        r"\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b|(?i:\b(?:on|last|next|this) "
        r"(?:mon|tues|wednes|thurs|fri|satur|sun)day\b)",
        0.42,
    ),
)

# -- ages ------------------------------------------------------------------------------------------

_OLDEST = 120
_NUMBER = re.compile(r"\d{1,3}")
_KIN = "son|daughter|brother|sister|mother|father|mom|mum|dad|wife|husband|child|kid|baby|patient"


def _age(text: str, start: int, end: int) -> Range | None:
    found = list(_NUMBER.finditer(text, start, end))[-1:]
    if not found or int(found[0].group()) > _OLDEST:
        return None
    number = found[0]
    if before(text, number.start()) in {".", "-", "/"} or text[end : end + 1] in {"%", "/"}:
        return None
    if text[number.end() : number.end() + 1] == "." and text[number.end() + 1 :][:1].isdigit():
        return None
    return number.start(), number.end()


#: Ages: not on the hot path.
AGE_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "AGE",
        r"(?i)\b\d{1,3}(?:[- ]?(?:years?|yrs?|yr|y|months?|mos?|weeks?)\.?[- ]?(?:old\b|of age\b)"
        r"| ?y[./]?o\b| ?(?:jahre alt|jahriger?|ans\b|anos\b|anni\b|jaar oud))",
        0.7,
        _age,
    ),
    Rule(
        "AGE",
        r"(?i)(?:\b|_)(?:aged?|alter|edad)\b['\"]?(?: (?:is|of|was|at|about)){0,2}"
        r"[ :='\"(]{1,3}\d{1,3}\b",
        0.65,
        _age,
    ),
    Rule(
        "AGE",
        r"(?i)\b(?:(?:just |has |have )?turn(?:ed|ing|s)?|"
        rf"(?:my|his|her|the) (?:{_KIN})(?: is| was|'s)|"
        r"i am|i'm|im|he is|she is|he's|she's)(?: (?:only|now|just|about|almost|already))? \d{1,3}"
        r"(?:[.,;!?]|$| (?:and|but|now|today|this|next|last|years?|so|yrs?)\b)",
        0.6,
        _age,
    ),
)
