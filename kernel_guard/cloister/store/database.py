"""SQLite as the store uses it: durable, shared by several processes, and clear when it fails.

Every connection runs in WAL mode with ``synchronous=FULL``, so a commit that returned survives the
loss of power, and waits a bounded time for other processes. What SQLite reports becomes one of
four refusals, each with its code and what to do about it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from typing import TYPE_CHECKING, Final

from cloister.core.errors import StoreUnavailable
from cloister.store.files import PRIVATE_FILE

if TYPE_CHECKING:
    from pathlib import Path

BUSY_TIMEOUT_MS: Final = 10_000

DISK_FULL: Final = "CLO-STORE-001"
DAMAGED: Final = "CLO-STORE-002"
LOCKED: Final = "CLO-STORE-003"
NOT_WRITABLE: Final = "CLO-STORE-004"
NETWORK_DISK: Final = "CLO-STORE-005"
NO_SERVER: Final = "CLO-STORE-007"
NO_DRIVER: Final = "CLO-STORE-008"
NO_TABLES: Final = "CLO-STORE-009"
NOT_DURABLE: Final = "CLO-STORE-010"

_REMEDY: Final = {
    DISK_FULL: "Free space on the disk that holds the workspace's home; then run the cell again.",
    DAMAGED: "Run: cloister lineage verify. Keep the files as evidence and restore a backup.",
    LOCKED: "Find the process that holds the workspace's store open, or wait and try again.",
    NOT_WRITABLE: "Make the workspace's home writable for this account; then run the cell again.",
    NETWORK_DISK: "Put the workspace's home on a disk of this machine; several machines share a "
    "record in PostgreSQL.",
    NO_SERVER: "Check that PostgreSQL runs and that store.yaml names it; then run the cell again.",
    NO_DRIVER: "Install it: pip install 'cloister[postgres]'",
    NO_TABLES: "Run: cloister lineage migrate URL, with the same version of cloister everywhere.",
    NOT_DURABLE: "Set fsync = on in postgresql.conf: without it a crash takes records back.",
}
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LOW_SPACE_BYTES: Final = 128 * 1024


def connect(path: Path, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> sqlite3.Connection:
    """Opens a database for writing, making a private one if there is none.

    Transactions are the caller's: nothing begins by itself. Threads may share the connection if
    the caller serialises them.

    Raises:
        sqlite3.Error, OSError: See :func:`unavailable`.
    """
    # SQLite would use the umask; its -wal and -shm files copy the mode of this one. Only a new file
    # may be opened here: closing any descriptor of an open database drops this process's POSIX
    # locks on it, and then another process can take the -wal away ("How To Corrupt", sqlite.org).
    with contextlib.suppress(FileExistsError):
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        os.close(os.open(path, flags, PRIVATE_FILE))
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, timeout=busy_timeout_ms / 1000
    )
    try:
        connection.execute("PRAGMA journal_mode=WAL").fetchone()
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA secure_delete=ON")  # an erased key is overwritten
        connection.execute("PRAGMA trusted_schema=OFF")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Opens a database that is only read; it never takes a lock that a writer waits for.

    A copy on a medium that cannot be written is read as it is (``immutable``), if no write-ahead
    log lies beside it.

    Raises:
        FileNotFoundError: There is no database.
        sqlite3.Error, OSError: See :func:`unavailable`.
    """
    path.stat()
    location = path.absolute().as_uri()
    has_log = path.with_name(path.name + "-wal").exists()
    is_fixed = not has_log and not os.access(path.parent, os.W_OK)
    connection = sqlite3.connect(
        f"{location}?{'immutable=1' if is_fixed else 'mode=ro'}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_TIMEOUT_MS / 1000,
    )
    connection.execute("PRAGMA query_only=ON")
    connection.execute("PRAGMA trusted_schema=OFF")
    return connection


def unavailable(error: Exception, what: str, path: Path) -> StoreUnavailable:
    """Turns a failure of SQLite or the file system into a refusal.

    Args:
        error: What was raised.
        what: Whose storage it is, for instance ``lineage log``.
        path: The database; only its free space is looked at.
    """
    code = _code_of(error, path)
    reason = {
        DISK_FULL: "the disk is full",
        DAMAGED: "its database is damaged",
        LOCKED: "another process holds it locked",
        NOT_WRITABLE: "it cannot be written",
    }[code]
    return refused(code, what, reason)


def damaged(what: str, reason: str) -> StoreUnavailable:
    """Returns the refusal for storage whose content cannot be right."""
    return refused(DAMAGED, what, reason)


def refused(code: str, what: str, reason: str) -> StoreUnavailable:
    """Returns the refusal of a code, with what to do about it."""
    return StoreUnavailable(
        f"The {what} is not available: {reason}.", code=code, remedy=_REMEDY[code]
    )


def _code_of(error: Exception, path: Path) -> str:
    if isinstance(error, OSError):
        return DISK_FULL if error.errno in _NO_ROOM else NOT_WRITABLE
    # The low byte of an extended result code is the primary one.
    primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if primary == sqlite3.SQLITE_FULL:
        return DISK_FULL
    if primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return LOCKED
    if primary == sqlite3.SQLITE_IOERR:
        # On a full disk the shared memory of the write-ahead log fails first, as an I/O error.
        return DISK_FULL if _is_full(path) else NOT_WRITABLE
    if primary in {
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
    }:
        return DISK_FULL if primary == sqlite3.SQLITE_CANTOPEN and _is_full(path) else NOT_WRITABLE
    return DAMAGED


def _is_full(path: Path) -> bool:
    try:
        status = os.statvfs(path.parent)
    except OSError:
        return False
    return status.f_bavail * status.f_frsize < _LOW_SPACE_BYTES
