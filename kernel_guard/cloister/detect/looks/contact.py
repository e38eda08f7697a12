"""Ways to reach a person, and where a person is.

Sources: RFC 5321 (e-mail), ITU-T E.164 (telephone), RFC 3986 (URL), RFC 5870 and well-known text
(positions), Universal Postal Union (postcodes).
"""

from __future__ import annotations

import re
from typing import Final

from cloister.detect.looks.look import Look

_NUMBER: Final = re.compile(r"[+-]?\d+(?:\.\d+)?")
_PAIR: Final = r"[+-]?\d{1,3}\.\d{3,}(?: ?[,;] ?| )[+-]?\d{1,3}\.\d{3,}"


def _positions(values: list[str]) -> int:
    """Returns how many values are a latitude and a longitude, in either order."""
    count = 0
    for value in values:
        first, second = (abs(float(n)) for n in _NUMBER.findall(value)[:2])
        count += min(first, second) <= 90 and max(first, second) <= 180
    return count


def _degrees(values: list[str]) -> int:
    """Returns how many values are degrees of latitude or longitude; none, if most are whole."""
    if sum("." in value for value in values) < len(values) / 2:
        return 0
    return sum(abs(float(value)) <= 180 for value in values)


CONTACT: tuple[Look, ...] = (
    Look(
        "EMAIL_ADDRESS",
        # A count of a Unicode class makes an automaton of thousands of states; + does not.
        r"(?:mailto:)?[^\s@<>(),;:\"]+@[^\s@<>(),;:\"]+\.(?:\pL\pL+|xn--[a-z\d-]+)"
        r"|[^@<>]*<[^\s@<>]+@[^\s@<>]+\.\pL+>",
        is_strong=True,
        chance=1e-6,
    ),
    Look(
        "PHONE_NUMBER",
        r"\+\d{1,3}[ .-]?(?:\(\d{1,5}\)[ .-]?)?\d{1,5}(?:[ .-]?\d{2,5}){1,4}(?: ?x\d+)?"
        r"|(?:\+?1[ .-]?)?\([2-9]\d{2}\) ?\d{3}[-. ]\d{4}(?: ?x\d+)?|[2-9]\d{2}-[2-9]\d{2}-\d{4}",
        chance=0.3,
    ),
    Look(
        "URL",
        r"(?i)(?:https?|ftp)://[^\s/]+\S*|www\.[^\s/]+\.\S+",
        is_strong=True,
        chance=1e-6,
    ),
    # Only what has letters: five digits are anything.
    Look(
        "POSTCODE",
        r"(?i)(?:GIR ?0AA|[A-PR-UWYZ](?:[A-HK-Y]?\d{1,2}|\d[A-HJKPSTUW]|[A-HK-Y]\d[ABEHMNPRVWXY])"
        r" ?\d[ABD-HJLNP-UW-Z]{2})|[ABCEGHJ-NPRSTVXY]\d[ABCEGHJ-NPRSTV-Z] ?\d[ABCEGHJ-NPRSTV-Z]\d",
        hint=r"\bpost ?code\b|\bpostal ?code\b|\bzip\b",
        chance=0.02,
    ),
    Look(
        "GEO",
        # Of brackets both or none: (-22.689, -18.76] is an interval.
        rf"{_PAIR}|\({_PAIR}\)|\[{_PAIR}\]"
        r"|(?i:geo:)[+-]?\d{1,3}(?:\.\d+)?,[+-]?\d{1,3}(?:\.\d+)?.*"
        r"|(?i:(?:SRID=\d+;)?POINT ?Z? ?)\([+-]?\d{1,3}(?:\.\d+)? [+-]?\d{1,3}(?:\.\d+)?.*\)",
        check=_positions,
        hint=r"\b(?:geo|gps|coordinates?|lat ?lo?ng?|location|position)\b",
        chance=0.05,
    ),
    Look(
        "GEO",
        r"[NSEWnsew]? ?\d{1,3}[\x{B0}\x{BA}] ?"
        r"\d{1,2}['\x{2032}] ?\d{1,2}(?:\.\d+)?[\"\x{2033}]? ?[NSEWnsew]?.*",
        chance=1e-6,
    ),
    Look(
        "GEO",
        r"[+-]?\d{1,3}(?:\.\d+)?",
        check=_degrees,
        hint=r"(?<!delta )\b(?:lati?|latitude?|long?$|lng|longitude?"
        r"|(?:geo|gps|coord(?:inate)?s?) ?[xy]|breitengrad|l(?:ae|a)ngengrad)\b",
        alone=False,
    ),
)
