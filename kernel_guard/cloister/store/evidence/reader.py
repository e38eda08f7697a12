"""What a bundle and a witness need of a log: exact bytes, tree hashes and the newest checkpoint.

Like every reader it trusts the database as it finds it. A log only grows, so what was true of a
size stays true of it, and answers about one size fit each other without a lock.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from cloister.store.checkpoint import parse_checkpoint
from cloister.store.database import damaged
from cloister.store.lineage_reader import LineageReader
from cloister.store.lineage_store import read_node
from cloister.store.merkle import (
    consistency_proof,
    inclusion_proof,
    root_at,
    sparse_siblings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cloister.store.merkle import NodeReader

_PAGE: Final = 1000  # rows
_MOST_NODES: Final = 4096  # remembered at once
_WHAT: Final = "lineage log"
_NO_TIME: Final = 2**62

_T = TypeVar("_T")


class Head(NamedTuple):
    """The newest checkpoint of a log: the signed note and what it states."""

    note: str
    size: int
    root: bytes


class StoredEvent(NamedTuple):
    """An event as it is stored: nothing is parsed, nothing opened."""

    seq: int
    header: bytes
    sealed: bytes | None


class EvidenceReader(LineageReader):
    """Reads a log for those who prove things about it to others."""

    def head(self) -> Head | None:
        """Returns the newest checkpoint, ``None`` while nothing is recorded.

        Raises:
            StoreUnavailable: The log cannot be read.
        """
        row = self._first("SELECT note FROM head", {})
        if row is None:
            return None
        checkpoint = parse_checkpoint(row[0])
        return Head(row[0], checkpoint.size, checkpoint.root) if checkpoint.size else None

    def stored(self, first: int, last: int) -> Iterator[StoredEvent]:
        """Yields the events ``first`` to ``last``, both included.

        Raises:
            StoreUnavailable: The log cannot be read.
        """
        query = (
            "SELECT seq, header, payload FROM event WHERE seq BETWEEN :first AND :last ORDER BY seq"
        )
        while first <= last:
            rows = self._rows(query, {"first": first, "last": min(last, first + _PAGE - 1)})
            if not rows:
                raise damaged(_WHAT, "events are missing")
            yield from (StoredEvent(*row) for row in rows)
            first = rows[-1][0] + 1

    def headers(
        self, size: int, *, until_us: int | None = None
    ) -> Iterator[tuple[int, int, str, bytes]]:
        """Yields number, time, type and header of the first events, in order.

        Args:
            size: How many events the log counts for; later ones are left out.
            until_us: Only events before this time, microseconds since 1970.

        Raises:
            StoreUnavailable: The log cannot be read.
        """
        query = (
            "SELECT seq, time_us, type, header FROM event WHERE seq > :after AND seq < :size"
            " AND time_us < :until ORDER BY seq LIMIT :page"
        )
        parameters = {
            "after": -1,
            "size": size,
            "until": _NO_TIME if until_us is None else until_us,
            "page": _PAGE,
        }
        while True:
            rows = self._rows(query, parameters)
            yield from (tuple(row) for row in rows)
            if len(rows) < _PAGE:
                return
            parameters["after"] = rows[-1][0]

    def time_of(self, seq: int) -> int | None:
        """Returns when an event was recorded, microseconds since 1970; ``None`` if there is none.

        Raises:
            StoreUnavailable: The log cannot be read.
        """
        row = self._first("SELECT time_us FROM event WHERE seq = :seq", {"seq": seq})
        return None if row is None else row[0]

    def root(self, size: int) -> bytes:
        """Returns the root that the log had when it held ``size`` events.

        Raises:
            StoreUnavailable: The log cannot be read, or tree nodes are missing.
        """
        return self.roots([size])[0]

    def roots(self, sizes: Sequence[int]) -> list[bytes]:
        """Returns the root for each of several sizes; sizes near each other share most of the work.

        Raises:
            StoreUnavailable: The log cannot be read, or tree nodes are missing.
        """

        def compute(node: NodeReader) -> list[bytes]:
            remembered = lru_cache(_MOST_NODES)(node)
            return [root_at(size, remembered) for size in sizes]

        return self._from_nodes(compute)

    def consistency(self, old_size: int, size: int) -> list[bytes]:
        """Returns the proof that the log only grew between two sizes (RFC 9162 section 2.1.4.1).

        Raises:
            StoreUnavailable: The log cannot be read, or tree nodes are missing.
        """
        return self._from_nodes(lambda node: consistency_proof(old_size, size, node))

    def inclusions(self, events: Sequence[int], size: int) -> list[list[bytes]]:
        """Returns the proof of each event in the tree of ``size`` (RFC 9162 section 2.1.3.1).

        Events near each other share most of the work.

        Raises:
            StoreUnavailable: The log cannot be read, or tree nodes are missing.
        """

        def compute(node: NodeReader) -> list[list[bytes]]:
            remembered = lru_cache(_MOST_NODES)(node)
            return [inclusion_proof(seq, size, remembered) for seq in events]

        return self._from_nodes(compute)

    def siblings(self, ranges: Sequence[tuple[int, int]], size: int) -> list[bytes]:
        """Returns what has to be added to events of ``ranges`` to compute the root of ``size``.

        Raises:
            StoreUnavailable: The log cannot be read, or tree nodes are missing.
        """
        return self._from_nodes(lambda node: sparse_siblings(ranges, size, node))

    def _first(self, query: str, parameters: dict[str, int]) -> Any:
        with self._reading() as log:
            return None if log is None else log.execute(query, parameters).fetchone()

    def _rows(self, query: str, parameters: dict[str, int]) -> Sequence[Any]:
        with self._reading() as log:
            return () if log is None else log.execute(query, parameters).fetchall()

    def _from_nodes(self, compute: Callable[[NodeReader], _T]) -> _T:
        with self._reading() as log:
            if log is None:
                raise damaged(_WHAT, "its database is gone")
            try:
                return compute(lambda level, index: read_node(log, level, index))
            except (LookupError, ValueError):
                raise damaged(_WHAT, "events are missing") from None
