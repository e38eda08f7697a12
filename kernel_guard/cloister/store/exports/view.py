"""What is exported: one state of a record, and the events of it that were asked for.

The newest checkpoint is read first. Events behind it are left out, so what is written fits that
checkpoint however long the writing takes and however much is recorded meanwhile.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from cloister.store.database import damaged
from cloister.store.entry import parse_body
from cloister.store.executions import INTENT, iso_time
from cloister.store.lineage_store import WHAT
from cloister.store.merkle import leaf_hash

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloister.store.evidence.reader import EvidenceReader, Head

_PROVED_TOGETHER: Final = 500  # events whose proofs share tree nodes


@dataclass(frozen=True, slots=True)
class Criteria:
    """Which events are asked for; all that are given must hold.

    An event belongs to a notebook, user or kernel when it says so, or when the intent of its
    execution does.

    Attributes:
        since_us: From this time on, microseconds since 1970 UTC.
        until_us: Before this time.
        executions: Ids.
        notebook: Path, as the record has it.
        user: Name.
        kernel: Id.
    """

    since_us: int | None = None
    until_us: int | None = None
    executions: frozenset[str] | None = None
    notebook: str | None = None
    user: str | None = None
    kernel: str | None = None

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return self == Criteria()

    def as_dict(self) -> dict[str, Any]:
        """Returns what is given, for the record."""
        return {
            "since_us": self.since_us,
            "until_us": self.until_us,
            "executions": None if self.executions is None else sorted(self.executions),
            "notebook": self.notebook,
            "of_user": self.user,
            "of_kernel": self.kernel,
        }


class Event:
    """An event as exporters see it; its body is read when somebody asks."""

    def __init__(self, seq: int, time_us: int, kind: str, header: bytes) -> None:
        self.seq = seq
        self.time_us = time_us
        self.type = kind
        self.header = header

    @cached_property
    def body(self) -> dict[str, Any]:
        """The facts.

        Raises:
            StoreUnavailable: They are not stored in the way they were written.
        """
        try:
            return parse_body(self.header)
        except (ValueError, AttributeError, RecursionError):
            raise damaged(WHAT, "an event cannot be read") from None

    @property
    def leaf(self) -> bytes:
        """Its hash in the tree."""
        return leaf_hash(self.header)

    @property
    def time(self) -> str:
        """When it was recorded, ISO 8601 in UTC.

        Raises:
            StoreUnavailable: That is no time.
        """
        try:
            return iso_time(self.time_us)
        except (ValueError, OverflowError, OSError, TypeError):
            raise damaged(WHAT, "an event cannot be read") from None

    @property
    def execution_id(self) -> str | None:
        """The execution that it belongs to."""
        found = self.body.get("execution_id")
        return found if isinstance(found, str) else None


class RecordView:
    """One state of a record. Nothing of it is kept in memory.

    Args:
        reader: The log.
        head: The checkpoint that the export is about.
        origin: Name of the log.
        public_key: Its verifier line.
        criteria: What was asked for.
    """

    def __init__(
        self,
        reader: EvidenceReader,
        head: Head,
        *,
        origin: str,
        public_key: str,
        criteria: Criteria,
    ) -> None:
        self._reader = reader
        self._criteria = criteria
        self.head = head
        self.origin = origin
        self.public_key = public_key

    def events(self) -> Iterator[Event]:
        """Yields what was asked for, in order.

        Raises:
            StoreUnavailable: The log cannot be read.
        """
        chosen = _Chosen(self._criteria)
        for row in self._reader.headers(self.head.size, until_us=self._criteria.until_us):
            event = Event(*row)
            if chosen.has(event):
                yield event

    def proven(self) -> Iterator[tuple[Event, list[bytes]]]:
        """Yields the same with the inclusion proof of each (RFC 9162 section 2.1.3.1).

        Raises:
            StoreUnavailable: The log cannot be read, or tree nodes are missing.
        """
        waiting: list[Event] = []
        for event in self.events():
            waiting.append(event)
            if len(waiting) == _PROVED_TOGETHER:
                yield from self._prove(waiting)
                waiting = []
        yield from self._prove(waiting)

    def _prove(self, events: list[Event]) -> Iterator[tuple[Event, list[bytes]]]:
        if events:
            paths = self._reader.inclusions([event.seq for event in events], self.head.size)
            yield from zip(events, paths, strict=True)


class _Chosen:
    """Decides event by event; remembers the executions whose intent was of the right kind.

    Eight bytes of each id's digest are remembered, not the id, which its client chose.
    """

    def __init__(self, criteria: Criteria) -> None:
        self._criteria = criteria
        asked = {
            "notebook": criteria.notebook,
            "user": criteria.user,
            "kernel_id": criteria.kernel,
        }
        self._facts = {name: value for name, value in asked.items() if value is not None}
        self._executions: set[int] = set()

    def has(self, event: Event) -> bool:
        criteria = self._criteria
        if self._facts and not self._has_facts(event):
            return False
        if criteria.since_us is not None and event.time_us < criteria.since_us:
            return False
        return criteria.executions is None or event.execution_id in criteria.executions

    def _has_facts(self, event: Event) -> bool:
        says_so = all(event.body.get(name) == value for name, value in self._facts.items())
        execution = event.execution_id
        if execution is None:
            return says_so
        key = int.from_bytes(
            hashlib.sha256(execution.encode("utf-8", "surrogatepass")).digest()[:8], "big"
        )
        if event.type == INTENT and says_so:
            self._executions.add(key)
        return says_so or key in self._executions
