"""What one kernel has read: the watch, the scans and the record put together.

The labels of a file come from its scan (:mod:`.scan`); the mark of the kernel (:mod:`.highwater`)
rises to the highest of them when the file is opened. Each rise is recorded. One that cannot be
recorded holds all the same, and nothing more runs until it is written.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from cloister.core.errors import StoreUnavailable
from cloister.core.labels import Level
from cloister.sidecar import processes
from cloister.sidecar.highwater import HighWater, Rise
from cloister.sidecar.watch import WatchUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cloister.core.records import Json
    from cloister.sidecar.recorder import Recorder
    from cloister.sidecar.scan import Scan, Scanner

logger = logging.getLogger(__name__)


class Reads:
    """The reads of one kernel.

    Args:
        data: Catalogued files that it can read.
        workspace: Resolved; where it can write.
        scanner: Labels files.
        recorder: Takes each rise.
        walls: The process that everything behind the walls descends from, or ``None`` where there
            are none: then every open counts as the kernel's.
        on_rise: Called after a rise, to show it.
    """

    def __init__(
        self,
        *,
        data: Sequence[Path],
        workspace: Path,
        scanner: Scanner,
        recorder: Recorder,
        walls: int | None,
        on_rise: Callable[[], None],
    ) -> None:
        self._data, self._scanner, self._recorder = tuple(data), scanner, recorder
        self._workspace = workspace
        self._on_rise = on_rise
        self._unrecorded: list[Rise] = []
        self._lock = threading.Lock()
        self.is_watching = True
        if walls is None:
            self.high_water = HighWater(self._rose)
        else:
            self.high_water = HighWater(
                self._rose,
                lambda: processes.activity(walls),
                lambda: processes.held_files(walls),
            )

    def watch(self) -> None:
        """Watches all data, before any code runs. What cannot be watched counts as read."""
        try:
            for path in self._data:
                self.high_water.expect(path, within=self._workspace)
        except WatchUnavailable as error:
            logger.error("%s", error)
            self.is_watching = False
            self.high_water.raise_to(Level.RESTRICTED, seen_by="unwatched")

    def scan(self) -> None:
        """Scans all data and learns its levels, then forgets the opens that this made.

        Raises:
            CloisterError: A file cannot be scanned.
        """
        for path in self._data:
            if path.is_file():
                self._learn(path, self._scanner.scan(path))
        self.high_water.forget_own_reads()

    def follow(self) -> None:
        """Follows what was declared about data since, and writes rises that were not recorded.

        Called before something runs: what was opened until now, while the kernel slept, was opened
        by somebody else.

        Raises:
            CloisterError: The catalogue cannot be read, or the log cannot take a rise.
        """
        self.high_water.rest()
        self._record_left()
        if self._scanner.is_behind():
            with self.high_water.own_read():
                self._scanner.follow_catalog()
                for path in self._data:
                    if path.is_file():
                        self._learn(path, self._scanner.scan(path))

    def note_workspace_file(self, path: Path) -> None:
        """Scans a file of the workspace that nobody has catalogued, and watches it.

        Raises:
            CloisterError: It is no table.
        """
        self._learn(path, self._scanner.scan(path))

    def reported(self, path: Path, scan: Scan) -> None:
        """Takes a read that the hooks report."""
        self._learn(path, scan)
        self.high_water.raise_to(level_of(scan), scan.dataset, seen_by="hooks")

    def state(self) -> dict[str, Json]:
        """Returns the mark for ``state.json``."""
        return {
            "level": str(self.high_water.level()),
            "datasets": [*sorted(self.high_water.datasets())],
        }

    def _learn(self, path: Path, scan: Scan) -> None:
        try:
            self.high_water.learn(path, level_of(scan), scan.dataset)
        except WatchUnavailable as error:
            # A file that nobody has catalogued: the hooks still report it.
            logger.warning("%s", error)

    def _rose(self, rise: Rise) -> None:
        with self._lock:
            self._unrecorded.append(rise)
        try:
            self._record_left()
        except StoreUnavailable as error:
            logger.error("%s", error)
        self._on_rise()

    def _record_left(self) -> None:
        with self._lock:
            while self._unrecorded:
                rise = self._unrecorded[0]
                self._recorder.append(
                    "kernel.level_raised",
                    {
                        "execution_id": self._recorder.active_id(),
                        "level": str(rise.level),
                        "before": str(rise.before),
                        "dataset": rise.dataset,
                        "seen_by": rise.seen_by,
                        "attested_by": "kernel" if rise.seen_by == "hooks" else "sidecar",
                    },
                )
                del self._unrecorded[0]


def level_of(scan: Scan) -> Level:
    """Returns the level of a file: that of its most sensitive column."""
    return max((Level.parse(label.level) for label in scan.labels.values()), default=Level.PUBLIC)
