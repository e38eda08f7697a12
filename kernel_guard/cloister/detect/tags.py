"""A page without its tags, made with whole arrays: most of a table is tags.

Only for a text in which every ``<`` begins a tag and every ``>`` ends one, which is what programs
write; what a person may write is for the patterns of :mod:`cloister.detect.layouts`.

A *run* is tags and the space behind them, up to the next character that says something. A page has
few different runs, so what one is to a reader is asked once for each and not for each place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Places = NDArray[np.int64]

_FEWEST_CHARS: Final = 2_048
#: Runs are compared in windows of eight bytes, longer ones than so many as texts.
_WINDOW: Final = 8
_WINDOWS: Final = 8
_BUCKET_BITS: Final = 12
_MOST_LONG_RUNS: Final = 60_000
_MIX: Final = np.array(
    [0x9E3779B97F4A7C15 * (2 * i + 1) % 2**64 for i in range(_WINDOWS)], np.uint64
)
_TAKEN_OUT: Final = 0xFF  # no character of a text in ASCII


@dataclass(frozen=True, slots=True)
class Run:
    """What a run of tags is to a reader.

    Attributes:
        shown: What is shown for it: nothing or one character.
        says_more: Whether one of its tags is more than the name of a known element.
    """

    shown: str
    says_more: bool


@dataclass(frozen=True, slots=True)
class Read:
    """A page as a reader sees it.

    Attributes:
        said: Its text.
        offsets: Where in ``said`` each stretch begins.
        origins: Where it begins in the page.
        others: Start and end of the runs that say more than what is shown for them.
    """

    said: str
    offsets: Places
    origins: Places
    others: list[tuple[int, int]]


def _table(characters: bytes) -> NDArray[np.bool_]:
    table = np.zeros(256, np.bool_)
    table[list(characters)] = True
    return table


_BEGINS_TAG: Final = _table(b"!/-" + bytes(range(65, 91)) + bytes(range(97, 123)))
_IS_SPACE: Final = _table(b" \t\n\r\f\v\x1c\x1d\x1e\x1f")
_WIDTHS: Final = np.array([(1 << 8 * i) - 1 for i in range(_WINDOW + 1)], np.uint64)


def without_tags(text: str, look: Callable[[str], Run]) -> Read | None:
    """Returns a page without its tags, ``None`` where patterns have to find them.

    Args:
        text: The page.
        look: Says what a run of tags is.
    """
    if len(text) < _FEWEST_CHARS or not text.isascii():
        return None
    padded = text.encode("ascii") + bytes(_WINDOW)
    data = np.frombuffer(padded, np.uint8)
    begins, ends = (data == ord("<")).nonzero()[0], (data == ord(">")).nonzero()[0] + 1
    is_regular = (
        0 < len(begins) == len(ends)
        and bool((begins < ends - 2).all())
        and bool((ends[:-1] <= begins[1:]).all())
        and bool(_BEGINS_TAG[data[begins + 1]].all())
    )
    if not is_regular:
        return None
    after = _behind_space(padded, data, ends)
    first = np.append([True], after[:-1] != begins[1:]).nonzero()[0]
    starts, stops = begins[first], after[np.append(first[1:], len(begins)) - 1]
    runs = _look_at_all(padded, text, starts, stops, look)
    if runs is None:
        return None
    shown, says_more = runs
    is_shown = shown > 0
    page = data.copy()
    page[starts[is_shown]] = shown[is_shown]
    page |= _between(len(data), starts + is_shown, stops)
    said = page[: len(text)].tobytes().translate(None, bytes([_TAKEN_OUT])).decode("ascii")
    origins = np.append([0], stops)
    lengths = np.append(starts + is_shown, len(text)) - origins
    offsets = np.append([0], np.cumsum(lengths[:-1]))
    others = [(int(starts[i]), int(stops[i])) for i in says_more.nonzero()[0]]
    return Read(said, offsets, origins, others)


def _behind_space(padded: bytes, data: NDArray[np.uint8], ends: Places) -> Places:
    """Returns where the next character that is no space stands behind each tag."""
    has_space = _IS_SPACE[data[ends]]
    if not has_space.any():
        return ends
    is_space = np.frombuffer(padded.translate(_IS_SPACE.tobytes()), np.bool_)
    edges = (is_space[1:] != is_space[:-1]).nonzero()[0] + 1
    if is_space[0]:
        edges = edges[1:]
    opens, closes = edges[::2], edges[1::2]
    after = ends.copy()
    # Both are in order, and each stretch of space behind a tag is behind one.
    after[has_space] = closes[data[opens - 1] == ord(">")]
    return after


def _look_at_all(
    padded: bytes, text: str, starts: Places, stops: Places, look: Callable[[str], Run]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]] | None:
    """Returns the character that is shown for each run, 0 for none, and whether it says more."""
    buckets, like = _alike(padded, starts, stops - starts)
    is_same = like >= 0
    rest = (~is_same).nonzero()[0]
    if len(rest) > _MOST_LONG_RUNS:
        return None
    known: dict[str, Run] = {}

    def run_at(i: int) -> Run:
        run = text[starts[i] : stops[i]]
        found = known.get(run)
        if found is None:
            found = known[run] = look(run)
        return found

    chosen = np.full(1 << _BUCKET_BITS, -1, np.int64)
    chosen[buckets[is_same]] = like[is_same]
    shown_of = np.zeros(1 << _BUCKET_BITS, np.uint8)
    more_of = np.zeros(1 << _BUCKET_BITS, np.bool_)
    for bucket in (chosen >= 0).nonzero()[0].tolist():
        run = run_at(int(chosen[bucket]))
        shown_of[bucket], more_of[bucket] = ord(run.shown or "\0"), run.says_more
    shown, says_more = shown_of[buckets], more_of[buckets]
    for i in rest.tolist():
        run = run_at(i)
        shown[i], says_more[i] = ord(run.shown or "\0"), run.says_more
    return shown, says_more


def _alike(padded: bytes, starts: Places, widths: Places) -> tuple[Places, Places]:
    """Returns a bucket for each run, and the run of that bucket that is the same, -1 for none."""
    windows = np.ndarray((len(padded) - _WINDOW + 1,), "<u8", padded, strides=(1,))
    mixed = widths.astype(np.uint64)
    seen: list[tuple[Places, NDArray[np.uint64]]] = []
    for number in range(_WINDOWS):
        longer = (widths > number * _WINDOW).nonzero()[0]
        if not len(longer):
            break
        said = windows[starts[longer] + number * _WINDOW]
        said &= _WIDTHS[np.minimum(widths[longer] - number * _WINDOW, _WINDOW)]
        mixed[longer] += said * _MIX[number]
        seen.append((longer, said))
    buckets = (mixed >> np.uint64(64 - _BUCKET_BITS)).astype(np.int64)
    # One run of each bucket stands for all that are the same.
    chosen = np.zeros(1 << _BUCKET_BITS, np.int64)
    chosen[buckets] = np.arange(len(starts))
    like = chosen[buckets]
    is_same = (widths == widths[like]) & (widths <= _WINDOWS * _WINDOW)
    for longer, said in seen:
        there = np.zeros(len(starts), np.uint64)
        there[longer] = said
        is_same[longer] &= said == there[like[longer]]
    like[~is_same] = -1
    return buckets, like


def _between(length: int, starts: Places, stops: Places) -> NDArray[np.uint8]:
    """Returns bytes that are 255 from each start to before its stop, and 0 elsewhere.

    Each bit is the parity of the marks before it. Within a word of 64 it takes six shifts.
    """
    marks = np.zeros(length + -length % 64, np.uint8)
    marks[starts] = 1
    marks[stops] = 1
    words = np.packbits(marks, bitorder="little").view("<u8")
    for shift in (1, 2, 4, 8, 16, 32):
        words ^= words << np.uint64(shift)
    carried = np.bitwise_xor.accumulate(words >> np.uint64(63))
    words[1:] ^= np.uint64(0) - carried[:-1]
    return np.uint8(0) - np.unpackbits(words.view(np.uint8), bitorder="little")[:length]
