"""What a writer asks of the log: an append that happens once, however often it is asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cloister.store.entry import Draft, draft

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloister.core.records import Record
    from cloister.store.lineage_store import LineageStore

_CLIENT_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Request:
    """One append of one writer, which may be asked for twice and happens once.

    A writer numbers its appends upwards and sends the next one only after the answer to the last.
    The log keeps the newest number of each writer in the same transaction as the events, so that an
    append whose outcome is unknown (a connection broke, a process was killed) can be sent again, to
    whoever appends now.

    Attributes:
        client: 16 random bytes that name the writer.
        number: The number of this append.
        drafts: What happened, in order.
        change: What belongs to it in the same transaction, for :meth:`LineageLog.change`.
    """

    client: bytes
    number: int
    drafts: Sequence[Draft]
    change: Change | None = None

    def drafts_at(self, first: int) -> Sequence[Draft]:
        """Returns what to append when the next event has the number ``first``."""
        return self.drafts if self.change is None else [draft(self.change.build(first))]


@dataclass(frozen=True, slots=True)
class Change:
    """A change beside the tree that happens with its event, or not at all.

    Attributes:
        build: Returns the event, given its number.
        apply: Makes the change in the transaction, given the event's number.
    """

    build: Callable[[int], Record]
    apply: Callable[[LineageStore, int], None]


def new_client() -> bytes:
    """Returns a name for a writer."""
    return os.urandom(_CLIENT_BYTES)
