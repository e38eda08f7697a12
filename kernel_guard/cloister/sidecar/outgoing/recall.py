"""What a kernel has shown a moment ago, so that a value in pieces is still a value.

The pieces may come in two writes, on two streams, as two displays, from two cells, in an update of
a display, or to a widget and to the screen. What has left cannot be called back; what is still to
come of a value does not leave.

Known limit: pieces that are far apart (:data:`TAIL_CHARS`), in another order, or among others.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from cloister.detect.spans import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

TAIL_CHARS: Final = 120
_HEAD_CHARS: Final = 160
_PIECES: Final = 64
_FRAGMENTS: Final = 16
_LONGEST_FRAGMENT: Final = 60
_SHORTEST_FRAGMENT: Final = 3
_QUOTES: Final = "'\""


@dataclass(frozen=True, slots=True)
class _Piece:
    """The end of one text that was shown, and the stream that it stands in."""

    text: str
    source: str | None


class Memory(NamedTuple):
    """What is remembered: ends of texts with the streams that they stand in, and short texts."""

    pieces: list[tuple[str, str | None]]
    fragments: list[str]


class Recall:
    """Remembers the end of what one kernel has shown, whatever the channel.

    Args:
        find: Returns the spans of a text that the policy does not let through.
    """

    def __init__(self, find: Callable[[str], list[Span]]) -> None:
        self._find = find
        self._pieces: deque[_Piece] = deque(maxlen=_PIECES)
        self._fragments: deque[str] = deque(maxlen=_FRAGMENTS)

    def memory(self) -> Memory:
        """Returns all that is remembered, for a check in another process."""
        return Memory([(p.text, p.source) for p in self._pieces], list(self._fragments))

    def take(self, memory: Memory) -> None:
        """Remembers exactly this."""
        self._pieces = deque((_Piece(*piece) for piece in memory.pieces), _PIECES)
        self._fragments = deque(memory.fragments, _FRAGMENTS)

    def rest_of_value(self, text: str, source: str | None = None) -> Span | None:
        """Returns what at the beginning of ``text`` completes a value, ``None`` for nothing.

        Args:
            text: What is about to be shown.
            source: Names the stream that it goes on with; ``None`` for something by itself.
        """
        if not text:
            return None
        head = text[:_HEAD_CHARS]
        for before in self._befores():
            rest = self._rest(before, head)
            if rest is None and source is None:
                rest = self._rest(f"{before}\n", head)
            if rest is not None:
                return rest
        line = head.split("\n", 1)[0][:_LONGEST_FRAGMENT]
        return next((rest for f in self._fragments if (rest := self._rest(f, line))), None)

    def add(self, text: str, source: str | None = None) -> None:
        """Remembers the end of what was shown.

        Args:
            text: What was shown.
            source: Names the stream that it goes on with; ``None`` for something by itself.
        """
        if not text:
            return
        if source is not None and self._pieces and self._pieces[-1].source == source:
            text = self._pieces.pop().text + text
        self._pieces.append(_Piece(text[-TAIL_CHARS:], source))

    def _before_pieces(self) -> str:
        return "".join(piece.text for piece in self._pieces)[-TAIL_CHARS:]

    def _befores(self) -> Iterator[str]:
        """Yields what the next text may go on with: the last piece, the last two, all of them."""
        if not self._pieces:
            return
        last = self._pieces[-1].text
        yield last
        if len(last) < TAIL_CHARS and len(self._pieces) > 1:
            two = (self._pieces[-2].text + last)[-TAIL_CHARS:]
            yield two
            if len(self._pieces) > 2 and len(two) < TAIL_CHARS:
                yield self._before_pieces()

    def add_fragments(self, texts: Iterable[str]) -> None:
        """Remembers short texts that were shown at places of their own, such as a widget's."""
        for text in texts:
            if _SHORTEST_FRAGMENT <= len(text) <= _LONGEST_FRAGMENT and text not in self._fragments:
                self._fragments.append(text)

    def joins(self, before: str, after: str) -> bool:
        """Returns whether two texts make a value that neither of them holds."""
        return self._rest(before[-TAIL_CHARS:], after[:_HEAD_CHARS]) is not None

    def _rest(self, before: str, head: str) -> Span | None:
        """Returns the part in ``head`` of a value that begins in ``before``."""
        at = len(before)
        if not at:
            return None
        crossing = [s for s in self._find(before + head) if s.start < at < s.end]
        if not crossing:
            return None
        return Span(0, crossing[-1].end - at, crossing[-1].entity_type, crossing[-1].score)


def as_read(text: str) -> str:
    """Returns a text as a reader takes it: without the quotes that Python shows around it."""
    stripped = text.strip()
    if len(stripped) > 1 and stripped[0] == stripped[-1] and stripped[0] in _QUOTES:
        return stripped[1:-1]
    return stripped
