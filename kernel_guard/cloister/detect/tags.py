"""A page without its tags, made with whole arrays: most of a table is tags.

Only for a text in which every ``<`` begins a tag and every ``>`` ends one, which is what programs
write; what a person may write is for the patterns of :mod:`cloister.detect.layouts`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_FEWEST_CHARS: Final = 2_048
_KEY_BYTES: Final = 8
_MOST_OTHERS: Final = 2_000
#: What a run of tags is for a reader, mildest first: nothing, a cell's edge, a line's end.
NOTHING, CELL, LINE = 0, 1, 2
_SHOWN: Final = np.frombuffer(b" \t\n", np.uint8)


@dataclass(frozen=True, slots=True)
class Read:
    """A page as a reader sees it.

    Attributes:
        said: Its text.
        offsets: Where in ``said`` each stretch begins.
        origins: Where it begins in the page.
        others: Start and end of the tags that are more than the name of a known element.
    """

    said: str
    offsets: NDArray[np.int64]
    origins: NDArray[np.int64]
    others: list[tuple[int, int]]


def _table(characters: bytes) -> NDArray[np.bool_]:
    table = np.zeros(256, np.bool_)
    table[list(characters)] = True
    return table


_BEGINS_TAG: Final = _table(b"!/-" + bytes(range(65, 91)) + bytes(range(97, 123)))
_IS_SPACE: Final = _table(b" \t\n\r\f\v\x1c\x1d\x1e\x1f")


class KnownTags:
    """Tags that are nothing but the name of an element.

    Args:
        kinds: For each element what its tags are to a reader.
    """

    def __init__(self, kinds: dict[str, int]) -> None:
        keys = {
            _key(inside): kind
            for name, kind in kinds.items()
            for inside in (name, f"/{name}", f"{name}/", f"{name} /")
            if len(inside) <= _KEY_BYTES
        }
        self._keys = np.array(sorted(keys), np.uint64)
        self._kinds = np.array([keys[key] for key in sorted(keys)], np.int8)

    def look_up(self, keys: NDArray[np.uint64]) -> NDArray[np.int8]:
        """Returns the kind of each key, -1 for what is not known."""
        at = np.searchsorted(self._keys, keys)
        at[at == len(self._keys)] = 0
        found: NDArray[np.int8] = np.where(self._keys[at] == keys, self._kinds[at], np.int8(-1))
        return found


def _key(inside: str) -> int:
    return int.from_bytes(inside.encode("ascii"), "big")


def without_tags(text: str, known: KnownTags, kind_of: Callable[[str], int]) -> Read | None:
    """Returns a page without its tags, ``None`` where patterns have to find them.

    Args:
        text: The page.
        known: The tags that are no more than a name.
        kind_of: Returns what another tag is to a reader.
    """
    if len(text) < _FEWEST_CHARS or not text.isascii():
        return None
    data = np.frombuffer(text.encode("ascii"), np.uint8)
    begins, ends = (data == ord("<")).nonzero()[0], (data == ord(">")).nonzero()[0] + 1
    is_regular = (
        0 < len(begins) == len(ends)
        and bool((begins < ends - 2).all())
        and bool((ends[:-1] <= begins[1:]).all())
        and bool(_BEGINS_TAG[data[begins + 1]].all())
    )
    if not is_regular:
        return None
    kinds = known.look_up(_keys(data, begins, ends))
    others = (kinds < 0).nonzero()[0].tolist()
    if len(others) > _MOST_OTHERS:
        return None
    for i in others:
        kinds[i] = kind_of(text[begins[i] : ends[i]])
    # A run goes on over space, up to the next character that says something.
    is_space = _IS_SPACE[data]
    after = ends
    if is_space.any():
        solid = np.append((~is_space).nonzero()[0], len(data))
        after = solid[np.searchsorted(solid, ends)]
    first = np.append([True], after[:-1] != begins[1:]).nonzero()[0]
    last = np.append(first[1:], len(begins)) - 1
    starts, stops = begins[first], after[last]
    kind = np.maximum.reduceat(kinds, first)
    has_space = np.add.reduceat(ends - begins, first) < stops - starts
    is_shown = (kind > NOTHING) | has_space
    page = data.copy()
    page[starts] = _SHOWN[kind]
    origins = np.concatenate([[0], stops])
    lengths = np.concatenate([starts + is_shown, [len(data)]]) - origins
    kept = np.empty(2 * len(starts) + 1, np.int64)
    kept[::2], kept[1::2] = lengths, stops - starts - is_shown
    is_kept = np.repeat(np.arange(len(kept)) % 2 == 0, kept)
    offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    said = page[is_kept].tobytes().decode("ascii")
    return Read(said, offsets, origins, [(int(begins[i]), int(ends[i])) for i in others])


def _keys(
    data: NDArray[np.uint8], begins: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """Returns what stands between the brackets of each tag as a number, 0 where it is long."""
    widths = ends - begins - 2
    padded = data.tobytes() + bytes(_KEY_BYTES)
    # Eight bytes from each place on, as one number.
    windows = np.ndarray((len(data),), ">u8", padded, strides=(1,))
    keys = windows[begins + 1].astype(np.uint64)
    keys >>= (8 * (_KEY_BYTES - np.minimum(widths, _KEY_BYTES))).astype(np.uint64)
    keys[widths > _KEY_BYTES] = 0
    return keys
