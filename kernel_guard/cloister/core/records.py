"""Lineage records and their canonical bytes.

The bytes that are stored are the bytes that are hashed. Headers hold strings, integers, booleans,
null, lists and objects with ASCII keys; floats are refused, because their text differs between
JSON writers (RFC 8785 section 3.2.2.3), so durations are whole microseconds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TypeAlias

Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"


@dataclass(frozen=True, slots=True)
class Record:
    """One event to append to the lineage log.

    Attributes:
        type: Dotted noun and verb, for instance ``cell.intent`` or ``policy.applied``.
        body: The header, in clear. Never a raw sensitive value, never a float.
        payload: Bytes that are encrypted before they are stored: code, outputs. May be empty.
    """

    type: str
    body: dict[str, Json]
    payload: bytes = field(default=b"", repr=False)


def canonical_bytes(value: Json) -> bytes:
    """Returns the one byte string that stands for ``value``.

    Raises:
        ValueError: The value holds a float or a key that is not ASCII.
    """
    _refuse_ambiguous(value)
    return _ENCODER.encode(value).encode("utf-8", "surrogatepass")


_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)
_PLAIN = frozenset({str, int, bool, type(None)})


def _refuse_ambiguous(value: Json) -> None:
    if isinstance(value, float):
        raise ValueError("a lineage header may not hold a float; use an integer with its unit")
    if isinstance(value, dict):
        if not "".join(value).isascii():
            raise ValueError("a lineage header may only have ASCII keys")
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            if type(item) not in _PLAIN:  # this runs for every value of every record
                _refuse_ambiguous(item)
