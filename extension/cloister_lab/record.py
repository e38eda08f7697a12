"""Reads the record for the browser: pages of executions, and whether the whole is intact.

Checking the whole record costs time in proportion to its length, so a result is kept as long as
nothing that it depends on has changed. "Changed" is judged by size and modification time of every
file that holds the record: the database, its write-ahead log (where appends land first) and the
witness; where the record is in PostgreSQL, by the newest checkpoint there. That judges honest
growth, not an attacker, who can set times back; a person who presses *Verify* therefore always gets
a fresh check, and ``cloister lineage verify`` never uses this cache.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from cloister.core.errors import CloisterError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloister.store.home import Home
    from cloister.store.lineage_verify import VerifyReport

Fingerprint: TypeAlias = "tuple[tuple[int, int, int] | None, ...]"


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check of the whole record.

    Attributes:
        report: What verification found.
        checked_at: When, seconds since 1970.
    """

    report: VerifyReport
    checked_at: float

    @property
    def ok(self) -> bool:
        """Whether every event fits the tree, the signatures and the witness."""
        return self.report.ok

    def as_dict(self) -> dict[str, object]:
        """Returns the result as the API shows it."""
        return {**self.report.as_dict(), "checked_at": self.checked_at}


class RecordChecker:
    """Checks a record, once at a time, and remembers the last result. Safe between threads.

    Args:
        home: The workspace.
        verify: Checks the whole record of a home; raises ``CloisterError`` when it cannot.
    """

    def __init__(self, home: Home, verify: Callable[[Home], Check]) -> None:
        self._home = home
        self._verify = verify
        self._mutex = threading.Lock()
        self._last: tuple[Fingerprint, Check] | None = None
        self._began_at = float("-inf")

    def last(self) -> tuple[Check | None, bool]:
        """Returns the last result, and whether the record is still what was checked."""
        last = self._last
        if last is None:
            return None, False
        fingerprint, check = last
        return check, fingerprint == fingerprint_of(self._home)

    def check(self, *, is_forced: bool) -> Check:
        """Checks the record now; slow, so never call it on the event loop.

        Args:
            is_forced: Check even if nothing seems to have changed. Whoever waited for another
                forced check that began after the call gets its result.

        Raises:
            CloisterError: The record cannot be read.
        """
        called_at = time.monotonic()
        with self._mutex:
            check, is_current = self.last()
            is_fresh = is_current and (not is_forced or self._began_at > called_at)
            if check is not None and is_fresh:
                return check
            self._began_at = time.monotonic()
            before = fingerprint_of(self._home)
            check = self._verify(self._home)
            # Taken before the check: growth during it makes the result old, never falsely fresh.
            self._last = (before, check)
            return check


def fingerprint_of(home: Home) -> Fingerprint:
    """Returns size, modification time (ns) and inode of every file that holds the record."""
    settings = home.store_settings_path
    if settings.exists():
        return *(_fingerprint(path) for path in (settings, home.witness_path)), _edge(home)
    database = home.lineage_path
    log = database.with_name(database.name + "-wal")
    return tuple(_fingerprint(path) for path in (database, log, home.witness_path))


def _edge(home: Home) -> tuple[int, int, int] | None:
    """Returns what tells one state of a record in PostgreSQL from another; others append, too."""
    from cloister.store.lineage_reader import LineageReader

    try:
        with LineageReader(home) as reader:
            checkpoint = reader.checkpoint()
    except CloisterError:
        return None
    if checkpoint is None:
        return None
    return checkpoint.size, int.from_bytes(checkpoint.root[:8], "big"), 0


def _fingerprint(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    # A reader makes an empty write-ahead log when there is none; that changes nothing.
    return (status.st_size, status.st_mtime_ns, status.st_ino) if status.st_size else None


def verify_record(home: Home) -> Check:
    """Checks every event, signature and the witness of a home's record.

    Raises:
        CloisterError: The record or its key cannot be read.
    """
    from cloister.store.keys import open_keyring
    from cloister.store.lineage_verify import verify_home

    return Check(verify_home(home, open_keyring(home)), time.time())


def read_page(
    executions: Callable[..., list[dict[str, Any]]],
    *,
    limit: int,
    before: int | None,
    kernel_id: str | None,
) -> dict[str, Any]:
    """Returns a page of executions, newest first, and where the next page begins.

    Args:
        executions: ``LineageReader.executions``.
        limit: The most executions to return.
        before: Only executions with a smaller ``seq``.
        kernel_id: Only executions of this kernel.
    """
    # One more than asked tells whether there is a next page.
    rows = executions(limit + 1, before, kernel_id=kernel_id)
    found = rows[:limit]
    return {"executions": found, "next_before": found[-1]["seq"] if len(rows) > limit else None}
