"""Marks and nulls: what stands in for a value already, and what stands for nothing."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

from cloister.detect.tokens import TOKEN_PATTERN

PARTIAL_CHARS: Final = 4
#: Stands for a value of which nothing is known.
UNKNOWN: Final = "UNKNOWN"
PROSE: Final = "FREE_TEXT"

# With fewer characters the last four would be half of the value or more.
_HIDDEN_LEAST: Final = 5
_LONGEST: Final = 240  # a reversible token of a long type is the longest
_STAND_IN = re.compile(
    rf"{TOKEN_PATTERN.pattern}|\[redacted\]|\[[A-Z][A-Z0-9_]*(?: ….{{1,4}})?\]", re.DOTALL
)


def is_null(value: object) -> bool:
    """Returns whether a value stands for nothing: ``None``, NaN, NaT, ``pandas.NA``."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    return isinstance(value, float) and value != value  # noqa: PLR0124 - only NaN differs


def is_stand_in(value: object) -> bool:
    """Returns whether a value is a token or a mark already."""
    return (
        isinstance(value, str)
        and ("~" in value or value[:1] == "[")
        and len(value) < _LONGEST
        and bool(_STAND_IN.fullmatch(value))
    )


def entity_shown(entity_type: str | None, is_free_text: bool) -> str:  # noqa: FBT001 - a finding's two facts
    """Returns the type that stands in the stand-ins of a column."""
    return entity_type or (PROSE if is_free_text else UNKNOWN)


def mark(entity_type: str) -> str:
    """Returns the mark that shows nothing but the kind."""
    return f"[{entity_type}]"


def partial_mark(entity_type: str, text: str, last: int = PARTIAL_CHARS) -> str:
    """Returns a mark with the last characters, or without when they were half of the value."""
    if len(text) < max(2 * last, last + _HIDDEN_LEAST):
        return mark(entity_type)
    return f"[{entity_type} …{text[-last:]}]"


def encodable(text: str) -> str:
    """Returns text that has a UTF-8 form: lone surrogates have none, and many columns want one."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def text_of(value: object) -> str:
    """Returns the one text of a value, the same however its column came to be typed.

    An identifier that a null turned into a float reads as the integer it was, and a date that was
    widened to midnight reads as the date.
    """
    if isinstance(value, str):
        return value if type(value) is str else str.__str__(value)  # not what a subclass says
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    try:
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        if isinstance(value, dt.datetime):
            is_midnight = not (value.hour or value.minute or value.second or value.microsecond)
            return value.date().isoformat() if is_midnight else value.isoformat(sep=" ")
        return str(value)
    except Exception:  # noqa: BLE001 - a value may be any object; what it raises may hold data
        return type(value).__name__
