"""Which tokens of a text are halves of decimal numbers, found with whole arrays.

A table of measurements is mostly such numbers, and no run of nothing but them is a match
(:mod:`cloister.detect.plausible`: digits are not joined over a point), so none is looked up. Where
a text has nothing else for a while, it is not even read.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cloister.detect.fingerprint import Tokens

_LONGEST_WHOLE_DIGITS: Final = 2  # with more, the whole part could be something by itself


_BLOCK_CHARS: Final = 4_096
#: More than eight tokens of such numbers, so that no value is cut where they end.
_KEPT_CHARS: Final = 1_024
_LONGEST_NUMBER_CHARS: Final = 64
_BEGINS_NUMBER: Final = re.compile(r"[ \t\n,;|(\[>=:'\"]")


def _table(characters: bytes) -> NDArray[np.bool_]:
    table = np.zeros(256, np.bool_)
    table[list(characters)] = True
    return table


_BEFORE: Final = _table(b" \t\n,;|([>=:'\"")
_AFTER: Final = _table(b" \t\n,;|)]<'\"")
_SIGN: Final = _table(b"+-")


def of_decimals(text: str, tokens: Tokens) -> NDArray[np.bool_] | None:
    """Returns for each token whether it is half of a decimal number that stands by itself.

    Args:
        text: The text.
        tokens: Its tokens.

    Returns:
        ``None`` where nothing is known: the text is not plain ASCII.
    """
    if tokens.ends is not None or tokens.codes.dtype != np.uint8 or len(tokens) < 2:
        return None
    # A space at each end stands for the text's edges.
    data = np.frombuffer(f" {text} ".encode("ascii"), np.uint8)
    begins = tokens.places[tokens.bounds[:-1]] + 1
    ends = tokens.places[tokens.bounds[1:] - 1] + 2
    lengths = np.diff(tokens.bounds)
    is_digit = (tokens.codes - np.uint8(48)) < 10
    is_number = np.add.reduceat(is_digit, tokens.bounds[:-1], dtype=np.int64) == lengths
    before = data[begins[:-1] - 1]
    before = np.where(_SIGN[before], data[np.maximum(begins[:-1] - 2, 0)], before)
    is_whole = (
        (is_number[:-1] & is_number[1:])
        & (lengths[:-1] <= _LONGEST_WHOLE_DIGITS)
        & (begins[1:] - ends[:-1] == 1)
        & (data[ends[:-1]] == ord("."))
        & _BEFORE[before]
        & _AFTER[data[ends[1:]]]
    )
    found = np.zeros(len(tokens), np.bool_)
    found[:-1] = is_whole
    found[1:] |= is_whole
    return found


def tokens_to_other(is_decimal: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Returns for each token how many tokens on the next one stands that is no such half."""
    places = np.arange(len(is_decimal))
    others = np.append(places[~is_decimal], len(is_decimal) + len(places))
    distances: NDArray[np.int64] = others[np.searchsorted(others, places)] - places
    return distances


def stretches_with_more(text: str, *, has_tags: bool = False) -> Iterator[tuple[int, int]]:
    """Yields the parts of a text that hold anything but decimal numbers, with some around them.

    A text that holds something else everywhere is one part.

    Args:
        text: Any text; only one of plain ASCII is looked at.
        has_tags: Whether the numbers may stand in cells of HTML. Then they have no more than eight
            decimals, since more could be a number that is written backwards.
    """
    length = len(text)
    if not text.isascii():
        yield 0, length
        return
    decimals = _in_cells() if has_tags else _decimals()
    start: int | None = 0
    first = 0
    while first < length:
        last = _edge(text, first + _BLOCK_CHARS)
        # Where no number ends for long there are none, and the next block begins in the middle of
        # something; it is near enough to this one to be read with it.
        has_more = last is None or not decimals.fullmatch(text[first:last].encode("ascii"))
        last = min(first + _BLOCK_CHARS, length) if last is None else last
        if has_more and start is None:
            start = _edge(text, first - _KEPT_CHARS) or first
        elif not has_more and start is not None and last - first > 2 * _KEPT_CHARS:
            if start < first:
                yield start, _edge(text, first + _KEPT_CHARS) or last
            start = None
        first = last
    if start is not None:
        yield start, length


def _edge(text: str, place: int) -> int | None:
    """Returns the first place from ``place`` on where a number may begin, ``None`` for far off."""
    if place >= len(text):
        return len(text)
    edge = _BEGINS_NUMBER.search(text, place - 1, place + _LONGEST_NUMBER_CHARS)
    return None if edge is None else edge.end()


@cache
def _decimals() -> Any:
    import re2

    both, around = r"[ \t\n,;|'\"]", r"[ \t\n,;|()\[\]<>=:'\"]"
    before, after = r"[ \t\n,;|(\[>=:'\"]", r"[ \t\n,;|)\]<'\"]"
    return re2.compile(
        rf"(?:{around}*{before})?(?:[+-]?[0-9]{{1,{_LONGEST_WHOLE_DIGITS}}}\.[0-9]{{1,20}}"
        rf"(?:{both}|{after}{around}*{before}|{after}{around}*$|$))*{around}*"
    )


@cache
def _in_cells() -> Any:
    import re2

    gap = r"(?:[ \t\n,;|()\[\]]|</?(?:td|th|tr|tbody|thead|table)>)"
    number = rf"[+-]?[0-9]{{1,{_LONGEST_WHOLE_DIGITS}}}\.[0-9]{{1,8}}"
    return re2.compile(rf"{gap}*(?:{number}{gap}+)*(?:{number})?")
