"""The seam between the log and its database: what SQLite and PostgreSQL both do for it.

Trees, signatures, witnesses and questions are the same for both and know only these protocols.
Questions are plain SQL that both understand, with parameters written ``:name``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from cloister.store.merkle import HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from cloister.core.errors import StoreUnavailable

WHAT: Final = "lineage log"


@dataclass(frozen=True, slots=True)
class Head:
    """The edge of the tree as the database holds it.

    Attributes:
        size: Number of events.
        frontier: Roots of the complete subtrees, one after the other.
        last_leaf: Leaf hash of the last event.
        note: The newest signed checkpoint.
        generation: The workspace key that wraps data keys now.
        signer: Id (hex) of the key that signs from the next checkpoint on; ``None`` before the
            first signing key was ever replaced.
    """

    size: int
    frontier: bytes
    last_leaf: bytes | None
    note: str
    generation: int = 1
    signer: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction adds.

    Attributes:
        events: Rows of ``event``.
        keys: Rows of ``data_key``: event, generation, wrapped key.
        mentions: Rows of ``mention``: name, event.
        writers: Rows of ``writer``: client, number of its append, first event, how many.
        head: The edge afterwards.
        is_kept: Whether its checkpoint stays in the database when a newer one comes.
    """

    events: Sequence[tuple[int, int, str, str | None, bytes, bytes | None, bytes]]
    keys: Sequence[tuple[int, int, bytes]]
    mentions: Sequence[tuple[int, int]]
    writers: Sequence[tuple[bytes, int, int, int]]
    head: Head
    is_kept: bool


class Answer(Protocol):
    """Rows of one question; ``sqlite3.Cursor`` and SQLAlchemy's results are such."""

    def __iter__(self) -> Iterator[Any]: ...

    def fetchone(self) -> Any:
        """Returns the next row, ``None`` after the last."""
        ...

    def fetchall(self) -> Sequence[Any]:
        """Returns the rows that are left."""
        ...


class Rows(Protocol):
    """Answers questions inside one transaction."""

    @property
    def version(self) -> int:
        """The version of the tables: what the index of names holds, and whether there are keys."""
        ...

    def execute(self, sql: str, parameters: Mapping[str, Any] = ..., /) -> Answer:
        """Asks with few rows as the answer."""
        ...

    def stream(self, sql: str) -> Iterable[Any]:
        """Asks with any number of rows as the answer; they are not all in memory."""
        ...


class LineageSource(Protocol):
    """A database that is read."""

    def reading(self) -> AbstractContextManager[Rows | None]:
        """Opens a transaction in which all answers fit together; ``None`` where no log is yet.

        Raises:
            StoreUnavailable: It cannot be read.
        """
        ...

    def close(self) -> None:
        """Closes the database; a later reading opens it again."""
        ...


class LineageStore(Protocol):
    """A database that is appended to. The caller serialises threads."""

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """What its methods raise when the database fails."""
        ...

    @property
    def patience_s(self) -> float:
        """How long an append is tried again after a failure that may pass, in seconds."""
        ...

    def open(self, first_note: Callable[[], str], before_commit: Callable[[str], None]) -> None:
        """Connects; where no log is yet, makes one.

        Args:
            first_note: Returns the checkpoint of an empty log, or refuses to begin one.
            before_commit: Called with it while nobody else can see the new log.
        """
        ...

    def is_current(self) -> bool:
        """Returns whether it is open on the log that a reader would find now."""
        ...

    def begin(self) -> None:
        """Begins a transaction; waits a bounded time until no other writer is in one."""
        ...

    def execute(self, sql: str, parameters: Mapping[str, Any] = ..., /) -> Answer:
        """Asks, in the transaction or outside it."""
        ...

    def execute_many(self, sql: str, rows: Sequence[Mapping[str, Any]], /) -> None:
        """Does the same with many rows; a server is not waited for after each."""
        ...

    def add(self, batch: Batch) -> None:
        """Adds to the database what a transaction adds to the log."""
        ...

    def forget_pages(self) -> None:
        """Sees to it that what was deleted is not in the database's files any more, if it can."""
        ...

    def commit(self) -> None:
        """Makes the transaction durable: it survives the loss of power when this returns."""
        ...

    def rollback(self) -> None:
        """Ends the transaction without a trace."""
        ...

    def close(self) -> None:
        """Closes the database, and drops a transaction that is open."""
        ...

    def may_pass(self, error: Exception) -> bool:
        """Returns whether the same append may succeed a moment after this failure."""
        ...

    def refusal(self, error: Exception) -> StoreUnavailable:
        """Turns a failure into what people are told."""
        ...


def read_head(rows: Rows | LineageStore) -> Head | None:
    """Returns the edge of the tree, ``None`` where it is missing."""
    row = rows.execute(
        "SELECT size, frontier, last_leaf, note, generation, signer FROM head"
    ).fetchone()
    return None if row is None else Head(*row)


def read_node(rows: Rows | LineageStore, level: int, index: int) -> bytes:
    """Returns the stored hash of a complete subtree.

    Raises:
        LookupError: The row that completes it is missing or too short.
    """
    row = rows.execute(
        "SELECT substr(nodes, :start, :length) FROM event WHERE seq = :seq",
        {
            "start": level * HASH_BYTES + 1,
            "length": HASH_BYTES,
            "seq": ((index + 1) << level) - 1,
        },
    ).fetchone()
    if row is None or len(row[0]) != HASH_BYTES:
        raise LookupError("a tree node is missing")
    return bytes(row[0])
