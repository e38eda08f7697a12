"""Output streams: sees a value that was split over several writes.

The last unfinished line of a stream is held back for a moment, and everything new is scanned
together with the end of what already left. A value written in pieces is masked whole when the
pieces come within the hold time; when they come later, what is still to come of it is masked.

Known limit: pieces that are written on different lines, or more than :data:`CONTEXT_CHARS` apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloister.sidecar.textguard import Tally, TextGuard

HOLD_S = 0.05
HOLD_MAX_CHARS = 4096
CONTEXT_CHARS = 128


@dataclass(slots=True)
class _Stream:
    context: str = ""
    held: str = ""
    deadline_s: float = 0.0


class StreamHold:
    """Holds and scans the output streams of one kernel.

    A stream is named by the request that it belongs to and its name (``stdout``, ``stderr``).
    """

    def __init__(self, guard: TextGuard) -> None:
        self._guard = guard
        self._streams: dict[tuple[str, str], _Stream] = {}

    def push(self, parent_id: str, name: str, text: str, now_s: float, tally: Tally) -> str:
        """Takes new text and returns what may leave now, masked; it may be empty.

        Args:
            parent_id: ``msg_id`` of the request.
            name: ``stdout`` or ``stderr``.
            text: What the kernel wrote.
            now_s: Monotonic time in seconds.
            tally: Counts what is masked.
        """
        stream = self._streams.setdefault((parent_id, name), _Stream())
        pending = stream.held + text
        cut = max(pending.rfind("\n"), pending.rfind("\r")) + 1
        if len(pending) - cut > HOLD_MAX_CHARS:
            cut = len(pending) - CONTEXT_CHARS
        if not stream.held and cut < len(pending):
            stream.deadline_s = now_s + HOLD_S
        stream.held = pending[cut:]
        return self._release(stream, pending[:cut], tally) if cut else ""

    def flush(self, parent_id: str, tally: Tally) -> list[tuple[str, str]]:
        """Returns (name, text) of everything held for one request; used before other outputs."""
        return [
            (name, out)
            for (pid, name), stream in self._streams.items()
            if pid == parent_id and stream.held and (out := self._release_all(stream, tally))
        ]

    def due(self, now_s: float) -> list[tuple[str, str]]:
        """Returns the (request, name) pairs whose hold time is over."""
        return [k for k, s in self._streams.items() if s.held and s.deadline_s <= now_s]

    def flush_one(self, parent_id: str, name: str, tally: Tally) -> str:
        """Returns what is held for one stream, masked."""
        return self._release_all(self._streams[parent_id, name], tally)

    def next_deadline_s(self) -> float | None:
        """Returns when the next hold ends, in monotonic seconds, or ``None``."""
        return min((s.deadline_s for s in self._streams.values() if s.held), default=None)

    def forget(self, parent_id: str) -> None:
        """Drops the streams of a finished request; nothing may be held any more."""
        for key in [k for k, s in self._streams.items() if k[0] == parent_id and not s.held]:
            del self._streams[key]

    def _release_all(self, stream: _Stream, tally: Tally) -> str:
        text, stream.held = stream.held, ""
        return self._release(stream, text, tally)

    def _release(self, stream: _Stream, text: str, tally: Tally) -> str:
        context = stream.context
        stream.context = (context + text)[-CONTEXT_CHARS:].rpartition("\n")[2]
        if not context:
            return self._guard.mask(text, tally)
        spans = [s for s in self._guard.find(context + text) if s.start < len(context) < s.end]
        if not spans:
            return self._guard.mask(text, tally)
        # The beginning of this value has left before; keep back the rest of it.
        for span in spans:
            tally.add(span.entity_type)
        rest = spans[-1].end - len(context)
        return "*" * rest + self._guard.mask(text[rest:], tally)
