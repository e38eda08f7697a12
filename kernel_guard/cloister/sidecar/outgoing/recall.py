"""What a kernel has shown a moment ago, so that a value in pieces is still a value.

The pieces may come in two writes, on two streams, as two displays, from two cells, in an update of
a display, or to a widget and to the screen. What has left cannot be called back; what is still to
come of a value does not leave.

Known limit: pieces that are far apart (:data:`TAIL_CHARS`), in another order, or among others.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from cloister.detect.spans import Span
from cloister.sidecar.outgoing.joints import is_glued

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

TAIL_CHARS: Final = 120
_HEAD_CHARS: Final = 160
_PIECES: Final = 64
_FRAGMENTS: Final = 16
_LONGEST_FRAGMENT: Final = 60
_SHORTEST_FRAGMENT: Final = 3
_FEW_PLACES: Final = 3
_QUOTES: Final = "'\""
#: Between texts that are looked through together; no value goes on over it.
_APART: Final = "\n\nqxzqx\n\n"


@dataclass(frozen=True, slots=True)
class _Piece:
    """The end of one text that was shown, and the stream that it stands in."""

    text: str
    source: str | None


class Memory(NamedTuple):
    """What is remembered.

    Attributes:
        pieces: Ends of texts, with the streams that they stand in.
        said: The same, and the few texts of messages that show them at places of their own.
        fragments: Texts at places of their own.
    """

    pieces: list[tuple[str, str | None]]
    said: list[str]
    fragments: list[str]


class Recall:
    """Remembers the end of what one kernel has shown, whatever the channel.

    Args:
        find: Returns the spans of a text that the policy does not let through.
    """

    def __init__(self, find: Callable[[str], list[Span]]) -> None:
        self._find = find
        self._pieces: deque[_Piece] = deque(maxlen=_PIECES)
        self._said: deque[str] = deque(maxlen=_FRAGMENTS)
        self._fragments: deque[str] = deque(maxlen=_FRAGMENTS)

    def memory(self) -> Memory:
        """Returns all that is remembered, for a check in another process."""
        pieces = [(p.text, p.source) for p in self._pieces]
        return Memory(pieces, list(self._said), list(self._fragments))

    def take(self, memory: Memory) -> None:
        """Remembers exactly this."""
        self._pieces = deque((_Piece(*piece) for piece in memory.pieces), _PIECES)
        self._said = deque(memory.said, _FRAGMENTS)
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
        joints = [(before, head) for before in self._befores(source)]
        if source is None:  # it stands beside what was before, and is read on from it
            joints += [(f"{before}\n", head) for before, _ in joints]
        line = head.split("\n", 1)[0][:_LONGEST_FRAGMENT]
        for fragment in self._fragments:
            joints += [(fragment, line), (f"{fragment} ", line)]
        return self._rest(joints)

    def add(self, text: str, source: str | None = None) -> None:
        """Remembers the end of what was shown.

        Args:
            text: What was shown.
            source: Names the stream that it goes on with; ``None`` for something by itself.
        """
        if not text:
            return
        self._said.append(text[-TAIL_CHARS:])
        if source is not None and self._pieces and self._pieces[-1].source == source:
            text = self._pieces.pop().text + text
        self._pieces.append(_Piece(text[-TAIL_CHARS:], source))

    def _befores(self, source: str | None) -> Iterator[str]:
        """Yields what the next text may go on with.

        The last text, the last two, all of them, those since one went on in the middle of a word:
        of everything, of the same stream (or of what stands in none), and of everything with what
        stands at places of its own.
        """
        pieces = self._pieces
        series = (
            [piece.text for piece in pieces],
            [piece.text for piece in pieces if piece.source == source],
            self._said,
        )
        befores: dict[str, None] = {}
        for texts in map(list, series):
            if texts:
                befores[texts[-1]] = None
                befores["".join(texts[-2:])[-TAIL_CHARS:]] = None
                befores["".join(texts)[-TAIL_CHARS:]] = None
            for number in range(max(1, len(texts) - _FRAGMENTS), len(texts)):
                if is_glued(texts[number - 1], texts[number]):
                    befores["".join(texts[number:])[-TAIL_CHARS:]] = None
        yield from befores

    def add_fragments(self, texts: Iterable[str]) -> None:
        """Remembers texts that were shown at places of their own, such as a widget's."""
        few = [text for text in texts if text]
        if len(few) <= _FEW_PLACES:
            self._said.extend(text[-TAIL_CHARS:] for text in few)
        for text in few:
            end = text[-_LONGEST_FRAGMENT:]
            if len(end) >= _SHORTEST_FRAGMENT and end not in self._fragments:
                self._fragments.append(end)

    def joins(self, before: str, after: str) -> bool:
        """Returns whether two texts make a value that neither of them holds."""
        return self._rest([(before[-TAIL_CHARS:], after[:_HEAD_CHARS])]) is not None

    def _rest(self, joints: list[tuple[str, str]]) -> Span | None:
        """Returns the first part of a second text that ends a value which begins in the first.

        All are looked through at once: one search of some lines costs no more than of one.
        """
        starts, pieces, length = [], [], 0
        for before, head in joints:
            starts.append(length)
            pieces += [before, head, _APART]
            length += len(before) + len(head) + len(_APART)
        if not starts:
            return None
        for span in self._find("".join(pieces)):
            number = bisect_right(starts, span.start) - 1
            before, head = joints[number]
            at = starts[number] + len(before)
            if before and span.start < at < span.end <= at + len(head):
                return Span(0, span.end - at, span.entity_type, span.score)
        return None


def as_read(text: str) -> str:
    """Returns a text as a reader takes it: without the quotes that Python shows around it."""
    stripped = text.strip()
    if len(stripped) > 1 and stripped[0] == stripped[-1] and stripped[0] in _QUOTES:
        return stripped[1:-1]
    return text
