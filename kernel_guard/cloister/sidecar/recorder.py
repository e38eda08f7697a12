"""Writes what happens in a kernel to the lineage log: an intent before, a result after.

The sidecar attests what it saw on the wire. What the hooks report (files read, refused
connections of raw sockets) is joined to the execution that is running and marked
``attested_by: kernel``; what the proxy reports is marked ``proxy``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cloister.core.errors import CloisterError, StoreUnavailable
from cloister.core.records import Json, Record
from cloister.sidecar.outgoing.outline import MOST_RECORDED_BYTES
from cloister.sidecar.redact import redact_secrets
from cloister.sidecar.textguard import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloister.sidecar.outgoing.outline import Outline

MOST_DIGESTS = 1000  # of one execution
MOST_EGRESS_FACTS = 1000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KernelFacts:
    """What is known about a kernel before it runs anything."""

    kernel_id: str
    user: str
    notebook: str | None
    session: str


@dataclass(slots=True)
class Execution:
    """One request that runs code, from its intent to its result."""

    id: str
    code_sha256: str
    started_s: float
    outputs: list[bytes] = field(default_factory=list)
    digests: list[Json] = field(default_factory=list)
    recorded_bytes: int = 0
    shown: int = 0
    masked: int = 0
    blocked: int = 0
    observed: int = 0
    neutralised: int = 0
    shown_bytes: int = 0
    tally: Tally = field(default_factory=Tally)
    reads: list[Json] = field(default_factory=list)
    egress: list[Json] = field(default_factory=list)


@dataclass(slots=True)
class _Late:
    since_s: float
    count: int = 0
    observed: int = 0
    digests: list[Json] = field(default_factory=list)
    masked: dict[str, int] = field(default_factory=dict)


class Recorder:
    """Keeps the running executions of one kernel and appends their records.

    Args:
        append: Appends records durably, or raises ``StoreUnavailable``.
        facts: Who and where.
        policy_digest: Returns the digest of the policy in force.
        guard_mask: Masks a text; code is kept as the user may see it, secrets redacted first.
    """

    def __init__(
        self,
        append: Callable[[Sequence[Record]], object],
        facts: KernelFacts,
        policy_digest: Callable[[], str],
        guard_mask: Callable[[str], str],
    ) -> None:
        self._append = append
        self._facts = facts
        self._policy_digest = policy_digest
        self._mask = guard_mask
        self._running: dict[str, Execution] = {}
        self._current: str | None = None
        self._late: dict[str, _Late] = {}
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
        cell_id = metadata.get("cellId")
        body: dict[str, Json] = {
            "execution_id": msg_id,
            "kernel_id": self._facts.kernel_id,
            "session": self._facts.session,
            "user": self._facts.user,
            "client_user": _short(header.get("username")),
            "notebook": self._facts.notebook,
            "cell_id": _short(cell_id) if isinstance(cell_id, str) else None,
            "code_sha256": digest,
            "policy_digest": self._policy_digest(),
            "trace_id": hashlib.sha256(msg_id.encode("utf-8", "surrogatepass")).hexdigest()[:32],
            "silent": silent,
            "attested_by": "sidecar",
        }
        payload = _payload({"code": self._masked(redact_secrets(code))})
        self._append([Record("cell.intent", body, payload)])
        with self._lock:
            self._running[msg_id] = Execution(msg_id, digest, time.monotonic())

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
        is_neutralised: bool = False,
        is_observed: bool = False,
        is_withheld: bool = False,
    ) -> None:
        """Notes an output as it left for the clients.

        Args:
            msg_id: The request that it belongs to.
            output: Facts about it, after masking.
            tally: What was masked in it.
            is_neutralised: Whether it left without what would have run in a browser.
            is_observed: Whether it left as it was, although the policy would have it otherwise.
            is_withheld: Whether the content says that it, or a form of it, was withheld.
        """
        execution = self._running.get(msg_id)
        if execution is None:
            late = self._late.setdefault(msg_id, _Late(time.monotonic()))
            late.count += 1
            if len(late.digests) < MOST_DIGESTS:
                late.digests.append(output.digest)
            late.masked.update(tally.masked)
            late.observed += is_observed
            return
        # What the hooks have masked before holds tokens already; it is masked, not shown.
        for entity_type in {*tally.masked, *output.stand_ins}:
            execution.tally.add(entity_type)
        if is_withheld:
            execution.blocked += 1
        elif is_observed:
            execution.shown += 1
            execution.observed += 1
        elif tally or output.stand_ins:
            execution.masked += 1
        else:
            execution.shown += 1
        execution.neutralised += is_neutralised
        execution.shown_bytes += output.size
        if len(execution.digests) < MOST_DIGESTS:
            execution.digests.append(output.digest)
        if output.content and (
            execution.recorded_bytes + len(output.content) <= MOST_RECORDED_BYTES
        ):
            execution.recorded_bytes += len(output.content)
            execution.outputs.append(
                b'{"type":"%s","content":%s}' % (output.kind.encode(), output.content)
            )

    def observed(self, msg_id: str, tally: Tally) -> None:
        """Notes what is no output and left as it was, although guarding would change it.

        Args:
            msg_id: The request that it answers.
            tally: What would have been masked in it.
        """
        execution = self._running.get(msg_id)
        if execution is None:
            late = self._late.setdefault(msg_id, _Late(time.monotonic()))
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
                "output_digests": [*late.digests],
                "count": late.count,
                **({"observed": late.observed} if late.observed else {}),
                "labels": [*sorted(late.masked)],
                "attested_by": "sidecar",
            }
            try:
                self.append("output.late", body)
            except StoreUnavailable:
                self._late[msg_id] = late  # kept until the log works; nothing new runs until then
                return

    def blocked(self, msg_id: str) -> None:
        """Counts an output that did not leave."""
        execution = self._running.get(msg_id)
        if execution is not None:
            execution.blocked += 1

    def read(self, fact: dict[str, Json]) -> None:
        """Joins a read that the hooks report to the running execution."""
        fact = {**fact, "path": self._masked(str(fact["path"]))}  # a file name can hold a value
        with self._lock:
            execution = self._active()
            if execution is not None and fact not in execution.reads:
                execution.reads.append(fact)

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
            "status": status,
            "execution_count": execution_count,
            "duration_us": int((time.monotonic() - execution.started_s) * 1e6),
            "outputs": {
                "shown": execution.shown,
                "masked": execution.masked,
                "blocked": execution.blocked,
                **({"observed": execution.observed} if execution.observed else {}),
                **({"neutralised": execution.neutralised} if execution.neutralised else {}),
            },
            "output_digests": execution.digests,
            "reads": execution.reads,
            "egress": execution.egress,
            "labels": [*sorted(execution.tally.masked)],
            "attested_by": "sidecar",
        }
        self._append([Record("cell.result", body, _outputs_payload(execution))])

    def finish_all(self, status: str) -> None:
        """Ends every execution that is still running, for instance when the kernel died."""
        for msg_id in list(self._running):
            self.finish(msg_id, status, None)


def code_digest(code: str) -> str:
    """Returns what code is known by in the record."""
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()


def _payload(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _outputs_payload(execution: Execution) -> bytes:
    """Returns the outputs of an execution as JSON; each was written so when it left."""
    return b'{"outputs":[%s]}' % b",".join(execution.outputs)


def _short(value: object) -> str:
    return str(value)[:128].encode("ascii", "replace").decode() if value else ""
