"""Reads the record for the browser: pages of executions, and whether the whole is intact.

Checking the whole record costs time in proportion to its length, so a result is kept as long as
nothing that it depends on has changed. "Changed" is judged by size and modification time of every
file that holds the record: the database, its write-ahead log (where appends land first) and the
witness. That judges honest growth, not an attacker, who can set times back; a person who presses
*Verify* therefore always gets a fresh check, and ``cloister lineage verify`` never uses this cache.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloister.store.home import Home
    from cloister.store.lineage_verify import VerifyReport

MAX_SCANNED: Final = 2_000
"""Executions that one request looks at when it searches for those of one kernel."""

_BATCH: Final = 200

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
    database = home.lineage_path
    log = database.with_name(database.name + "-wal")
    return tuple(_fingerprint(path) for path in (database, log, home.witness_path))


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
    executions: Callable[[int, int | None], list[dict[str, Any]]],
    *,
    limit: int,
    before: int | None,
    kernel_id: str | None,
) -> dict[str, Any]:
    """Returns a page of executions, newest first, and where the next page begins.

    With ``kernel_id`` the page may be shorter than ``limit`` although older ones exist, because
    one request looks at no more than :data:`MAX_SCANNED` executions.

    Args:
        executions: Takes a limit and ``before``; newest first, as ``LineageReader.executions``.
        limit: The most executions to return.
        before: Only executions with a smaller ``seq``.
        kernel_id: Only executions of this kernel.
    """
    found: list[dict[str, Any]] = []
    scanned = 0
    # Without a filter one more than asked tells whether there is a next page.
    batch = limit + 1 if kernel_id is None else max(limit + 1, _BATCH)
    while True:
        rows = executions(batch, before)
        for row in rows:
            if kernel_id is None or row["kernel_id"] == kernel_id:
                if len(found) == limit:
                    return _page(found, found[-1]["seq"])
                found.append(row)
            before = row["seq"]
        scanned += len(rows)
        if len(rows) < batch:
            return _page(found, None)
        if scanned >= MAX_SCANNED:
            return _page(found, before)


def _page(found: list[dict[str, Any]], next_before: int | None) -> dict[str, Any]:
    return {"executions": found, "next_before": next_before}
