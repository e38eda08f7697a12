"""Writes what happens in a kernel to the lineage log: an intent before, a result after.

The sidecar attests what it saw on the wire and what it read from the code's text. What the hooks
report (files read, tables made, refused connections of raw sockets) is joined to the execution that
is running and marked ``attested_by: kernel``; what the proxy reports is marked ``proxy``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloister.core.errors import CloisterError, StoreUnavailable
from cloister.core.records import Json, Record
from cloister.sidecar.recording.execution import Execution, Late, disposition_of
from cloister.sidecar.recording.names import names_of
from cloister.sidecar.recording.provenance import Provenance
from cloister.sidecar.recording.standing import NOTICE
from cloister.sidecar.recording.tracing import trace_of
from cloister.sidecar.redact import redact_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cloister.sidecar.outgoing.outline import Outline
    from cloister.sidecar.outgoing.withheld import Reason
    from cloister.sidecar.recording.fingerprints import Fingerprint
    from cloister.sidecar.textguard import Tally

MOST_EGRESS_FACTS = 1000
MOST_SPENDS = 1000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KernelFacts:
    """What is known about a kernel before it runs anything."""

    kernel_id: str
    user: str
    notebook: str | None
    session: str


class Recorder:
    """Keeps the running executions of one kernel and appends their records.

    Args:
        append: Appends records durably, or raises ``StoreUnavailable``.
        facts: Who and where.
        policy_digest: Returns the digest of the policy in force.
        guard_mask: Masks a text; code is kept as the user may see it, secrets redacted first.
        rule_of: Returns the policy's rule for types of values.

    Attributes:
        provenance: Knows what executions have used and made.
        environment: The digest of what the kernel runs on, once it is known.
    """

    def __init__(
        self,
        append: Callable[[Sequence[Record]], object],
        facts: KernelFacts,
        policy_digest: Callable[[], str],
        guard_mask: Callable[[str], str],
        rule_of: Callable[[Sequence[str]], str] = lambda _: "",
    ) -> None:
        self._append = append
        self._facts = facts
        self._policy_digest = policy_digest
        self._mask = guard_mask
        self._rule_of = rule_of
        self.provenance = Provenance(self._masked)
        self.environment: str | None = None
        self._running: dict[str, Execution] = {}
        self._current: str | None = None
        self._late: dict[str, Late] = {}
        self._lock = threading.Lock()

    def append(self, record_type: str, body: dict[str, Json], payload: bytes = b"") -> None:
        """Appends one record of this kernel, durable on return.

        Raises:
            StoreUnavailable: The log cannot take it.
        """
        self._append([Record(record_type, {"kernel_id": self._facts.kernel_id, **body}, payload)])

    def begin(
        self,
        msg_id: str,
        header: dict[str, Any],
        code: str,
        metadata: dict[str, Any],
        *,
        silent: bool,
    ) -> None:
        """Makes the intent to run ``code`` durable; only then may it run.

        Raises:
            StoreUnavailable: The intent cannot be recorded.
        """
        digest = code_digest(code)
        cell_id = metadata.get("cellId") or metadata.get("cell_id")
        trace = trace_of(msg_id, metadata)
        body: dict[str, Json] = {
            "execution_id": msg_id,
            "kernel_id": self._facts.kernel_id,
            "session": self._facts.session,
            "user": self._facts.user,
            "client_user": _short(header.get("username")),
            "client_session": _short(header.get("session")),
            "notebook": self._facts.notebook,
            "cell_id": _short(cell_id) if isinstance(cell_id, str) else None,
            "code_sha256": digest,
            "policy_digest": self._policy_digest(),
            "trace_id": trace.trace_id,
            "span_id": trace.span_id,
            **({"parent_span_id": trace.parent_span_id} if trace.parent_span_id else {}),
            "silent": silent,
            "attested_by": "sidecar",
        }
        payload = _payload({"code": self._masked(redact_secrets(code))})
        self._append([Record("cell.intent", body, payload)])
        with self._lock:
            self._running[msg_id] = Execution(msg_id, digest, time.monotonic(), code)

    def understand(self, msg_id: str) -> None:
        """Reads the names in the code of an execution. It runs meanwhile, so nobody waits."""
        execution = self._running.get(msg_id)
        if execution is not None:
            execution.names, execution.code = names_of(execution.code), ""

    def refused(self, code: str, reason: CloisterError) -> None:
        """Records, as far as that goes, that a cell was not run; it is refused in any case."""
        body: dict[str, Json] = {
            "user": self._facts.user,
            "notebook": self._facts.notebook,
            "code_sha256": code_digest(code),
            "reason": reason.code,
            "attested_by": "sidecar",
        }
        try:
            self.append("cell.refused", body)
        except StoreUnavailable as error:
            logger.warning("a refusal is not on record: %s", error.code)

    def debugger(self, msg_id: str, command: str, code: str) -> None:
        """Records code that a debugger request carries, durable before it runs.

        Raises:
            StoreUnavailable: It cannot be recorded.
        """
        body: dict[str, Json] = {
            "execution_id": msg_id,
            "command": _short(command),
            "user": self._facts.user,
            "code_sha256": code_digest(code),
            "attested_by": "sidecar",
        }
        payload = _payload({"code": self._masked(redact_secrets(code))})
        self.append("debugger.evaluate", body, payload)

    def started(self, msg_id: str) -> None:
        """Notes that the kernel now runs this request; facts from hooks belong to it."""
        with self._lock:
            if msg_id in self._running:
                self._current = msg_id
                # It may have waited for its turn; its duration is the time that it ran.
                self._running[msg_id].started_s = time.monotonic()

    def _masked(self, text: str) -> str:
        """Returns a text without values.

        Raises:
            CloisterError: That could not be done, so the text cannot be recorded, and what cannot
                be recorded does not happen. It is no reason to end a session.
        """
        try:
            return self._mask(text)
        except CloisterError:
            raise
        except Exception as error:  # noqa: BLE001 - its text may hold what was looked at
            logger.error("CLO-GATE-006: %s while checking what is recorded", type(error).__name__)
            raise CloisterError(
                "This could not be checked for values, so it was not recorded and did not happen.",
                code="CLO-GATE-006",
                remedy="Write it in another way; if it happens again, report it.",
            ) from None

    def running(self, msg_id: str) -> Execution | None:
        """Returns the execution if its result is not recorded yet."""
        return self._running.get(msg_id)

    def output(
        self,
        msg_id: str,
        output: Outline,
        tally: Tally,
        *,
        text: str = "",
        stream: str = "",
        is_neutralised: bool = False,
        is_observed: bool = False,
        withheld: Reason | None = None,
    ) -> None:
        """Notes an output as it left for the clients.

        Args:
            msg_id: The request that it belongs to.
            output: Facts about it, after masking.
            tally: What was masked in it.
            text: Of a stream, what left of it.
            stream: The stream's name.
            is_neutralised: Whether it left without what would have run in a browser.
            is_observed: Whether it left as it was, although the policy would have it otherwise.
            withheld: Why it, or a form of it, was withheld, where the content says that it was.
        """
        reason = None if withheld is None else (withheld.code, withheld.rule)
        disposition = disposition_of(
            output, tally, self._rule_of, is_observed=is_observed, withheld=reason
        )
        execution = self._running.get(msg_id)
        if execution is None:
            late = self._late.setdefault(msg_id, Late(time.monotonic()))
            late.take(output, tally, is_observed=is_observed)
            standing = late.standing
        else:
            execution.take(output, disposition, is_neutralised=is_neutralised)
            standing = execution.standing
        if stream:
            standing.stream(stream, text, disposition)
        elif output.forms:
            standing.output(output.kind, output.forms, output.display, disposition)

    def said(self, msg_id: str, text: str) -> None:
        """Notes what the gate itself says below a cell, so that it stands there for a reader."""
        execution = self._running.get(msg_id)
        if execution is not None:
            execution.standing.stream("stderr", text, NOTICE)

    def cleared(self, msg_id: str, *, waits: bool) -> None:
        """Notes that a cell is emptied, now or when its next output comes."""
        execution = self._running.get(msg_id)
        if execution is not None:
            execution.standing.clear(waits=waits)

    def captured(self, msg_id: str, *, is_on: bool) -> None:
        """Notes that outputs go into a widget from here on, or below the cell again."""
        execution = self._running.get(msg_id)
        if execution is not None:
            execution.standing.capture(is_on=is_on)

    def observed(self, msg_id: str, tally: Tally) -> None:
        """Notes what is no output and left as it was, although guarding would change it.

        Args:
            msg_id: The request that it answers.
            tally: What would have been masked in it.
        """
        execution = self._running.get(msg_id)
        if execution is None:
            late = self._late.setdefault(msg_id, Late(time.monotonic()))
            late.observed += 1
            late.masked.update(tally.masked)
            return
        execution.observed += 1
        for entity_type in tally.masked:
            execution.tally.add(entity_type)

    def flush_late(self, now_s: float) -> None:
        """Records outputs that came after their execution had ended, in batches of a second.

        Threads and background tasks print late; the record says so instead of losing it. So does
        what is observed of answers to requests that run no code.
        """
        for msg_id in [m for m, late in self._late.items() if late.since_s + 1 <= now_s]:
            late = self._late.pop(msg_id)
            body: dict[str, Json] = {
                "execution_id": _short(msg_id),
                **late.facts(),
                "attested_by": "sidecar",
            }
            try:
                self.append("output.late", body)
            except StoreUnavailable:
                self._late[msg_id] = late  # kept until the log works; nothing new runs until then
                return

    def blocked(self, msg_id: str, reason: Reason | None = None) -> None:
        """Counts an output that did not leave."""
        execution = self._running.get(msg_id)
        if execution is not None:
            execution.block(*(("", "") if reason is None else (reason.code, reason.rule)))

    def read(self, fact: dict[str, Json], columns: Sequence[dict[str, Json]] = ()) -> None:
        """Joins a read that the hooks report to the running execution.

        Args:
            fact: What was read.
            columns: Name (``column``), level and kind of each column of it that has a label.
        """
        with self._lock:
            execution = self._active()
        if execution is not None:
            self.provenance.read(execution, fact, columns)

    def fingerprinted(self, execution_id: str, path: Path, found: Fingerprint) -> bool:
        """Takes what a file held that a running execution has read; ``False`` if it has ended."""
        with self._lock:
            execution = self._running.get(execution_id)
            if execution is not None:
                execution.fingerprints[path] = found
        return execution is not None

    def shown_path(self, path: Path) -> str:
        """Returns a path as it may be recorded."""
        return self._masked(str(path))

    def frames(self, frames: Sequence[dict[str, Json]]) -> None:
        """Joins tables that the hooks report to the running execution: names and column lineage.

        Args:
            frames: Of each the variable's ``name``, its ``kind``, and its ``columns`` with the
                columns that they come ``from`` and the ``steps`` on the way.
        """
        with self._lock:
            execution = self._active()
        if execution is not None:
            self.provenance.frames(execution, frames)

    def spent(self, fact: dict[str, Json]) -> None:
        """Notes privacy budget that the running execution has reserved, spent or given back."""
        with self._lock:
            execution = self._active()
            if execution is not None and len(execution.spends) < MOST_SPENDS:
                execution.spends.append(fact)

    def active_id(self) -> str | None:
        """Returns the execution that something which happens now belongs to."""
        with self._lock:
            execution = self._active()
        return execution.id if execution else None

    def egress(self, fact: dict[str, Json]) -> None:
        """Records a connection, allowed or denied, and joins it to the running execution.

        Raises:
            StoreUnavailable: The log cannot take it; then the connection must not be made.
        """
        # Code in the kernel chose the name, so it can carry a value; an address names itself.
        if any(c.isalpha() for c in str(fact["host"])):
            fact = {**fact, "host": self._masked(str(fact["host"]))}
        is_allowed = fact.get("decision") == "allow"
        is_end = is_allowed and fact.get("phase") == "closed"  # its begin is noted already
        with self._lock:
            execution = self._active()
            if execution is not None and not is_end and len(execution.egress) < MOST_EGRESS_FACTS:
                execution.egress.append(fact)
        kind = "egress.allowed" if is_allowed else "egress.denied"
        self.append(kind, {"execution_id": execution.id if execution else None, **fact})

    def provider(self, record_type: str, fact: dict[str, Json]) -> None:
        """Records what happened with a call to a provider, with the execution that it belongs to.

        Raises:
            StoreUnavailable: The log cannot take it; then nothing must leave.
        """
        self.append(record_type, {"execution_id": self.active_id(), **fact})

    def reveal(self, fact: dict[str, Json], tokens: Sequence[str]) -> None:
        """Records that tokens were to be undone, allowed or denied; the tokens as payload.

        Raises:
            StoreUnavailable: The log cannot take it; then nothing must be revealed.
        """
        with self._lock:
            execution = self._active()
        kind = "reveal.allowed" if fact.get("decision") == "allow" else "reveal.denied"
        body: dict[str, Json] = {"execution_id": execution.id if execution else None, **fact}
        self.append(kind, body, _payload({"tokens": list(tokens)}))

    def _active(self) -> Execution | None:
        """Returns the execution that a fact from the kernel belongs to; call it with the lock.

        The kernel's busy status may still be on its way: then it is the one that waits longest.
        """
        current = self._running.get(self._current or "")
        return current or next(iter(self._running.values()), None)

    def finish(self, msg_id: str, status: str, execution_count: int | None) -> None:
        """Makes the result of an execution durable.

        Args:
            msg_id: The request.
            status: ``ok``, ``error``, ``aborted`` or ``killed``.
            execution_count: The number at the prompt, if there is one.

        Raises:
            StoreUnavailable: The log cannot take it.
        """
        with self._lock:
            execution = self._running.pop(msg_id, None)
            if self._current == msg_id:
                self._current = None
        if execution is None:
            return
        body: dict[str, Json] = {
            "execution_id": msg_id,
            "kernel_id": self._facts.kernel_id,
            "user": self._facts.user,
            "notebook": self._facts.notebook,
            "status": status,
            "execution_count": execution_count,
            **execution.facts(),
            **self.provenance.ended(execution),
            "environment": self.environment,
            "attested_by": "sidecar",
        }
        self._append([Record("cell.result", body, execution.payload())])

    def finish_all(self, status: str) -> None:
        """Ends every execution that is still running, for instance when the kernel died."""
        for msg_id in list(self._running):
            self.finish(msg_id, status, None)


def code_digest(code: str) -> str:
    """Returns what code is known by in the record."""
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()


def _payload(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _short(value: object) -> str:
    return str(value)[:128].encode("ascii", "replace").decode() if value else ""
