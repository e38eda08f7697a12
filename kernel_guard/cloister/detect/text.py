"""Finds sensitive values in text: patterns, check digits and the words around them.

Made for the output of notebooks, live: numbers, log lines, hashes and versions must not be hit, so
every rule asks for a separator style, a checksum or a context word. Each rule has a cheap hint that
decides first whether it runs at all. What has no pattern (names) is found by exact match instead.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cloister.detect.checksums import is_card, is_iban
from cloister.detect.tokens import TOKEN_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Span:
    """A sensitive value in a text.

    Attributes:
        start: Offset of its first character.
        end: Offset after its last.
        entity_type: Presidio's name.
        score: Confidence, 0 to 1.
    """

    start: int
    end: int
    entity_type: str
    score: float


_CONTEXT_CHARS: Final = 40
_SSN_CONTEXT: Final = re.compile(r"(?i)\b(?:ssn|social.?security)")
_BIRTH_CONTEXT: Final = re.compile(r"(?i)(?:\bdob\b|\bborn\b|birth|\bgeb\b)")


def _card(match: re.Match[str], _text: str) -> bool:
    separators = set(match.group()) - set("0123456789")
    return len(separators) <= 1 and is_card(re.sub(r"\D", "", match.group()))


def _iban(match: re.Match[str], _text: str) -> bool:
    return is_iban(match.group().replace(" ", ""))


def _address(match: re.Match[str], text: str) -> bool:
    try:
        address = ipaddress.ip_address(match.group())
    except ValueError:
        return False
    if address.is_loopback or address.is_unspecified:
        return False
    before = text[max(0, match.start() - 12) : match.start()].lower()
    return not before.rstrip().endswith(("version", "ver", "=="))


def _near(pattern: re.Pattern[str]) -> Callable[[re.Match[str], str], bool]:
    def check(match: re.Match[str], text: str) -> bool:
        start = max(0, match.start() - _CONTEXT_CHARS)
        return pattern.search(text, start, match.start()) is not None

    return check


def _phone(match: re.Match[str], _text: str) -> bool:
    return 8 <= sum(c.isdigit() for c in match.group()) <= 15


# A rule runs only where its hint is found; hints are plain and fast, rules are exact and slow.
_AT: Final = re.compile("@")
_DIGITS: Final = re.compile(r"[0-9][0-9 ().:/-]{5}")
_DOTTED: Final = re.compile(r"[0-9]\.[0-9]{1,3}\.[0-9]|[0-9A-Fa-f]:[0-9A-Fa-f]*:")
_KEYS: Final = re.compile(r"AKIA|ASIA|gh[pousr]_|github_pat_|xox|sk-|eyJ|PRIVATE KEY")
_WORDS: Final = re.compile(r"(?i:passw|secret|api_?key|access_?key)")
_COUNTRY: Final = re.compile(r"[A-Z]{2}[0-9]{2}")


@dataclass(frozen=True, slots=True)
class _Rule:
    entity_type: str
    pattern: re.Pattern[str]
    score: float
    hint: re.Pattern[str]
    accept: Callable[[re.Match[str], str], bool] | None = None
    group: int | str = 0


_RULES: Final = (
    _Rule(
        "SECRET",
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
            r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_\w{30,}"
            r"|\bxox[abprs]-[A-Za-z0-9-]{10,}|\bsk-[A-Za-z0-9_-]{20,}"
            r"|\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"
        ),
        0.95,
        _KEYS,
    ),
    _Rule(
        "SECRET",
        re.compile(
            r"(?i)(?:password|passwd|secret|api_?key|access_?key)['\"]?\s*[:=]\s*['\"](?P<v>[^'\"\n]{4,})['\"]"
        ),
        0.8,
        _WORDS,
        None,
        "v",
    ),
    _Rule(
        "EMAIL_ADDRESS",
        re.compile(
            r"(?<![\w.+-])[^\W_][\w.+'-]{0,63}@(?:[^\W_][\w-]{0,62}\.)+[^\W\d_]{2,24}(?![\w-])"
        ),
        1.0,
        _AT,
    ),
    _Rule(
        "IBAN_CODE",
        re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{1,4}){3,8}(?!\w)"),
        1.0,
        _COUNTRY,
        _iban,
    ),
    _Rule(
        "CREDIT_CARD",
        re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])"),
        1.0,
        _DIGITS,
        _card,
    ),
    _Rule(
        "US_SSN",
        re.compile(
            r"(?<![\w-])(?!000|666|9)\d{3}(?P<s>[- ])(?!00)\d{2}(?P=s)(?!0000)\d{4}(?![\w-])"
        ),
        0.9,
        _DIGITS,
    ),
    _Rule(
        "US_SSN",
        re.compile(r"(?<![\w.-])(?!000|666|9)\d{3}(?!00)\d{2}(?!0000)\d{4}(?![\w-])"),
        0.8,
        _DIGITS,
        _near(_SSN_CONTEXT),
    ),
    _Rule(
        "PHONE_NUMBER",
        re.compile(
            r"(?<![\w.+-])\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d(?:[ .-]?\d){5,12}(?![\w-])"
            r"|(?<![\w.-])(?:\+?1[ .-])?\(\d{3}\) ?\d{3}[-. ]\d{4}(?![\w-])"
            r"|(?<![\w.-])(?:1[-.])?[2-9]\d{2}(?P<p>[-.])\d{3}(?P=p)\d{4}(?![\w.-])"
        ),
        0.8,
        _DIGITS,
        _phone,
    ),
    _Rule(
        "IP_ADDRESS",
        re.compile(
            r"(?<![\w.:-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)"
            r"|(?<![\w.:])(?:[0-9A-Fa-f]{1,4}:){2,7}(?::?[0-9A-Fa-f]{1,4}){1,7}(?![\w:])"
        ),
        0.8,
        _DOTTED,
        _address,
    ),
    _Rule(
        "DATE_OF_BIRTH",
        re.compile(
            r"(?<!\w)(?:(?:19|20)\d\d[-/.](?:0?[1-9]|1[0-2])[-/.](?:[12]\d|3[01]|0?[1-9])"
            r"|(?:[12]\d|3[01]|0?[1-9])[-/.](?:[12]\d|3[01]|0?[1-9])[-/.](?:19|20)\d\d)(?!\w)"
        ),
        0.8,
        _BIRTH_CONTEXT,
        _near(_BIRTH_CONTEXT),
    ),
)


def find_spans(text: str) -> list[Span]:
    """Returns the sensitive values in ``text``, in order and without overlaps.

    Where two rules claim one place the longer span stays. Tokens are never looked into.
    """
    spans = [
        Span(match.start(rule.group), match.end(rule.group), rule.entity_type, rule.score)
        for rule in _RULES
        if rule.hint.search(text) is not None
        for match in rule.pattern.finditer(text)
        if rule.accept is None or rule.accept(match, text)
    ]
    if not spans:
        return []
    taken = [match.span() for match in TOKEN_PATTERN.finditer(text)] if "~" in text else []
    kept: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start - s.end, s.start)):
        if all(span.end <= start or span.start >= end for start, end in taken):
            kept.append(span)
            taken.append((span.start, span.end))
    return sorted(kept, key=lambda s: s.start)
