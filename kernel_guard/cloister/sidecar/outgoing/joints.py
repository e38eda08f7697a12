"""Texts that were said one after the other and stand against each other without a gap.

Read as one, ``x`` and ``Ann Miller`` are a word and a half: a name that is glued to a letter is
none. A reader who saw them come knows better, so where texts meet in the middle of a word, a value
may begin or end.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cloister.detect.spans import Span

#: Characters beside a joint that are looked through, on each side.
_BESIDE: Final = 160
#: Joints in one text that are looked at; letters that come one by one make more.
_MOST_JOINTS: Final = 64
#: Between texts that are looked through together; no value goes on over it.
_APART: Final = "\n\nqxzqx\n\n"
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")


def is_glued(before: str, after: str) -> bool:
    """Returns whether two texts meet in the middle of what reads as one word."""
    return before[-1:].isalnum() and after[:1].isalnum()


def texts_to_check(pieces: Sequence[str], find: Callable[[str], Sequence[Span]]) -> list[str]:
    """Joins pieces of a text, but not where one of two values stands against other letters.

    A value that goes on over a joint keeps its pieces together.

    Args:
        pieces: As they were said, in order.
        find: Returns the values in a text, in order.

    Returns:
        Texts that are the pieces joined, each to be checked by itself.
    """
    joints = list(_glued_joints(pieces))
    if not joints:
        return ["".join(pieces)]
    plain = [_COLOUR.sub("", piece) for piece in pieces]
    text = "".join(plain)
    ends = list(accumulate(map(len, plain)))
    joint_at = {ends[joint - 1]: joint for joint in joints}
    standing = _beside_values(text, list(joint_at), find)
    if not standing:
        return ["".join(pieces)]
    inside = [(span.start, span.end) for span in find(text)]
    cuts = sorted(joint_at[at] for at in standing if not any(a < at < b for a, b in inside))
    return ["".join(pieces[a:b]) for a, b in zip([0, *cuts], [*cuts, len(pieces)], strict=True)]


def _beside_values(
    text: str, offsets: list[int], find: Callable[[str], Sequence[Span]]
) -> set[int]:
    """Returns at which offsets a value begins or ends if a word does."""
    parts = [part for at in offsets for part in ((max(0, at - _BESIDE), at), (at, at + _BESIDE))]
    parts += pairwise(offsets)
    pieces = [text[a:b] for a, b in parts]
    starts = [0, *accumulate(len(piece) + len(_APART) for piece in pieces)]
    touched = set()
    for span in find(_APART.join(pieces)):
        number = bisect_right(starts, span.start) - 1
        moved = parts[number][0] - starts[number]
        touched |= {span.start + moved, span.end + moved} & set(parts[number])
    return touched & set(offsets)


def _glued_joints(pieces: Sequence[str]) -> Iterator[int]:
    """Yields the numbers of the pieces that go on in the middle of a word, the last ones only."""
    found = []
    before = ""
    for number, piece in enumerate(pieces):
        if "\x1b" in piece:
            piece = _COLOUR.sub("", piece)  # noqa: PLW2901 - without colours, as a reader sees it
        if is_glued(before, piece):
            found.append(number)
        before = piece or before
    yield from found[-_MOST_JOINTS:]
