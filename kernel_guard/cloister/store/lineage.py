"""The lineage log: what happened, durable before anyone is told that it happened.

Events are leaves of an RFC 9162 Merkle tree in SQLite. One transaction holds the event, the tree
nodes that it completes, the tree's new edge and a checkpoint signed with Ed25519; the checkpoint
then goes to the witness file outside the database. Any number of processes may append to one log.

The log refuses to grow when its past does not fit: a database that is shorter than its witness,
differs from it, was swapped while open, or lost its witness takes no more events, because new
events would hide the damage. After a failure the next append opens everything again, so the log
recovers by itself when the cause is gone, and a failed append leaves nothing behind.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn, Self

from cloister.core.errors import StoreUnavailable
from cloister.store.checkpoint import (
    Checkpoint,
    CheckpointError,
    Verifier,
    sign_checkpoint,
    verify_checkpoint,
)
from cloister.store.database import BUSY_TIMEOUT_MS, connect, damaged, unavailable
from cloister.store.entry import (
    Draft,
    Entry,
    PayloadBox,
    PayloadState,
    draft,
    header_bytes,
    header_tail,
    payload_digest,
)
from cloister.store.files import locked
from cloister.store.keys import key_id
from cloister.store.lineage_schema import APPLICATION_ID, SCHEMA_SQL, SCHEMA_VERSION, read_node
from cloister.store.merkle import EMPTY_ROOT, Frontier, leaf_hash, root_at
from cloister.store.witness import WitnessWriter, read_witness

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloister.core.records import Record
    from cloister.store.home import Home
    from cloister.store.keys import Keyring

_log = logging.getLogger(__name__)

KEEP_CHECKPOINT_EVERY: Final = 256
"""Events between two checkpoints that stay in the database beside the newest one."""

_WHAT: Final = "lineage log"


class LineageLog:
    """Appends to the record of one workspace. Safe to call from several threads.

    Construction opens the log and checks it against its witness.

    Args:
        home: The workspace.
        keyring: Its keys; the signer signs each checkpoint.
        now_us: Clock, microseconds since 1970 UTC.
        busy_timeout_ms: How long to wait for another process.

    Raises:
        StoreUnavailable: As for :meth:`append`.
    """

    def __init__(
        self,
        home: Home,
        keyring: Keyring,
        *,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
        busy_timeout_ms: int = BUSY_TIMEOUT_MS,
    ) -> None:
        self._home = home
        self._path = home.lineage_path
        self._now_us = now_us
        self._busy_timeout_ms = busy_timeout_ms
        self._verifier = Verifier(keyring.key_name, keyring.public_key_bytes)
        self._key_id = key_id(keyring.key_name, keyring.public_key_bytes)
        self._sign = keyring.signer.sign
        self._box = PayloadBox(keyring)
        self._witness = WitnessWriter(home.witness_path, self._verifier)
        self._mutex = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] = (0, 0)
        self._frontier = Frontier.empty()
        self._last_leaf: bytes | None = None
        self._note = ""
        self._is_witnessed = True
        self.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, records: Sequence[Record]) -> tuple[Entry, ...]:
        """Adds events, all or none; they are on the disk when this returns.

        Args:
            records: What happened, in order.

        Returns:
            The events with their numbers.

        Raises:
            StoreUnavailable: The log cannot take them: the disk is full (``CLO-STORE-001``), the
                log is damaged or does not fit its witness (``-002``), another process holds it
                locked (``-003``), or it cannot be written (``-004``). Nothing was added.
            ValueError: A record is not well formed. Nothing was added.
        """
        drafts = [draft(record) for record in records]
        if not drafts:
            return ()
        with self._mutex:
            try:
                connection = self._ready()
                entries = self._write(connection, drafts)
            except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
                self._close()
                raise unavailable(error, _WHAT, self._path) from error
            except BaseException:
                self._close()
                raise
            self._publish()
            return entries

    def open(self) -> None:
        """Opens the log and checks it against its witness, without adding anything.

        Raises:
            StoreUnavailable: As for :meth:`append`.
        """
        with self._mutex:
            try:
                self._ready()
            except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
                self._close()
                raise unavailable(error, _WHAT, self._path) from error
            except BaseException:
                self._close()
                raise

    def close(self) -> None:
        """Closes the database; a later append opens it again."""
        with self._mutex:
            self._close()

    def _ready(self) -> sqlite3.Connection:
        """Returns a connection to the file that is in the home *now*."""
        if self._connection is not None:
            try:
                status = self._path.stat()
            except FileNotFoundError:
                status = None
            if status is None or (status.st_dev, status.st_ino) != self._file:
                # Writing on would reach a file that no reader will ever find.
                self._close()
        if self._connection is None:
            self._connection = self._open()
        if not self._is_witnessed:
            # At most one append goes unwitnessed: the next one waits until the witness is written.
            self._advance_witness()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        witness = self._read_witness()
        if witness is not None and witness.size and not self._path.exists():
            _refuse(f"its database is gone, while its witness knows {witness.size} events")
        with locked(self._path.with_name(".lineage.lock")):
            connection = connect(self._path, busy_timeout_ms=self._busy_timeout_ms)
            try:
                self._create_if_new(connection, witness)
            except BaseException:
                connection.close()
                raise
        try:
            status = self._path.stat()
            self._file = (status.st_dev, status.st_ino)
            self._note = ""
            self._frontier = Frontier.empty()
            if witness is None:
                # A new log's witness is written before its database, so it is there by now. It is
                # read before the head: then other writers can only make the log the longer one.
                witness = self._read_witness()
            self._adopt_head(connection)
            self._check_witness(connection, witness)
        except BaseException:
            connection.close()
            raise
        return connection

    def _create_if_new(self, connection: sqlite3.Connection, witness: Checkpoint | None) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        if (application, version) == (APPLICATION_ID, SCHEMA_VERSION):
            return
        if application or version or connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
            _refuse("its database was made by another version or program")
        if witness is not None and witness.size:
            _refuse(f"its database is empty, while its witness knows {witness.size} events")
        note = self._signed(0, EMPTY_ROOT)
        connection.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA_SQL:
            connection.execute(statement)
        connection.execute("INSERT INTO head VALUES (0, 0, x'', NULL, ?)", (note,))
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        # First the witness: a log whose witness is missing has then lost it, and says so.
        self._witness.advance(note, 0, durable=True)
        connection.execute("COMMIT")

    def _adopt_head(self, connection: sqlite3.Connection) -> None:
        """Reads the edge of the tree; does the work only when another process moved it."""
        row = connection.execute("SELECT size, frontier, last_leaf, note FROM head").fetchone()
        if row is None:
            _refuse("its head is missing")
        size, frontier, last_leaf, note = row
        if self._note and note == self._note and size == self._frontier.size:
            return
        if size < self._frontier.size:
            _refuse("it became shorter while it was open")
        try:
            parsed = Frontier.parse(size, frontier)
            if verify_checkpoint(note, self._verifier) != Checkpoint(
                self._verifier.name, size, parsed.root()
            ):
                _refuse("its newest checkpoint does not fit its events")
        except (CheckpointError, ValueError, TypeError):
            _refuse("its newest checkpoint is not valid")
        self._frontier, self._last_leaf, self._note = parsed, last_leaf, note

    def _write(self, connection: sqlite3.Connection, drafts: list[Draft]) -> tuple[Entry, ...]:
        connection.execute("BEGIN IMMEDIATE")
        self._adopt_head(connection)
        before = self._frontier.size
        frontier = Frontier(before, list(self._frontier.hashes))
        prev = self._last_leaf
        entries, rows = [], []
        for item in drafts:
            seq, now = frontier.size, self._now_us()
            sealed = self._box.seal(seq, item.payload) if item.payload else None
            tail = header_tail(seq, now, item.type, prev, payload_digest(sealed))
            header = header_bytes(item.body_bytes, tail)
            prev = leaf_hash(header)
            nodes = b"".join(frontier.append(prev))
            rows.append((seq, now, item.type, item.execution_id, header, sealed, nodes))
            state = PayloadState.OPEN if item.payload else PayloadState.NONE
            entries.append(Entry(seq, now, item.type, item.body, header, prev, item.payload, state))
        note = self._signed(frontier.size, frontier.root())
        connection.executemany("INSERT INTO event VALUES (?,?,?,?,?,?,?)", rows)
        connection.execute(
            "UPDATE head SET size=?, frontier=?, last_leaf=?, note=?",
            (frontier.size, frontier.serialize(), prev, note),
        )
        if before // KEEP_CHECKPOINT_EVERY != frontier.size // KEEP_CHECKPOINT_EVERY:
            connection.execute("INSERT INTO checkpoint VALUES (?,?)", (frontier.size, note))
        connection.execute("COMMIT")
        self._frontier, self._last_leaf, self._note = frontier, prev, note
        return tuple(entries)

    def _signed(self, size: int, root: bytes) -> str:
        name = self._verifier.name
        return sign_checkpoint(Checkpoint(name, size, root), name, self._key_id, self._sign)

    def _publish(self) -> None:
        """Moves the witness forward; a failure stops the *next* append, this one is durable."""
        try:
            self._advance_witness()
        except (OSError, StoreUnavailable):
            self._is_witnessed = False
            _log.warning("The witness could not be written; the next record waits for it.")

    def _advance_witness(self) -> None:
        try:
            self._witness.advance(self._note, self._frontier.size)
        except CheckpointError:
            _refuse("its witness is damaged")
        self._is_witnessed = True

    def _read_witness(self) -> Checkpoint | None:
        try:
            return read_witness(self._home.witness_path, self._verifier)
        except CheckpointError:
            _refuse("its witness is damaged")

    def _check_witness(self, connection: sqlite3.Connection, witness: Checkpoint | None) -> None:
        size = self._frontier.size
        if witness is None:
            _refuse("its witness is missing")
        if witness.size > size:
            _refuse(f"it has {size} events, while its witness knows {witness.size}")
        try:
            root = root_at(witness.size, lambda level, i: read_node(connection, level, i))
        except LookupError:
            _refuse("events are missing")
        if root != witness.root:
            _refuse("its events differ from what its witness knows")
        if witness.size < size:
            self._advance_witness()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.rollback()
            with suppress(sqlite3.Error):
                connection.close()
        self._witness.close()


def _refuse(reason: str) -> NoReturn:
    raise damaged(_WHAT, reason)
