"""Reads JSON (RFC 8259) and remembers where in the text each value stands.

A document of which a part has to go can then be cut, and every other byte stays: no indentation, no
escape and no order of keys changes. What two readers could read as two documents is refused: a key
that occurs twice, ``NaN``, anything after the end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from json import JSONDecodeError, JSONDecoder
from typing import TYPE_CHECKING, Final

from cloister.core.errors import CloisterError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_DEPTH: Final = 200
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_SCALAR: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null")
_BOM: Final = "\ufeff"
_STRINGS: Final = JSONDecoder()


class JsonUnclear(CloisterError):
    """A text that is no JSON, or that can be read in more than one way."""

    default_code = "CLO-SHARE-001"


class Kind(Enum):
    """What a value is."""

    OBJECT = "object"
    ARRAY = "array"
    STRING = "string"
    SCALAR = "scalar"


@dataclass(slots=True)
class Place:
    """A value and where it stands.

    Attributes:
        kind: What it is.
        start: Offset of its first character.
        end: Offset after its last.
        text: What a string says, or how a scalar is written.
        key: The place of its key, in an object.
        items: What it holds, in order.
    """

    kind: Kind
    start: int
    end: int = 0
    text: str = ""
    key: Place | None = None
    items: list[Place] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its key in an object, or ``""``."""
        return "" if self.key is None else self.key.text

    @property
    def from_key(self) -> int:
        """Where it starts, with its key."""
        return self.start if self.key is None else self.key.start

    def get(self, name: str) -> Place | None:
        """Returns the value of a key of an object."""
        if self.kind is not Kind.OBJECT:
            return None
        return next((item for item in self.items if item.name == name), None)

    def elements(self, name: str) -> list[Place]:
        """Returns what the array of a key holds; nothing when there is none."""
        found = self.get(name)
        return found.items if found is not None and found.kind is Kind.ARRAY else []

    def walk(self) -> Iterator[Place]:
        """Yields this place and all below it, in the order of the text."""
        pending = [self]
        while pending:
            place = pending.pop()
            yield place
            pending += reversed(place.items)


def read_json(text: str) -> Place:
    """Returns the places of a JSON text; a byte order mark before it is allowed.

    Raises:
        JsonUnclear: It is no JSON, is nested too deeply, or has a key twice.
    """
    place, end = _value(text, _skip(text, 1 if text.startswith(_BOM) else 0), 0)
    if _skip(text, end) != len(text):
        raise _unclear("something follows the end of the document")
    return place


def _value(text: str, at: int, depth: int) -> tuple[Place, int]:
    if depth > MOST_DEPTH:
        raise _unclear("it is nested too deeply")
    first = text[at : at + 1]
    if first == '"':
        said, end = _string(text, at)
        return Place(Kind.STRING, at, end, said), end
    if first == "{":
        return _object(text, at, depth)
    if first == "[":
        return _array(text, at, depth)
    match = _SCALAR.match(text, at)
    if match is None:
        raise _unclear("it is not JSON")
    return Place(Kind.SCALAR, at, match.end(), match.group()), match.end()


def _object(text: str, start: int, depth: int) -> tuple[Place, int]:
    place, seen = Place(Kind.OBJECT, start), set()
    at = _skip(text, start + 1)
    while text[at : at + 1] != "}":
        if place.items:
            at = _skip(text, _expect(text, at, ","))
        if text[at : at + 1] != '"':
            raise _unclear("it is not JSON")
        name, end = _string(text, at)
        if name in seen:
            raise _unclear("a key occurs twice in one object")
        seen.add(name)
        key = Place(Kind.STRING, at, end, name)
        item, at = _value(text, _skip(text, _expect(text, _skip(text, end), ":")), depth + 1)
        item.key = key
        place.items.append(item)
        at = _skip(text, at)
    place.end = at + 1
    return place, at + 1


def _array(text: str, start: int, depth: int) -> tuple[Place, int]:
    place = Place(Kind.ARRAY, start)
    at = _skip(text, start + 1)
    while text[at : at + 1] != "]":
        if place.items:
            at = _skip(text, _expect(text, at, ","))
        item, at = _value(text, at, depth + 1)
        place.items.append(item)
        at = _skip(text, at)
    place.end = at + 1
    return place, at + 1


def _string(text: str, at: int) -> tuple[str, int]:
    try:
        said, end = _STRINGS.raw_decode(text, at)
    except JSONDecodeError:
        raise _unclear("a string in it is not JSON") from None
    return str(said), end


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return at if match is None else match.end()


def _expect(text: str, at: int, sign: str) -> int:
    if text[at : at + 1] != sign:
        raise _unclear("it is not JSON")
    return at + 1


def _unclear(why: str) -> JsonUnclear:
    return JsonUnclear(
        f"The document cannot be read in exactly one way: {why}.",
        remedy="Open it in JupyterLab and save it again.",
    )
