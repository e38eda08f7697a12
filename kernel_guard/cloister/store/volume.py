"""How much each user has seen and sent of each dataset today; kept across kernels and restarts.

One row for each user and dataset. A charge is judged and counted in one transaction, so that no
number of kernels at a time gets past a limit. The day is that of UTC; a clock that is put back
opens no new day.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Final

from cloister.core.volume import Amount, Standing, Verdict, VolumeLimit, judge
from cloister.store.database import connect, unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cloister.store.home import Home

_DAY_S: Final = 86_400
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS volume (
  user TEXT NOT NULL, dataset TEXT NOT NULL, day INTEGER NOT NULL,
  rows INTEGER NOT NULL, cells INTEGER NOT NULL, bytes INTEGER NOT NULL,
  PRIMARY KEY (user, dataset)
) STRICT, WITHOUT ROWID
"""
_READ: Final = "SELECT day, rows, cells, bytes FROM volume WHERE user = ? AND dataset = ?"


class VolumeBook:
    """The counts of one workspace. Threads and processes may share it.

    Args:
        home: Where ``store/volume.db`` is.
        clock: Seconds since 1970 UTC.
    """

    def __init__(self, home: Home, clock: Callable[[], float] = time.time) -> None:
        self._path = home.root / "store" / "volume.db"
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def charge(
        self, user: str, datasets: Iterable[str], limits: Sequence[VolumeLimit], charge: Amount
    ) -> tuple[tuple[str, Verdict], ...]:
        """Counts what is about to leave, for each dataset, unless a limit has no room for it.

        Args:
            user: Whose kernel it is.
            datasets: What it may be of; the whole charge counts for each.
            limits: The policy's.
            charge: How much.

        Returns:
            A dataset and a verdict for each dataset with a notice; when one of them is ``OVER``
            nothing was counted.

        Raises:
            StoreUnavailable: It cannot be counted, so it must not leave.
        """
        with self._lock:
            try:
                return self._charge(user, sorted(datasets), limits, charge)
            except (sqlite3.Error, OSError) as error:
                self._forget()
                raise unavailable(error, "volume book", self._path) from None

    def datasets(self, user: str) -> frozenset[str]:
        """Returns what a user's kernels have read, on any day, of what was ever noted.

        Raises:
            StoreUnavailable: The book cannot be read.
        """
        with self._lock:
            try:
                rows = self._open().execute("SELECT dataset FROM volume WHERE user = ?", (user,))
                return frozenset(dataset for (dataset,) in rows)
            except (sqlite3.Error, OSError) as error:
                self._forget()
                raise unavailable(error, "volume book", self._path) from None

    def used(self, user: str, dataset: str) -> Amount:
        """Returns what has left today.

        Raises:
            StoreUnavailable: The book cannot be read.
        """
        with self._lock:
            try:
                return self._used(self._open(), user, dataset)[1]
            except (sqlite3.Error, OSError) as error:
                self._forget()
                raise unavailable(error, "volume book", self._path) from None

    def _charge(
        self, user: str, datasets: list[str], limits: Sequence[VolumeLimit], charge: Amount
    ) -> tuple[tuple[str, Verdict], ...]:
        connection = self._open()
        verdicts: list[tuple[str, Verdict]] = []
        connection.execute("BEGIN IMMEDIATE")
        try:
            for dataset in datasets:
                day, before = self._used(connection, user, dataset)
                if verdict := judge(limits, dataset, before, charge):
                    verdicts.append((dataset, verdict))
                after = before + charge
                connection.execute(
                    "INSERT OR REPLACE INTO volume VALUES (?, ?, ?, ?, ?, ?)",
                    (user, dataset, day, after.rows, after.cells, after.bytes),
                )
            is_over = any(verdict.standing is Standing.OVER for _, verdict in verdicts)
            connection.execute("ROLLBACK" if is_over else "COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        return tuple(verdicts)

    def _used(self, connection: sqlite3.Connection, user: str, dataset: str) -> tuple[int, Amount]:
        today = int(self._clock() // _DAY_S)
        row = connection.execute(_READ, (user, dataset)).fetchone()
        if row is None or row[0] < today:
            return today, Amount()
        return row[0], Amount(*row[1:])

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(self._path)
            # A count for each message: what a loss of power takes back is a moment's.
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute(_SCHEMA)
        return self._connection

    def _forget(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None
