"""Which tokens of a text are halves of decimal numbers, found with whole arrays.

A table of measurements is mostly such numbers, and no run of nothing but them is a match
(:mod:`cloister.detect.plausible`: digits are not joined over a point), so none is looked up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cloister.detect.fingerprint import Tokens

_LONGEST_WHOLE_DIGITS: Final = 2  # with more, the whole part could be something by itself


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
