"""Reads JSON that can be read in one way only.

Two readers of one request may differ: on a member that stands twice, on ``NaN``, on bytes that
are no UTF-8. What was checked must be what the provider reads, so such a request is refused.

Source: RFC 8259 section 4, RFC 7493 (I-JSON).
"""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn, TypeAlias

Json: TypeAlias = "None | bool | int | float | str | list[Any] | dict[str, Any]"

MOST_DEPTH: Final = 100


class AmbiguousError(ValueError):
    """A text that is no JSON, or JSON that can be read in more than one way."""


def looks_like_json(text: str) -> bool:
    """Whether a text begins as an object or a list does."""
    return text.lstrip(" \t\r\n")[:1] in {"{", "["}


def read(text: str | bytes) -> Json:
    """Reads a document.

    Raises:
        AmbiguousError: It has more than one reading, or none.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        document: Json = json.loads(
            text, object_pairs_hook=_object, parse_constant=_refused, parse_float=_float
        )
    except (ValueError, RecursionError):
        raise AmbiguousError from None
    if text.count("[") + text.count("{") > MOST_DEPTH and _is_deeper(document, MOST_DEPTH):
        raise AmbiguousError
    return document


def write(document: Json, *, like: str = "") -> str:
    """Writes a document, compact where ``like`` is, any text in ASCII where it is."""
    is_compact = '": ' not in like and '", "' not in like
    return json.dumps(
        document,
        ensure_ascii=like.isascii(),
        separators=(",", ":") if is_compact else (", ", ": "),
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise AmbiguousError
    return found


def _refused(_name: str) -> NoReturn:
    raise AmbiguousError


def _float(text: str) -> float:
    value = float(text)
    if value in {float("inf"), float("-inf")}:
        raise AmbiguousError
    return value


def _is_deeper(document: Json, most: int) -> bool:
    level: list[Any] = [document]
    for _ in range(most + 1):
        level = [value for value in level if isinstance(value, (dict, list))]
        if not level:
            return False
        level = [
            item
            for value in level
            for item in (value.values() if isinstance(value, dict) else value)
        ]
    return True
