"""Values that say too little alone, and count where another value of their row stands nearby.

``June`` is a month and ``90210`` a number, and each may be somebody's. So a short, common or recent
value is indexed together with the pairs that it makes with its neighbours in a row: in an output it
counts where one of these pairs stands close together. Rarity is judged by the data itself: a value
that many rows share tells nobody, and neither does a pair of them. Works on whole batches at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from cloister.detect.spellings import Alone, alone

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from numpy.typing import NDArray

    from cloister.detect.fingerprint import Fingerprints, Places, Words

# A value or a pair is rare if so few rows hold it, or so small a share of a batch.
_RARE_ROWS: Final = 3
_RARE_SHARE: Final = 0.005
_NEIGHBOURS: Final = 4
#: How far apart in an output two values of a row may stand, and how many other known ones between.
NEAR_CHARS: Final = 120
_NEAR_HITS: Final = 8


@dataclass(frozen=True, slots=True)
class RowColumn:
    """A column of some rows.

    Attributes:
        entity_type: Presidio's name.
        values: Its distinct values.
        codes: For each row the position of its value in ``values``, -1 for none.
    """

    entity_type: str
    values: Sequence[str]
    codes: Places


def weak_values(
    prints: Fingerprints, columns: Sequence[RowColumn], today: date
) -> tuple[list[tuple[str, Words]], Words]:
    """Returns the fingerprints of values that need company, by type, and those of their pairs.

    Args:
        prints: Makes the fingerprints.
        columns: Columns of the same rows, in the order in which people see them.
        today: A birth date less than 16 years before it needs company.
    """
    looked = [_look(alone(prints, c.entity_type, c.values, today), c.codes) for c in columns]
    pairs = []
    for i, left in enumerate(looked):
        for right in looked[i + 1 : i + 1 + _NEIGHBOURS]:
            rows = left.held & right.held & (left.is_weak | right.is_weak)
            rows &= left.prints != right.prints
            found = paired(prints, left.prints[rows], right.prints[rows])
            pairs.append(_rare(found, len(rows)))
    weak = [
        (column.entity_type, np.unique(look.prints[look.is_weak]))
        for column, look in zip(columns, looked, strict=True)
    ]
    joined = np.concatenate(pairs) if pairs else np.zeros(0, np.uint64)
    return [(name, found) for name, found in weak if len(found)], joined


def paired(prints: Fingerprints, left: Words, right: Words) -> Words:
    """Returns the fingerprints of pairs, in whichever order the two stand."""
    return prints.mixed(np.minimum(left, right), np.maximum(left, right))


def near_pairs(starts: Places, ends: Places) -> tuple[Places, Places]:
    """Returns the positions of all two hits that stand close together and do not overlap.

    Args:
        starts: Where each hit begins, ascending.
        ends: Where it ends.
    """
    first, second = [], []
    count = len(starts)
    for step in range(1, min(_NEAR_HITS, count - 1) + 1):
        gap = starts[step:] - ends[:-step]
        close = ((gap >= 0) & (gap <= NEAR_CHARS)).nonzero()[0]
        first.append(close)
        second.append(close + step)
    if not first:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate(first), np.concatenate(second)


@dataclass(frozen=True, slots=True)
class _Looked:
    """Values of a column, row by row."""

    prints: Words
    held: NDArray[np.bool_]
    is_weak: NDArray[np.bool_]


def _look(values: Alone, codes: Places) -> _Looked:
    counts = np.bincount(codes[codes >= 0], minlength=len(values.prints))
    most = max(_RARE_ROWS, int(_RARE_SHARE * len(codes)))
    is_weak = values.is_weak & (counts <= most)
    held = codes >= 0
    held[held] = values.held[codes[held]]
    if not len(values.prints):
        nothing = np.zeros(len(codes), np.bool_)
        return _Looked(np.zeros(len(codes), np.uint64), nothing, nothing)
    return _Looked(values.prints[codes], held, is_weak[codes] & held)


def _rare(found: Words, rows: int) -> Words:
    unique, counts = np.unique(found, return_counts=True)
    kept: Words = unique[counts <= max(_RARE_ROWS, int(_RARE_SHARE * rows))]
    return kept
