"""Reads the lineage log: events, executions and proofs. Never takes a lock that a writer waits for.

A reader trusts the database as it finds it; whether it is whole is
:func:`cloister.store.lineage_verify.verify_log`'s question. A log that does not exist yet reads as
an empty one, so that a server can start before the first kernel.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from cloister.store.checkpoint import Checkpoint, CheckpointError, parse_checkpoint
from cloister.store.database import connect_read_only, damaged, unavailable
from cloister.store.entry import Entry, PayloadBox, PayloadState, parse_body
from cloister.store.executions import INTENT, join_execution
from cloister.store.lineage_schema import APPLICATION_ID, read_node
from cloister.store.merkle import inclusion_proof, leaf_hash

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloister.store.home import Home
    from cloister.store.keys import Keyring

_WHAT = "lineage log"
_COLUMNS = "seq, time_us, type, header, payload"
_SHORTEST_PREFIX = 6


class LineageReader:
    """Reads one log; safe to call from several threads.

    Args:
        source: A home, or a database file such as a reviewer's copy.
        keyring: Opens payloads; without it they stay sealed.
    """

    def __init__(self, source: Home | Path, keyring: Keyring | None = None) -> None:
        from cloister.store.home import Home

        self._path = source.lineage_path if isinstance(source, Home) else source
        self._box = PayloadBox(keyring) if keyring is not None else None
        self._mutex = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._file = (0, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the database; a later call opens it again."""
        with self._mutex:
            self._close()

    def checkpoint(self) -> Checkpoint | None:
        """Returns the newest checkpoint as it stands there, or ``None`` in an empty log.

        Raises:
            StoreUnavailable: The log cannot be read.
        """
        with self._reading() as connection:
            if connection is None:
                return None
            return parse_checkpoint(_head_note(connection))

    def entries(self, *, after: int = -1, limit: int = 1000) -> tuple[Entry, ...]:
        """Returns events in order, without payloads.

        Args:
            after: Only events with a larger number.
            limit: The most events.

        Raises:
            StoreUnavailable: The log cannot be read.
        """
        with self._reading() as connection:
            if connection is None:
                return ()
            rows = connection.execute(
                "SELECT seq, time_us, type, header, payload IS NOT NULL FROM event"
                " WHERE seq > ? ORDER BY seq LIMIT ?",
                (after, limit),
            )
            return tuple(_entry(row, sealed=bool(row[4])) for row in rows)

    def executions(self, limit: int = 50, before: int | None = None) -> list[dict[str, Any]]:
        """Returns executions in the shape of ``cloister lineage list --json``, newest first.

        Args:
            limit: The most executions.
            before: Only executions whose ``seq`` is smaller; the last ``seq`` of the page before.

        Raises:
            StoreUnavailable: The log cannot be read.
        """
        with self._reading() as connection:
            if connection is None:
                return []
            intents = connection.execute(
                "SELECT seq, time_us, header, execution_id FROM event"
                " WHERE type = ? AND seq < ? ORDER BY seq DESC LIMIT ?",
                (INTENT, 2**62 if before is None else before, limit),
            ).fetchall()
            return [
                join_execution(
                    seq,
                    time_us,
                    parse_body(header),
                    [
                        (kind, parse_body(fact))
                        for kind, fact in connection.execute(
                            "SELECT type, header FROM event"
                            " WHERE execution_id = ? AND seq > ? ORDER BY seq",
                            (execution_id, seq),
                        )
                    ],
                )
                for seq, time_us, header, execution_id in intents
            ]

    def get(self, execution_id: str) -> tuple[Entry, ...]:
        """Returns all events of one execution, payloads opened where the key is there.

        Args:
            execution_id: The whole id, or at least six characters that begin only one.

        Returns:
            Its events in order; empty when there is no such execution, or more than one.

        Raises:
            StoreUnavailable: The log cannot be read.
        """
        with self._reading() as connection:
            if connection is None:
                return ()
            rows = _of_execution(connection, execution_id)
            if not rows and len(execution_id) >= _SHORTEST_PREFIX:
                names = connection.execute(
                    "SELECT DISTINCT execution_id FROM event"
                    " WHERE execution_id >= ? AND execution_id < ? LIMIT 2",
                    (execution_id, execution_id + "\U0010ffff"),
                ).fetchall()
                if len(names) == 1:
                    rows = _of_execution(connection, names[0][0])
            return tuple(self._opened(row) for row in rows)

    def event(self, seq: int) -> Entry | None:
        """Returns one event, payload opened where the key is there.

        Raises:
            StoreUnavailable: The log cannot be read.
        """
        with self._reading() as connection:
            if connection is None:
                return None
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM event WHERE seq = ?",  # noqa: S608 - a constant
                (seq,),
            ).fetchone()
            return self._opened(row) if row else None

    def prove(self, seq: int) -> dict[str, Any] | None:
        """Returns an offline proof that an event is in the log, or ``None`` if it is not there.

        The proof holds the exact header, the path of RFC 9162 section 2.1.3 and the signed
        checkpoint; whoever has the public key needs nothing else. It holds no payload.

        Raises:
            StoreUnavailable: The log cannot be read, or tree nodes are missing.
        """
        with self._reading() as connection:
            if connection is None:
                return None
            row = connection.execute("SELECT header FROM event WHERE seq = ?", (seq,)).fetchone()
            if row is None:
                return None
            note = _head_note(connection)
            size = parse_checkpoint(note).size
            try:
                path = inclusion_proof(seq, size, lambda level, i: read_node(connection, level, i))
            except (LookupError, ValueError):
                raise damaged(_WHAT, "events are missing") from None
            return {
                "format": "cloister-proof-v1",
                "seq": seq,
                "header": row[0].decode("utf-8", "surrogatepass"),
                "leaf": leaf_hash(row[0]).hex(),
                "path": [node.hex() for node in path],
                "checkpoint": note,
            }

    def _opened(self, row: tuple[int, int, str, bytes, bytes | None]) -> Entry:
        sealed = row[4]
        if sealed is None or self._box is None:
            return _entry(row, sealed=sealed is not None)
        payload = self._box.open(row[0], sealed)
        state = PayloadState.DAMAGED if payload is None else PayloadState.OPEN
        return _entry(row, payload=payload or b"", state=state)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """Yields a connection inside one read transaction, so all answers fit together."""
        with self._mutex:
            try:
                connection = self._ready()
                if connection is None:
                    yield None
                    return
                connection.execute("BEGIN")
                try:
                    yield connection
                finally:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
            except (sqlite3.Error, OSError) as error:
                self._close()
                raise unavailable(error, _WHAT, self._path) from error
            except (ValueError, CheckpointError) as error:
                raise damaged(_WHAT, "an event or checkpoint cannot be read") from error

    def _ready(self) -> sqlite3.Connection | None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._close()
            return None
        if self._connection is not None and self._file != (status.st_dev, status.st_ino):
            self._close()
        if self._connection is None:
            connection = connect_read_only(self._path)
            try:
                application = connection.execute("PRAGMA application_id").fetchone()[0]
            except BaseException:
                connection.close()
                raise
            if application != APPLICATION_ID:
                connection.close()
                if application == 0 and status.st_size == 0:
                    return None  # a writer has just made the file
                raise damaged(_WHAT, "the file is not a lineage log")
            self._connection, self._file = connection, (status.st_dev, status.st_ino)
        return self._connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


def _of_execution(connection: sqlite3.Connection, execution_id: str) -> list[Any]:
    return connection.execute(
        f"SELECT {_COLUMNS} FROM event WHERE execution_id = ? ORDER BY seq",  # noqa: S608 - a constant
        (execution_id,),
    ).fetchall()


def _head_note(connection: sqlite3.Connection) -> str:
    row = connection.execute("SELECT note FROM head").fetchone()
    if row is None:
        raise CheckpointError("the head is missing")
    note: str = row[0]
    return note


def _entry(
    row: tuple[Any, ...],
    *,
    sealed: bool = False,
    payload: bytes = b"",
    state: PayloadState = PayloadState.NONE,
) -> Entry:
    seq, time_us, kind, header = row[:4]
    if sealed:
        state = PayloadState.SEALED
    return Entry(seq, time_us, kind, parse_body(header), header, leaf_hash(header), payload, state)
