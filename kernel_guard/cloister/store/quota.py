"""What users have sent by rules that have a quota; kept, so that a new kernel does not begin anew.

One row for each user, rule and window. A request is counted before it leaves and never given back;
bytes are counted as they leave, so a quota of bytes can be passed by what was under way when it
was used up.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

from cloister.store.database import connect, unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.core.egressrules import Quota
    from cloister.store.home import Home

_SCHEMA = """
CREATE TABLE IF NOT EXISTS egress_use (
  user TEXT NOT NULL, destination TEXT NOT NULL, window TEXT NOT NULL, start INTEGER NOT NULL,
  requests INTEGER NOT NULL, bytes INTEGER NOT NULL,
  PRIMARY KEY (user, destination, window)
) STRICT, WITHOUT ROWID
"""
_CHARGE = """
INSERT INTO egress_use VALUES (:user, :destination, :window, :start, :requests, :bytes)
ON CONFLICT DO UPDATE SET
  requests = CASE WHEN start = :start THEN requests ELSE 0 END + :requests,
  bytes = CASE WHEN start = :start THEN bytes ELSE 0 END + :bytes,
  start = :start
RETURNING requests, bytes
"""


class QuotaBook:
    """The uses of one workspace. Threads and processes may share it.

    Args:
        home: Where ``store/egress.db`` is.
        clock: Seconds since the epoch.
    """

    def __init__(self, home: Home, clock: Callable[[], float] = time.time) -> None:
        self._path = home.root / "store" / "egress.db"
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def charge(
        self, user: str, destination: str, quota: Quota, *, requests: int = 0, sent: int = 0
    ) -> float | None:
        """Counts a use if the quota has room for it.

        Args:
            user: Whose kernel it is.
            destination: The host of the rule.
            quota: Its quota.
            requests: Requests that are about to be made.
            sent: Bytes that have left.

        Returns:
            ``None`` when there was room; else when the window ends, in seconds since the epoch.
            Bytes that have left are counted in any case.

        Raises:
            StoreUnavailable: The use cannot be counted.
        """
        now = self._clock()
        start = int(now - now % quota.per.seconds)
        row = {
            "user": user,
            "destination": destination,
            "window": quota.per.value,
            "start": start,
            "requests": requests,
            "bytes": sent,
        }
        with self._lock:
            try:
                used_requests, used_bytes = self._open().execute(_CHARGE, row).fetchall()[0]
            except (sqlite3.Error, OSError) as error:
                self._forget()
                raise unavailable(error, "egress quota", self._path) from None
        too_many = quota.requests is not None and used_requests > quota.requests
        # A quota of bytes is spent when it is reached: nothing more may begin.
        too_much = quota.bytes is not None and used_bytes + (1 if requests else 0) > quota.bytes
        return start + quota.per.seconds if too_many or too_much else None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(self._path)
            self._connection.execute(_SCHEMA)
        return self._connection

    def _forget(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None
