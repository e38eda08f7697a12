"""What the encoded pieces of a text say, and where in the text they stand."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, overload

from cloister.detect.spans import Span

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    import numpy as np
    from numpy.typing import NDArray

    Places: TypeAlias = Sequence[int] | NDArray[np.signedinteger[Any]]

#: Between views that are searched together; no value holds it.
_SEPARATOR: Final = "\n\x00\n"


@dataclass(frozen=True, slots=True)
class View:
    """A decoded piece of a text.

    Attributes:
        text: What it says.
        start: Where the encoded piece begins, in code points of the original.
        end: Where it ends.
        starts: Offset in the original at which each character begins, or ``None`` where only the
            whole piece can be told.
        ends: Offset at which each character ends.
        is_sure: Whether patterns may be looked for. Digits that only stand apart or in the other
            direction say too little for that; known values are looked for in any view.
        is_whole: Whether all that the piece says is in ``text``.
        holds_more: Whether what it says may be encoded itself.
        missing: Ranges of a text whose words this view of all of it leaves out; ``None`` where
            the whole text has to be read besides.
    """

    text: str
    start: int
    end: int
    starts: Sequence[int] | None = None
    ends: Sequence[int] | None = None
    is_sure: bool = True
    is_whole: bool = True
    holds_more: bool = True
    missing: tuple[tuple[int, int], ...] | None = None

    def range_of(self, start: int, end: int) -> tuple[int, int]:
        """Returns the range in the original of a range of the view that is not empty."""
        if self.starts is None or self.ends is None:
            return self.start, self.end
        return (
            min(self.starts[start], self.starts[end - 1]),
            max(self.ends[start], self.ends[end - 1]),
        )

    def of(self, outer: View) -> View:
        """Returns this view of a view as one of the text."""
        start, end = outer.range_of(self.start, self.end)
        starts = ends = None
        if self.starts and self.ends and outer.starts and outer.ends:
            # A character of this view begins and ends within one of the outer view's each.
            starts = Through(outer.starts, self.starts, 0)
            ends = Through(outer.ends, self.ends, 1)
        return replace(self, start=start, end=end, starts=starts, ends=ends)


class Through(Sequence[int]):
    """Offsets of a view of a view.

    Args:
        outer: Offsets of the characters of the outer view.
        inner: Offsets in the outer view.
        after: 1 if ``inner`` holds offsets after a character, 0 if before.
    """

    __slots__ = ("_after", "_inner", "_outer")

    def __init__(self, outer: Sequence[int], inner: Sequence[int], after: int) -> None:
        self._outer = outer
        self._inner = inner
        self._after = after

    def __len__(self) -> int:
        return len(self._inner)

    @overload
    def __getitem__(self, index: int) -> int: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...

    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self._outer[self._inner[index] - self._after]


class Moved(Sequence[int]):
    """Offsets of the characters of a text that was put together from stretches of another.

    Args:
        after: 0 for where a character begins, 1 for where it ends.
        offsets: Where each stretch begins in the new text, ascending, from 0.
        origins: Where it begins in the other.
        length: Of the new text.
    """

    __slots__ = ("_after", "_length", "_offsets", "_origins")

    def __init__(self, after: int, offsets: Places, origins: Places, length: int) -> None:
        self._after = after
        self._offsets = offsets
        self._origins = origins
        self._length = length

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> int: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...

    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._length))]
        stretch = bisect_right(self._offsets, index) - 1
        return int(self._origins[stretch] + index - self._offsets[stretch]) + self._after


@dataclass(slots=True)
class Budget:
    """How many characters may still be decoded.

    Attributes:
        chars: Characters left.
    """

    chars: int

    def pay(self, chars: int) -> bool:
        """Takes ``chars`` off if there are as many; returns whether there were."""
        if chars > self.chars:
            return False
        self.chars -= chars
        return True


@dataclass(frozen=True, slots=True)
class Decoded:
    """The views of one text.

    Attributes:
        views: Pieces that were read, as far as they were.
        unread: Ranges of pieces that say more than was read, in code points.
        missing: Where the text itself has words that no view has; ``None`` for all of it.
    """

    views: tuple[View, ...] = ()
    unread: tuple[tuple[int, int], ...] = field(default=())
    missing: tuple[tuple[int, int], ...] | None = None

    def __bool__(self) -> bool:
        return bool(self.views)

    def find(self, search: Callable[[str], list[Span]], *, patterns: bool = False) -> list[Span]:
        """Returns what ``search`` finds in the views, at its places in the original text.

        All views are searched together, so that many small ones cost no more than a long one.

        Args:
            search: Finds places in a text.
            patterns: Whether it looks for patterns and not for known values.
        """
        views = [view for view in self.views if view.is_sure or not patterns]
        if not views:
            return []
        found: dict[Span, None] = {}
        offsets = [0]
        for view in views:
            offsets.append(offsets[-1] + len(view.text) + len(_SEPARATOR))
        for span in search(_SEPARATOR.join(view.text for view in views)):
            number = bisect_right(offsets, span.start) - 1
            view, offset = views[number], offsets[number]
            if span.end - offset <= len(view.text):
                place = view.range_of(span.start - offset, span.end - offset)
                found[Span(*place, span.entity_type, span.score)] = None
        return list(found)
