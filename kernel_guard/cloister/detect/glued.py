"""Runs of a text that begin or end inside a word: ``xOlivia Meyer``, ``id219099871``.

A word of letters and digits is cut where digits meet letters and where a small letter meets a
capital. That gives many places in code and few in prose, so a value that is met this way has to say
more than one that stands free: several words, or nine digits, or letters with digits. Words with
many such places are hashes and other noise, and are left alone.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from cloister.detect.plausible import Form

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cloister.detect.fingerprint import Places, Tokens

_MOST_TOKENS: Final = 8
_MOST_EDGES: Final = 5  # in one word
_SHORTEST_CHARS: Final = 6
_LONGEST_CHARS: Final = 256
_SHORTEST_NUMBER_DIGITS: Final = 9
_SHORTEST_WORD_CHARS: Final = 8
_DIGIT, _SMALL, _CAPITAL = 1, 2, 3


class Runs(NamedTuple):
    """Runs of the letters and digits of a text.

    Attributes:
        first: Index of the first character of each.
        last: Index after its last.
        tokens: How many words it has a part of.
    """

    first: Places
    last: Places
    tokens: Places


def _ascii_classes() -> NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    for code in range(128):
        table[code] = _class_of(chr(code))
    return table


def _class_of(character: str) -> int:
    if not character.isalnum():
        return 0
    if character.isdecimal():
        return _DIGIT
    return _CAPITAL if character.isupper() else _SMALL


_CLASSES: Final = _ascii_classes()


def glued_runs(text: str, tokens: Tokens) -> Runs | None:
    """Returns the runs that begin or end inside a word, ``None`` where no word can be cut.

    Args:
        text: The text.
        tokens: Its words.
    """
    edges = _edges(text, tokens)
    if not len(edges):
        return None
    bounds = tokens.bounds
    words = np.searchsorted(bounds, edges, "right") - 1
    many = np.bincount(words)[words] > _MOST_EDGES
    edges, words = edges[~many], words[~many]
    runs: list[tuple[Places, Places, Places]] = []
    for more in range(_MOST_TOKENS):
        begins = words + more < len(tokens)
        runs.append((edges[begins], bounds[words[begins] + more + 1], words[begins] + more))
        ends = words >= more
        runs.append((bounds[words[ends] - more], edges[ends], words[ends]))
        between = slice(0, max(0, len(edges) - more - 1))
        runs.append((edges[between], edges[more + 1 :], words[more + 1 :]))
    first, last, last_word = (np.concatenate(part) for part in zip(*runs, strict=True))
    count = last_word - np.searchsorted(bounds, first, "right") + 2
    chars = last - first
    kept = (chars >= _SHORTEST_CHARS) & (chars <= _LONGEST_CHARS) & (count <= _MOST_TOKENS)
    return Runs(first[kept], last[kept], count[kept])


def _edges(text: str, tokens: Tokens) -> Places:
    """Returns the characters, by index, before which a word is cut."""
    kinds = _kinds(text)[tokens.places]
    before, after = kinds[:-1], kinds[1:]
    is_edge = (before == _DIGIT) != (after == _DIGIT)
    is_edge |= (before == _SMALL) & (after == _CAPITAL)
    is_edge[tokens.bounds[1:-1] - 1] = False  # there a word ends anyway
    edges: Places = is_edge.nonzero()[0] + 1
    return edges


def _kinds(text: str) -> NDArray[np.uint8]:
    if text.isascii():
        return _CLASSES[np.frombuffer(text.encode("ascii"), np.uint8)]
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    kinds = _CLASSES[np.minimum(codes, 255)]
    for code in np.unique(codes[codes >= 128]):
        kinds[codes == code] = _class_of(chr(code))
    return kinds


def is_telling(value: str, form: Form) -> bool:
    """Returns whether a known value says enough to count although it is glued to something.

    Args:
        value: As it stands in the text.
        form: How the entry may be met.
    """
    if form not in {Form.WHOLE, Form.DATE}:
        return False
    digits, letters = sum(map(str.isdecimal, value)), sum(map(str.isalpha, value))
    if not letters:
        return form is Form.DATE or digits >= _SHORTEST_NUMBER_DIGITS
    has_gap = digits + letters < len(value)
    is_cut = any(a.islower() and b.isupper() for a, b in pairwise(value))
    return has_gap or (digits + letters >= _SHORTEST_WORD_CHARS and (is_cut or digits > 0))
