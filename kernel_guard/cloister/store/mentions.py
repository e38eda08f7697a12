"""What events are about: an index of names beside the log, so that questions need no scan. Pure.

A *name* is the text of a key ``kernel_id``, ``user`` or ``dataset`` anywhere in a body. It is found
in the canonical bytes, the same for whoever writes the index and whoever checks it. The index holds
the first 64 bits of each name's SHA-256 with the number of the event. It is no part of the tree, so
verification rebuilds it and compares: a row that was taken out hides nothing for long.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from functools import lru_cache
from typing import Final

from cloister.core.records import canonical_bytes

KEYS: Final = ("kernel_id", "user", "dataset")

# In canonical JSON the first quote of `"user":"` can only open a key: a quote inside a text is
# escaped, and one that closed a text would be followed by a comma, a colon or a bracket.
_MARKS: Final = tuple((key.encode(), f'"{key}":"'.encode()) for key in KEYS)
_REST_OF_TEXT: Final = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
_PRIME: Final = 2**127 - 1
_SEQ_BITS: Final = 48


def name_of(key: str, value: str) -> int:
    """Returns the number that stands for a name.

    Args:
        key: One of :data:`KEYS`.
        value: What the events say, for instance a kernel's id.
    """
    return _digest(key.encode(), canonical_bytes(value)[1:-1])


def names_in(content: bytes) -> set[int]:
    """Returns the names in the canonical bytes of a body, or of a header around it."""
    names = set()
    for key, mark in _MARKS:
        at = content.find(mark)
        while at >= 0:
            text = _REST_OF_TEXT.match(content, at + len(mark))
            if text is None:  # pragma: no cover - the pattern matches the empty text
                break
            names.add(_digest(key, text[0]))
            at = content.find(mark, text.end())
    return names


@lru_cache(maxsize=65_536)
def _digest(key: bytes, text: bytes) -> int:
    # Signed, because that is the integer both databases have.
    digest = hashlib.sha256(key + b"\0" + text).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


class MentionCheck:
    """Compares two sets of (name, number) pairs that come in different orders, in constant memory.

    Each set is a polynomial whose roots are its pairs. Two different sets of a million pairs agree
    at a random point, drawn after the index was written, with a probability below 2**-106
    (Schwartz-Zippel).
    """

    def __init__(self) -> None:
        self._point = secrets.randbelow(_PRIME)
        self._wanted = self._found = 1

    def want(self, seq: int, names: set[int]) -> None:
        """Adds what an event says."""
        for name in names:
            self._wanted = self._wanted * (self._point - _pair(name, seq)) % _PRIME

    def find(self, name: int, seq: int) -> None:
        """Adds a row of the index."""
        self._found = self._found * (self._point - _pair(name, seq)) % _PRIME

    @property
    def is_equal(self) -> bool:
        """Whether both sets are the same."""
        return self._wanted == self._found


def _pair(name: int, seq: int) -> int:
    return (name << _SEQ_BITS) + seq
