"""Output streams: sees a value that was split over several writes.

What a kernel writes is gathered as long as more of it is there, and let go line by line. The last
unfinished line is held back for a moment: a value written in pieces is masked whole when the pieces
come within the hold time; when they come later, what is still to come of it is masked
(:mod:`cloister.sidecar.outgoing.recall`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cloister.sidecar.outgoing.joints import texts_to_check
from cloister.sidecar.outgoing.recall import Recall

if TYPE_CHECKING:
    from cloister.sidecar.textguard import Tally, TextGuard

HOLD_S = 0.05
HOLD_MAX_CHARS = 4096
CONTEXT_CHARS = 128
#: Lines that follow each other faster leave together: a scan and a message cost more than they do.
GATHER_S = 0.004
#: More is not gathered: it could not be checked at once any more.
GATHER_MAX_CHARS = 32 * 1024


@dataclass(slots=True)
class _Stream:
    """What is held of one stream.

    Attributes:
        pieces: As they were written.
        chars: How much that is.
        has_line: Whether a line ends in it.
        deadline_s: When it leaves, finished or not.
        gathered_s: When its finished lines leave.
    """

    pieces: list[str] = field(default_factory=list)
    chars: int = 0
    has_line: bool = False
    deadline_s: float = 0.0
    gathered_s: float = 0.0

    def take(self) -> list[str]:
        """Returns all that is held, and holds nothing any more."""
        pieces = self.pieces
        self.pieces, self.chars, self.has_line = [], 0, False
        return pieces


class StreamHold:
    """Holds and scans the output streams of one kernel.

    A stream is named by the request that it belongs to and its name (``stdout``, ``stderr``).

    Args:
        guard: Masks text.
        recall: What the kernel has shown before, on whatever channel.
    """

    def __init__(self, guard: TextGuard, recall: Recall | None = None) -> None:
        self._guard = guard
        self._recall = Recall(guard.find) if recall is None else recall
        self._streams: dict[tuple[str, str], _Stream] = {}

    def push(self, parent_id: str, name: str, text: str, now_s: float) -> bool:
        """Takes new text.

        Args:
            parent_id: ``msg_id`` of the request.
            name: ``stdout`` or ``stderr``.
            text: What the kernel wrote.
            now_s: Monotonic time in seconds.

        Returns:
            Whether so much is held that :meth:`lines` should be called before more is taken.
        """
        stream = self._streams.setdefault((parent_id, name), _Stream())
        if not stream.chars:
            stream.deadline_s = now_s + HOLD_S
        stream.pieces.append(text)
        stream.chars += len(text)
        stream.has_line = stream.has_line or "\n" in text or "\r" in text
        return stream.chars > GATHER_MAX_CHARS

    def lines(self, parent_id: str, name: str, now_s: float, tally: Tally) -> str:
        """Returns the finished lines of a stream, masked; the rest goes on being held."""
        stream = self._streams[parent_id, name]
        stream.gathered_s = now_s + GATHER_S
        pieces = stream.take()
        finished, rest = _cut(pieces, _end_of_lines("".join(pieces)))
        self._hold_rest(stream, rest, now_s)
        return self._release(f"{parent_id} {name}", finished, tally) if finished else ""

    def put_masked(self, parent_id: str, name: str, text: str, now_s: float, tally: Tally) -> str:
        """Takes text that was masked elsewhere, and returns what may leave of it now."""
        cut = _end_of_lines(text)
        stream = self._streams.setdefault((parent_id, name), _Stream())
        self._hold_rest(stream, [text[cut:]], now_s)
        return self._released(f"{parent_id} {name}", text[:cut], tally) if cut else ""

    def ready(self, now_s: float) -> list[tuple[str, str]]:
        """Returns the (request, name) pairs with finished lines that need not wait for more."""
        return [
            key
            for key, s in self._streams.items()
            if (s.has_line or s.chars > HOLD_MAX_CHARS) and s.gathered_s <= now_s
        ]

    def held_of(self, parent_id: str) -> list[str]:
        """Returns the names of a request's streams that hold something."""
        return [name for (pid, name), s in self._streams.items() if pid == parent_id and s.chars]

    def held_chars(self, parent_id: str) -> int:
        """Returns how much is held of a request's streams."""
        return sum(s.chars for (pid, _), s in self._streams.items() if pid == parent_id)

    def due(self, now_s: float) -> list[tuple[str, str]]:
        """Returns the (request, name) pairs whose hold time is over."""
        return [k for k, s in self._streams.items() if s.chars and s.deadline_s <= now_s]

    def take(self, parent_id: str, name: str) -> list[str]:
        """Returns the pieces held for one stream, unmasked, and holds them no longer."""
        return self._streams[parent_id, name].take()

    def flush_one(self, parent_id: str, name: str, tally: Tally) -> str:
        """Returns what is held for one stream, masked."""
        return self._release(f"{parent_id} {name}", self.take(parent_id, name), tally)

    def next_deadline_s(self) -> float | None:
        """Returns when the next hold ends, in monotonic seconds, or ``None``."""
        return min(
            (
                min(s.deadline_s, s.gathered_s) if s.has_line else s.deadline_s
                for s in self._streams.values()
                if s.chars
            ),
            default=None,
        )

    def drop(self, parent_id: str, name: str) -> None:
        """Drops what is held for a stream: it could not be checked."""
        self._streams.pop((parent_id, name), None)

    def forget(self, parent_id: str) -> None:
        """Drops the streams of a finished request; nothing may be held any more."""
        for key in [k for k, s in self._streams.items() if k[0] == parent_id and not s.chars]:
            del self._streams[key]

    @staticmethod
    def _hold_rest(stream: _Stream, rest: list[str], now_s: float) -> None:
        if chars := sum(map(len, rest)):
            stream.pieces, stream.chars = rest, chars
            stream.deadline_s = now_s + HOLD_S

    def _release(self, source: str, pieces: list[str], tally: Tally) -> str:
        texts = texts_to_check(pieces, self._guard.find)
        return "".join(self._masked(source, text, tally) for text in texts)

    def _masked(self, source: str, text: str, tally: Tally) -> str:
        rest = self._recall.rest_of_value(text, source)
        begin = 0
        if rest is not None:
            # The beginning of this value has left before; keep back the rest of it.
            tally.add(rest.entity_type)
            begin = rest.end
        out = "*" * begin + self._guard.mask(text[begin:], tally)
        self._recall.add(out, source)
        return out

    def _released(self, source: str, masked: str, tally: Tally) -> str:
        rest = self._recall.rest_of_value(masked, source)
        if rest is not None:
            tally.add(rest.entity_type)
            masked = "*" * rest.end + masked[rest.end :]
        self._recall.add(masked, source)
        return masked


def _end_of_lines(text: str) -> int:
    """Returns up to where a text may leave: to its last line's beginning, if that is not long."""
    cut = max(text.rfind("\n"), text.rfind("\r")) + 1
    return cut if len(text) - cut <= HOLD_MAX_CHARS else len(text) - CONTEXT_CHARS


def _cut(pieces: list[str], at: int) -> tuple[list[str], list[str]]:
    """Cuts pieces in two where so many characters of them have come."""
    before: list[str] = []
    for number, piece in enumerate(pieces):
        if len(piece) > at:
            return [*before, *([piece[:at]] if at else [])], [piece[at:], *pieces[number + 1 :]]
        before.append(piece)
        at -= len(piece)
    return before, []
