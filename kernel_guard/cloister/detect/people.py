"""Rules for text: names and addresses of people, where the words around them say so.

A name has no pattern of its own. Names of people in loaded data are recognised by exact match;
these rules add the few places where a text itself says that a name follows.
"""

from __future__ import annotations

import re

from cloister.detect.rules import Rule, is_joined

Range = tuple[int, int]

_NAME = r"[A-Z][a-z]{1,20}(?:['-][A-Z][a-z]{1,20})?"
_TITLE = re.compile(r"(?:Mrs?|Ms|Miss|Dr|Prof|Herr|Frau|Mme)\.? |name is ")
_NO_NAMES = frozenset(
    (
        "And",
        "But",
        "Data",
        "For",
        "Is",
        "It",
        "No",
        "Not",
        "On",
        "Or",
        "Test",
        "The",
        "This",
        "Unknown",
    )
)


def _titled(text: str, start: int, end: int) -> Range | None:
    title = _TITLE.search(text, start, end)
    if title is None or text[end : end + 1].isalnum() or text[end : end + 1] in {"_", "("}:
        return None
    if text[title.end() : end].partition(" ")[0] in _NO_NAMES:
        return None
    return title.end(), end


def _street(text: str, start: int, end: int) -> Range | None:
    return None if is_joined(text, start, end) else (start, end)


PEOPLE_RULES: tuple[Rule, ...] = (
    Rule(
        "PERSON",
        r"\b(?:(?:Mrs?|Ms|Miss|Dr|Prof|Herr|Frau|Mme)\.? |(?:my|My|his|His|her|Her) name is )"
        rf"(?:{_NAME}|[A-Z]\.)(?: (?:[A-Z]\.|{_NAME})){{0,3}}",
        0.6,
        _titled,
    ),
    Rule(
        "STREET_ADDRESS",
        r"\b\d{1,5}[A-Za-z]? (?:[NSEW]\.? )?(?:[A-Z][a-z'.-]{1,20} ){1,3}"
        r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Place|Pl|Square|"
        r"Sq|Terrace|Ter|Way|Parkway|Pkwy|Circle|Cir|Highway|Hwy|Crescent|Close|Gardens)\b"
        r"(?:,? (?:Apt|Apartment|Suite|Ste|Unit)\.? ?\w{1,5}\b)?",
        0.6,
        _street,
    ),
)
