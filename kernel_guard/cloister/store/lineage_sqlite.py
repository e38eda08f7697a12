"""The lineage log in SQLite, in the home: one file that belongs to this machine.

The transaction is what orders writers (``BEGIN IMMEDIATE``): whatever processes there are, and
whichever of them is killed, an event is in the log with its tree nodes and its checkpoint, or not
at all. A file that was swapped or moved while it was open is noticed before anything is written.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from cloister.store.database import (
    BUSY_TIMEOUT_MS,
    NETWORK_DISK,
    connect,
    connect_read_only,
    damaged,
    refused,
    unavailable,
)
from cloister.store.files import locked
from cloister.store.filesystem import network_file_system
from cloister.store.lineage_schema import (
    APPLICATION_ID,
    OLDER_VERSIONS,
    SCHEMA_SQL,
    SCHEMA_VERSION,
    upgrade,
)
from cloister.store.lineage_store import WHAT, Answer, Batch, Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from cloister.core.errors import StoreUnavailable

_NOTHING: Mapping[str, Any] = {}


class SqliteStore:
    """Appends to a database file; see :class:`cloister.store.lineage_store.LineageStore`.

    Args:
        path: The file; made when missing.
        busy_timeout_ms: How long to wait for another writer.
    """

    failures = (sqlite3.Error, OSError, UnicodeDecodeError)
    patience_s = 0.0

    def __init__(self, path: Path, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> None:
        self._path = path
        self._busy_timeout_ms = busy_timeout_ms
        self._connection: sqlite3.Connection | None = None
        self._file = (0, 0)

    def open(self, first_note: Callable[[], str], before_commit: Callable[[str], None]) -> None:
        """Connects, and makes a new log in an empty file; brings an older one up to date."""
        kind = network_file_system(self._path.parent.resolve())
        if kind is not None:
            raise refused(NETWORK_DISK, WHAT, f"its disk is a network file system ({kind})")
        with locked(self._path.with_name(".lineage.lock")):
            if not self._path.exists():
                first_note()  # refuses before an empty file stands where a log should be
            connection = connect(self._path, busy_timeout_ms=self._busy_timeout_ms)
            try:
                _prepare(connection, first_note, before_commit)
                self._file = _identity(self._path)
            except BaseException:
                connection.close()
                raise
        self._connection = connection

    def is_current(self) -> bool:
        """Returns whether the open file is the one that the path names now."""
        if self._connection is None:
            return False
        try:
            return _identity(self._path) == self._file
        except FileNotFoundError:
            return False

    def begin(self) -> None:
        """Begins a transaction, as the only writer."""
        self._live.execute("BEGIN IMMEDIATE")

    def execute(self, sql: str, parameters: Mapping[str, Any] = _NOTHING, /) -> Answer:
        """Asks."""
        return self._live.execute(sql, parameters)

    def execute_many(self, sql: str, rows: Sequence[Mapping[str, Any]], /) -> None:
        """Does the same with many rows."""
        self._live.executemany(sql, rows)

    def add(self, batch: Batch) -> None:
        """Adds events and moves the edge."""
        connection, head = self._live, batch.head
        connection.executemany("INSERT INTO event VALUES (?,?,?,?,?,?,?)", batch.events)
        if batch.keys:
            connection.executemany("INSERT INTO data_key VALUES (?,?,?)", batch.keys)
        if batch.mentions:
            connection.executemany("INSERT INTO mention VALUES (?,?)", batch.mentions)
        connection.executemany(
            "INSERT INTO writer VALUES (?,?,?,?) ON CONFLICT (client) DO UPDATE SET"
            " number=excluded.number, first_seq=excluded.first_seq, events=excluded.events",
            batch.writers,
        )
        connection.execute(
            "UPDATE head SET size=?, frontier=?, last_leaf=?, note=?",
            (head.size, head.frontier, head.last_leaf, head.note),
        )
        if batch.is_kept:
            connection.execute("INSERT INTO checkpoint VALUES (?,?)", (head.size, head.note))

    def commit(self) -> None:
        """Makes the transaction durable."""
        self._live.execute("COMMIT")

    def forget_pages(self) -> None:
        """Moves the write-ahead log into the file and empties it; deleted rows are overwritten."""
        with suppress(sqlite3.Error):  # a reader holds it: then the next checkpoint does it
            self._live.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def rollback(self) -> None:
        """Ends the transaction without a trace."""
        self._live.rollback()

    def close(self) -> None:
        """Closes the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.rollback()
            with suppress(sqlite3.Error):
                connection.close()

    def may_pass(self, _: Exception) -> bool:
        """Returns ``False``: SQLite has waited already, and a failed commit left nothing."""
        return False

    def refusal(self, error: Exception) -> StoreUnavailable:
        """Turns a failure of SQLite or the file system into a refusal."""
        return unavailable(error, WHAT, self._path)

    @property
    def _live(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.OperationalError("not open")
        return self._connection


def _prepare(
    connection: sqlite3.Connection,
    first_note: Callable[[], str],
    before_commit: Callable[[str], None],
) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if (application, version) == (APPLICATION_ID, SCHEMA_VERSION):
        return
    if application == APPLICATION_ID and version in OLDER_VERSIONS:
        upgrade(connection)
        return
    if application or version or connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
        raise damaged(WHAT, "its database was made by another version or program")
    note = first_note()
    connection.execute("BEGIN IMMEDIATE")
    for statement in SCHEMA_SQL:
        connection.execute(statement)
    connection.execute("INSERT INTO head VALUES (0, 0, x'', NULL, ?, 1, NULL)", (note,))
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    before_commit(note)
    connection.execute("COMMIT")


class SqliteSource:
    """Reads a database file, or a reviewer's copy of it; never makes a writer wait.

    Args:
        path: The file; where there is none, there is no log yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mutex = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._file = (0, 0)

    @contextmanager
    def reading(self) -> Iterator[Rows | None]:
        """Opens a transaction; ``None`` where no log is yet."""
        with self._mutex:
            try:
                connection = self._ready()
                if connection is None:
                    yield None
                    return
                connection.execute("BEGIN")
                try:
                    yield _SqliteRows(connection)
                finally:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
            except (sqlite3.Error, OSError) as error:
                self._close()
                raise unavailable(error, WHAT, self._path) from error
            except UnicodeDecodeError:
                raise damaged(WHAT, "its database is damaged") from None

    def close(self) -> None:
        """Closes the file; a later reading opens it again."""
        with self._mutex:
            self._close()

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
                raise damaged(WHAT, "the file is not a lineage log")
            self._connection, self._file = connection, (status.st_dev, status.st_ino)
        return self._connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


class _SqliteRows:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @property
    def version(self) -> int:
        found: int = self._connection.execute("PRAGMA user_version").fetchone()[0]
        return found

    def execute(self, sql: str, parameters: Mapping[str, Any] = _NOTHING, /) -> Answer:
        return self._connection.execute(sql, parameters)

    def stream(self, sql: str) -> Answer:
        return self._connection.execute(sql)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
