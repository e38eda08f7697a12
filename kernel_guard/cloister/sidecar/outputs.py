"""What one kernel shows: inspected, counted and handed on, in the order in which it was said.

Streams are held for a moment (:mod:`.streams`), everything else goes through the steps of
:mod:`.outgoing`; both share what was shown before. What is withheld is said at the cell, once for
each reason, and in the record.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from cloister.core.modes import Mode
from cloister.sidecar import wire
from cloister.sidecar.outgoing.inspection import ENCLAVE, Inspection
from cloister.sidecar.outgoing.withheld import Reason, Withheld
from cloister.sidecar.streams import StreamHold
from cloister.sidecar.textguard import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.sidecar.bounds import Bounds
    from cloister.sidecar.outgoing.inspection import Passage
    from cloister.sidecar.recorder import Recorder
    from cloister.sidecar.textguard import TextGuard

_COUNTED: Final = frozenset(
    {"display_data", "update_display_data", "execute_result", "error", "comm_open", "comm_msg"}
)


class Outputs:
    """The outputs of one kernel.

    Args:
        guard: Masks text, and knows the policy.
        recorder: Counts what was shown, masked and withheld.
        publish: Sends a message to every client.
        header_of: Returns the header of a request by its ``msg_id``; empty when it is not known.
        bounds: What the kernel has read and its user has seen, where that matters.
    """

    def __init__(
        self,
        guard: TextGuard,
        recorder: Recorder,
        publish: Callable[[wire.Message], None],
        header_of: Callable[[str], dict[str, Any]],
        bounds: Bounds | None = None,
    ) -> None:
        self._guard, self._recorder = guard, recorder
        self._publish, self._header_of = publish, header_of
        self._bounds = bounds
        self._inspection = Inspection(guard)
        self._hold = StreamHold(guard, self._inspection.recall)
        self._noticed: set[tuple[str, str]] = set()

    def look_at(self, message: wire.Message, parent_id: str) -> Passage:
        """Inspects a message in place; what was withheld and cannot say so is said beside it."""
        passage = self._inspection.look_at(message)
        if passage.reason is not None:
            self._withheld(parent_id, passage.reason, is_said=passage.is_sent)
        return passage

    def unreadable(self, message: wire.Message, parent_id: str, reason: Reason) -> bool:
        """Makes a message that could not be read say so; returns whether it can be sent."""
        passage = self._inspection.withhold(message, reason)
        self._withheld(parent_id, reason, is_said=passage.is_sent)
        return passage.is_sent

    def show(self, message: wire.Message, parent_id: str, size: int) -> bool:
        """Inspects and counts what is no stream; returns whether it can be sent.

        Args:
            message: Changed in place.
            parent_id: The request that it belongs to.
            size: Bytes on the wire.
        """
        self.flush(parent_id)
        is_counted = message.msg_type in _COUNTED
        if is_counted and not (
            self._within_limit(parent_id, size)
            and self._within_bounds(parent_id, message.msg_type, message.content, size)
        ):
            return False
        passage = self.look_at(message, parent_id)
        if is_counted and passage.is_sent:
            self._recorder.output(
                parent_id,
                message.msg_type,
                message.content,
                passage.tally,
                size=size,
                is_observed=passage.is_observed,
                is_withheld=passage.reason is not None,
            )
        return passage.is_sent

    def stream(self, message: wire.Message, parent_id: str) -> None:
        """Takes new text of a stream and sends what may leave now."""
        text = message.content.get("text")
        name = "stderr" if message.content.get("name") == "stderr" else "stdout"
        if not isinstance(text, str) or not self._within_limit(parent_id, len(text)):
            return
        if not self._within_bounds(parent_id, "stream", message.content, len(text)):
            return
        mode = self._guard.policy.mode
        if mode is Mode.ENCLAVE:
            self._withheld(parent_id, ENCLAVE, is_said=False)
        elif mode is Mode.OBSERVE:
            tally = Tally()
            for span in self._guard.find(text):
                tally.add(span.entity_type)
            self._send_stream(parent_id, name, text, tally, is_observed=bool(tally))
        else:
            for other in self._hold.held_of(parent_id):
                if other != name:
                    self._flush_one(parent_id, other)  # in the order in which it was written
            self._release(
                parent_id,
                name,
                lambda tally: self._hold.push(parent_id, name, text, time.monotonic(), tally),
            )

    def flush(self, parent_id: str) -> None:
        """Sends what is held of a request's streams: something else comes behind it."""
        for name in self._hold.held_of(parent_id):
            self._flush_one(parent_id, name)

    def flush_due(self) -> None:
        """Sends what was held long enough."""
        for parent_id, name in self._hold.due(time.monotonic()):
            self._flush_one(parent_id, name)

    def next_deadline_s(self) -> float | None:
        """Returns when the next hold ends, in monotonic seconds, or ``None``."""
        return self._hold.next_deadline_s()

    def forget(self, parent_id: str) -> None:
        """Drops what is kept for a request that has ended."""
        self._hold.forget(parent_id)
        self._noticed = {(p, code) for p, code in self._noticed if p != parent_id}

    def _flush_one(self, parent_id: str, name: str) -> None:
        self._release(parent_id, name, lambda tally: self._hold.flush_one(parent_id, name, tally))

    def _release(self, parent_id: str, name: str, work: Callable[[Tally], str]) -> None:
        """Sends the text that comes of some work with the hold, or says why it is withheld."""
        tally = Tally()
        try:
            text = self._inspection.carefully(lambda: work(tally))
        except Withheld as withheld:
            self._hold.drop(parent_id, name)
            self._withheld(parent_id, withheld.reason, is_said=False)
            return
        self._send_stream(parent_id, name, text, tally)

    def _send_stream(
        self, parent_id: str, name: str, text: str, tally: Tally, *, is_observed: bool = False
    ) -> None:
        if not text:
            return
        content = {"name": name, "text": text}
        self._recorder.output(
            parent_id, "stream", content, tally, size=len(text), is_observed=is_observed
        )
        self._say(parent_id, content)

    def _withheld(self, parent_id: str, reason: Reason, *, is_said: bool) -> None:
        """Counts what was withheld, and says so unless the client hears it already."""
        if not is_said:
            self._recorder.blocked(parent_id)
        if not is_said and (parent_id, reason.code) not in self._noticed:
            self._noticed.add((parent_id, reason.code))
            self._say(parent_id, {"name": "stderr", "text": f"{reason}\n"})

    def _within_limit(self, parent_id: str, size: int) -> bool:
        """Returns whether one more output of ``size`` bytes may leave; says so once if not."""
        execution = self._recorder.running(parent_id)
        limit = self._guard.policy.output_limit_bytes
        if execution is None or execution.shown_bytes + size <= limit:
            return True
        reason = Reason(
            "CLO-OUTPUT-001",
            "This cell wrote more than the policy lets one execution show",
            f"limits.output_bytes ({limit})",
            "Print less, or summarise.",
        )
        self._withheld(parent_id, reason, is_said=False)
        return False

    def _within_bounds(self, parent_id: str, kind: str, content: dict[str, Any], size: int) -> bool:
        """Returns whether level and volume of the day let one more output leave; says why not."""
        if self._bounds is None:
            return True
        bound = self._bounds.check(kind, content, size)
        if bound.notice:
            self._say(parent_id, {"name": "stderr", "text": f"{bound.notice}\n"})
        if bound.reason is not None:
            self._withheld(parent_id, bound.reason, is_said=False)
        return bound.reason is None

    def _say(self, parent_id: str, content: dict[str, Any]) -> None:
        self._publish(wire.make_message("stream", content, parent=self._header_of(parent_id)))
