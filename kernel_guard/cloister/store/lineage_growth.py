"""What one transaction adds to the log: events, their hashes, their payloads sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloister.store.entry import (
    Draft,
    Entry,
    PayloadState,
    header_bytes,
    header_tail,
    payload_digest,
)
from cloister.store.lineage_store import Head
from cloister.store.mentions import names_in
from cloister.store.merkle import Frontier, leaf_hash

if TYPE_CHECKING:
    from cloister.store.payloads import PayloadBox


class Growth:
    """The tree while a transaction adds to it; the log keeps it only when that was committed."""

    def __init__(
        self, frontier: Frontier, last_leaf: bytes | None, box: PayloadBox, generation: int
    ) -> None:
        self.frontier = Frontier(frontier.size, list(frontier.hashes))
        self.prev = last_leaf
        self.events: list[tuple[int, int, str, str | None, bytes, bytes | None, bytes]] = []
        self.keys: list[tuple[int, int, bytes]] = []
        self.mentions: list[tuple[int, int]] = []
        self._box = box
        self._generation = generation

    @property
    def size(self) -> int:
        """Number of events by now."""
        return self.frontier.size

    def add(self, now_us: int, item: Draft) -> Entry:
        """Adds an event and returns it."""
        seq = self.size
        sealed = None
        if item.payload:
            closed = self._box.seal(self._generation, seq, item.type, item.payload)
            sealed = closed.content
            self.keys.append((seq, *closed.key))
        tail = header_tail(seq, now_us, item.type, self.prev, payload_digest(sealed))
        header = header_bytes(item.body_bytes, tail)
        self.prev = leaf_hash(header)
        nodes = b"".join(self.frontier.append(self.prev))
        self.events.append((seq, now_us, item.type, item.execution_id, header, sealed, nodes))
        self.mentions += [(name, seq) for name in names_in(item.type, item.body_bytes)]
        state = PayloadState.OPEN if item.payload else PayloadState.NONE
        return Entry(seq, now_us, item.type, item.body, header, self.prev, item.payload, state)

    def head(self, note: str) -> Head:
        """Returns the edge of the tree afterwards, with its checkpoint."""
        return Head(self.size, self.frontier.serialize(), self.prev, note)
