"""What one kernel shows: inspected, counted and handed on, in the order in which it was said.

Streams are held for a moment (:mod:`.streams`), everything else goes through the steps of
:mod:`.outgoing`; both share what was shown before. What is heavy is checked in another process
(:mod:`.checks`): then the work stops in the middle and goes on with the verdict. What is withheld
is said at the cell, once for each reason, and in the record.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cloister.core.modes import Mode
from cloister.sidecar import wire
from cloister.sidecar.checks.jobs import Job, Verdict
from cloister.sidecar.checks.weight import is_light
from cloister.sidecar.outgoing.enclave import ENCLAVE
from cloister.sidecar.outgoing.headers import clean_header
from cloister.sidecar.outgoing.inspection import FAILED, SLOW, Inspection
from cloister.sidecar.outgoing.outline import Outline, outline
from cloister.sidecar.outgoing.passage import Passage, withhold
from cloister.sidecar.outgoing.withheld import Reason, Withheld
from cloister.sidecar.recorder import code_digest
from cloister.sidecar.streams import StreamHold
from cloister.sidecar.textguard import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.sidecar.bounds import Bounds
    from cloister.sidecar.lanes import Work
    from cloister.sidecar.recorder import Recorder
    from cloister.sidecar.textguard import TextGuard

_COUNTED: Final = frozenset(
    {"display_data", "update_display_data", "execute_result", "error", "comm_open", "comm_msg"}
)


@dataclass(slots=True)
class Checked:
    """A message that was checked.

    Attributes:
        passage: What became of it.
        outline: Facts about what leaves.
    """

    passage: Passage
    outline: Outline


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
        self._recall = self._inspection.recall
        self._hold = StreamHold(guard, self._recall)
        self._noticed: set[tuple[str, str]] = set()

    # --- replies, and what is no stream ---

    def reply(self, message: wire.Message, parent_id: str, size: int) -> Work[Checked]:
        """Checks and counts what answers a client; changes it in place.

        Args:
            message: What the kernel says.
            parent_id: The request that it answers.
            size: Bytes on the wire.
        """
        self.flush(parent_id)  # a reply may go on with what is held
        checked = yield from self._check(message, parent_id, size)
        if checked.outline.carries:
            self._bound(message, parent_id, checked)
        return checked

    def show(self, message: wire.Message, parent_id: str, size: int) -> Work[bool]:
        """Checks and counts what is no stream; returns whether it can be sent.

        Args:
            message: Changed in place.
            parent_id: The request that it belongs to.
            size: Bytes on the wire.
        """
        self.flush(parent_id)
        is_counted = message.msg_type in _COUNTED
        if is_counted and not self._within_limit(parent_id, size):
            return False
        if message.msg_type == "status":
            return self._inspection.look_at(message).is_sent
        is_own = message.msg_type == "execute_input" and self._is_own_code(message, parent_id)
        checked = yield from self._check(message, parent_id, size)
        if checked.outline.carries and not is_own:
            self._bound(message, parent_id, checked)
        passage = checked.passage
        if is_counted and passage.is_sent:
            self._recorder.output(
                parent_id,
                checked.outline,
                passage.tally,
                is_observed=passage.is_observed,
                withheld=passage.reason,
            )
        elif passage.is_sent and message.msg_type == "clear_output":
            self._recorder.cleared(parent_id, waits=message.content.get("wait") is True)
        if message.msg_type == "comm_msg" and passage.is_sent:
            self._follow_widget(message, parent_id)
        return passage.is_sent

    def _follow_widget(self, message: wire.Message, parent_id: str) -> None:
        """Notes when an Output widget begins or ends to take what a cell shows (ipywidgets)."""
        data = message.content.get("data")
        state = data.get("state") if isinstance(data, dict) else None
        if isinstance(state, dict) and isinstance(taken := state.get("msg_id"), str):
            self._recorder.captured(parent_id, is_on=bool(taken))

    def _is_own_code(self, message: wire.Message, parent_id: str) -> bool:
        """Returns whether a kernel says which code it runs, and it is what its client has sent."""
        execution, code = self._recorder.running(parent_id), message.content.get("code")
        if execution is None or not isinstance(code, str):
            return False
        return code_digest(code) == execution.code_sha256

    def unreadable(self, message: wire.Message, parent_id: str, reason: Reason) -> bool:
        """Makes a message that could not be read say so; returns whether it can be sent."""
        passage = withhold(message, reason)
        self._withheld(parent_id, reason, is_said=passage.is_sent)
        return passage.is_sent

    def _check(self, message: wire.Message, parent_id: str, size: int) -> Work[Checked]:
        if is_light(message):
            passage = self._inspection.look_at(message)
            facts = outline(message, size, is_counted=bool(self._guard.policy.volume))
        else:
            verdict = yield self._job(message, size)
            passage, facts = self._applied(message, verdict, size)
        if passage.is_sent and passage.reason is None:
            self._recall.add_fragments(passage.fragments)
            self._recall.add(passage.shown)
        if passage.reason is not None:
            self._withheld(parent_id, passage.reason, is_said=passage.is_sent)
            self._inspection.remember_withheld(passage.withheld_comm)
        return Checked(passage, facts)

    def _job(
        self, message: wire.Message, size: int, held: dict[str, list[str]] | None = None
    ) -> Job:
        sealed = message.sealed or message.pack()
        limit_s = self._guard.policy.output.time_limit_s
        memory = self._recall.memory()
        return Job(message.header, sealed, message.buffers, size, memory, limit_s, held or {})

    def _applied(
        self, message: wire.Message, verdict: Verdict, size: int
    ) -> tuple[Passage, Outline]:
        """Makes a message what the verdict says."""
        raw, message.sealed = message.sealed, None
        message.header = clean_header(message.header)
        if verdict.passage is not None and verdict.outline is not None:
            message.packed, message.buffers = verdict.packed, verdict.buffers
            message.content = verdict.brief
            return verdict.passage, verdict.outline
        if self._guard.policy.mode is Mode.OBSERVE:  # nothing is known of it; it leaves
            message.packed = raw or message.packed
            return Passage(is_observed=True), outline(message, size, is_counted=False)
        message.packed = None
        passage = withhold(message, SLOW if verdict.is_slow else FAILED)
        return passage, outline(message, size, is_counted=False)

    # --- streams ---

    def stream(self, message: wire.Message, parent_id: str, size: int) -> Work[None]:
        """Takes new text of a stream. What may leave of it leaves with :meth:`settle`.

        Args:
            message: Of the kernel.
            parent_id: The request that it belongs to.
            size: Bytes on the wire.
        """
        if self._guard.policy.mode is Mode.ENCLAVE:
            self._withheld(parent_id, ENCLAVE, is_said=False)
        elif message.sealed is not None:
            if self._within_limit(parent_id, size):
                yield from self._long_stream(message, parent_id, size)
        else:
            text = message.content.get("text")
            name = "stderr" if message.content.get("name") == "stderr" else "stdout"
            if isinstance(text, str) and self._within_limit(
                parent_id, self._hold.held_chars(parent_id) + len(text)
            ):
                self._gather(parent_id, name, text)

    def _gather(self, parent_id: str, name: str, text: str) -> None:
        for other in self._hold.held_of(parent_id):
            if other != name:
                self._flush_one(parent_id, other)  # in the order in which it was written
        if self._guard.policy.mode is Mode.OBSERVE:
            self._observe(parent_id, name, text)
        elif self._hold.push(parent_id, name, text, time.monotonic()):
            self._let_lines_go(parent_id, name)

    def _long_stream(self, message: wire.Message, parent_id: str, size: int) -> Work[None]:
        held = {name: self._hold.take(parent_id, name) for name in self._hold.held_of(parent_id)}
        verdict = yield self._job(message, size, held)
        passage = verdict.passage or Passage(reason=SLOW if verdict.is_slow else FAILED)
        name = "stderr" if verdict.brief.get("name") == "stderr" else "stdout"
        for other, pieces in held.items():
            if other != name:
                for piece in pieces:
                    self._gather(parent_id, other, piece)
                self._flush_one(parent_id, other)
        if self._guard.policy.mode is Mode.OBSERVE:
            tally = passage.tally
            self._send_stream(parent_id, name, verdict.text, tally, is_observed=bool(tally))
        elif passage.reason is not None:
            self._withheld(parent_id, passage.reason, is_said=False)
        else:
            now_s, tally, text = time.monotonic(), passage.tally, verdict.text
            self._release(
                parent_id,
                name,
                lambda _: self._hold.put_masked(parent_id, name, text, now_s, tally),
                tally,
            )

    def settle(self) -> None:
        """Sends what has come of streams: finished lines, and what was held long enough."""
        for notice in () if self._bounds is None else self._bounds.unsaid():
            self._say(self._recorder.active_id() or "", f"{notice}\n")
        now_s = time.monotonic()
        for parent_id, name in self._hold.ready(now_s):
            self._let_lines_go(parent_id, name)
        for parent_id, name in self._hold.due(now_s):
            self._flush_one(parent_id, name)

    def flush(self, parent_id: str) -> None:
        """Sends what is held of a request's streams: something else comes behind it."""
        for name in self._hold.held_of(parent_id):
            self._flush_one(parent_id, name)

    def next_deadline_s(self) -> float | None:
        """Returns when the next hold ends, in monotonic seconds, or ``None``."""
        return self._hold.next_deadline_s()

    def forget(self, parent_id: str) -> None:
        """Drops what is kept for a request that has ended."""
        self._hold.forget(parent_id)
        self._noticed = {(p, code) for p, code in self._noticed if p != parent_id}

    def _observe(self, parent_id: str, name: str, text: str) -> None:
        tally = Tally()
        try:
            for span in self._inspection.carefully(lambda: self._guard.find(text)):
                tally.add(span.entity_type)
        except Withheld:  # guarding, it would not have left
            self._send_stream(parent_id, name, text, tally, is_observed=True)
            return
        self._send_stream(parent_id, name, text, tally, is_observed=bool(tally))

    def _let_lines_go(self, parent_id: str, name: str) -> None:
        now_s = time.monotonic()
        self._release(
            parent_id, name, lambda tally: self._hold.lines(parent_id, name, now_s, tally)
        )

    def _flush_one(self, parent_id: str, name: str) -> None:
        self._release(parent_id, name, lambda tally: self._hold.flush_one(parent_id, name, tally))

    def _release(
        self,
        parent_id: str,
        name: str,
        work: Callable[[Tally], str],
        tally: Tally | None = None,
    ) -> None:
        """Sends the text that comes of some work with the hold, or says why it is withheld."""
        tally = Tally() if tally is None else tally
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
        message = self._stream_message(parent_id, {"name": name, "text": text})
        facts = outline(message, len(text), is_counted=bool(self._guard.policy.volume))
        if (reason := self._past_bounds(parent_id, facts)) is not None:
            self._withheld(parent_id, reason, is_said=False)
            return
        self._recorder.output(
            parent_id, facts, tally, text=text, stream=name, is_observed=is_observed
        )
        self._publish(message)

    # --- limits, and what is said about them ---

    def _withheld(self, parent_id: str, reason: Reason, *, is_said: bool) -> None:
        """Counts what was withheld, and says so unless the client hears it already."""
        if not is_said:
            self._recorder.blocked(parent_id, reason)
        if not is_said and (parent_id, reason.code) not in self._noticed:
            self._noticed.add((parent_id, reason.code))
            self._say(parent_id, f"{reason}\n")

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

    def _bound(self, message: wire.Message, parent_id: str, checked: Checked) -> None:
        """Withholds what level or volume of the day do not let leave."""
        if not checked.passage.is_sent or checked.passage.reason is not None:
            return
        reason = self._past_bounds(parent_id, checked.outline)
        if reason is not None:
            message.packed = None
            passage = withhold(message, reason)
            self._withheld(parent_id, reason, is_said=passage.is_sent)
            checked.passage = passage
            checked.outline = outline(message, checked.outline.size, is_counted=False)

    def _past_bounds(self, parent_id: str, facts: Outline) -> Reason | None:
        """Returns why level or volume of the day do not let an output leave; gives notices."""
        if self._bounds is None:
            return None
        bound = self._bounds.check(facts)
        if bound.notice:
            self._say(parent_id, f"{bound.notice}\n")
        return bound.reason

    def _say(self, parent_id: str, text: str) -> None:
        self._recorder.said(parent_id, text)
        self._publish(self._stream_message(parent_id, {"name": "stderr", "text": text}))

    def _stream_message(self, parent_id: str, content: dict[str, Any]) -> wire.Message:
        return wire.make_message("stream", content, parent=self._header_of(parent_id))
