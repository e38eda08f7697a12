"""Output streams: sees a value that was split over several writes.

The last unfinished line of a stream is held back for a moment. A value written in pieces is
masked whole when the pieces come within the hold time; when they come later, what is still to come
of it is masked (:mod:`cloister.sidecar.outgoing.recall`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloister.sidecar.outgoing.recall import Recall

if TYPE_CHECKING:
    from cloister.sidecar.textguard import Tally, TextGuard

HOLD_S = 0.05
HOLD_MAX_CHARS = 4096
CONTEXT_CHARS = 128


@dataclass(slots=True)
class _Stream:
    held: str = ""
    deadline_s: float = 0.0


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
        return self._release(f"{parent_id} {name}", pending[:cut], tally) if cut else ""

    def held_of(self, parent_id: str) -> list[str]:
        """Returns the names of a request's streams that hold something."""
        return [name for (pid, name), s in self._streams.items() if pid == parent_id and s.held]

    def due(self, now_s: float) -> list[tuple[str, str]]:
        """Returns the (request, name) pairs whose hold time is over."""
        return [k for k, s in self._streams.items() if s.held and s.deadline_s <= now_s]

    def flush_one(self, parent_id: str, name: str, tally: Tally) -> str:
        """Returns what is held for one stream, masked."""
        stream = self._streams[parent_id, name]
        text, stream.held = stream.held, ""
        return self._release(f"{parent_id} {name}", text, tally)

    def next_deadline_s(self) -> float | None:
        """Returns when the next hold ends, in monotonic seconds, or ``None``."""
        return min((s.deadline_s for s in self._streams.values() if s.held), default=None)

    def drop(self, parent_id: str, name: str) -> None:
        """Drops what is held for a stream: it could not be checked."""
        self._streams.pop((parent_id, name), None)

    def forget(self, parent_id: str) -> None:
        """Drops the streams of a finished request; nothing may be held any more."""
        for key in [k for k, s in self._streams.items() if k[0] == parent_id and not s.held]:
            del self._streams[key]

    def _release(self, source: str, text: str, tally: Tally) -> str:
        rest = self._recall.rest_of_value(text, source)
        begin = 0
        if rest is not None:
            # The beginning of this value has left before; keep back the rest of it.
            tally.add(rest.entity_type)
            begin = rest.end
        out = "*" * begin + self._guard.mask(text[begin:], tally)
        self._recall.add(out, source)
        return out
