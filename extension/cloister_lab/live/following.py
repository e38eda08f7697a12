"""Reads what is new in the record, once a second, and hands it to who listens."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final, Protocol

from cloister.core.errors import CloisterError
from cloister.store.lineage_reader import LineageReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloister.store.entry import Entry
    from cloister.store.home import Home

_log = logging.getLogger(__name__)

_PAUSE_S: Final = 1.0
_PAGE: Final = 500  # events
_LAST_ROUND_S: Final = 3.0


class Listener(Protocol):
    """Takes events of the record, in order, in the follower's thread."""

    def take(self, event: Entry) -> None:
        """Takes an event; must not block for long."""
        ...

    def stop(self) -> None:
        """Sends what waits, as far as that is quick."""
        ...


class Follower:
    """Follows the record of a workspace from its end on.

    Args:
        home: The workspace; it need not have a record yet.
        listeners: Who hears of new events. One that fails does not keep the others from hearing.
        pause_s: Between two looks.
    """

    def __init__(
        self, home: Home, listeners: Sequence[Listener], *, pause_s: float = _PAUSE_S
    ) -> None:
        self._reader = LineageReader(home)
        self._listeners = listeners
        self._pause_s = pause_s
        self._next: int | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)
        self.size = 0
        """Events of the log when it was last read."""
        self.newest_us: int | None = None
        """When the newest of them, and with it the newest checkpoint, was made."""
        self.is_readable = False
        """Whether the last look succeeded."""

    def start(self) -> None:
        """Begins, in a thread of its own; what is in the log already is not told."""
        self._thread.start()

    def stop(self) -> None:
        """Looks once more and ends."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_LAST_ROUND_S)

    def look(self) -> None:
        """Tells what is new.

        Raises:
            CloisterError: The record cannot be read.
        """
        checkpoint = self._reader.checkpoint()
        size = 0 if checkpoint is None else checkpoint.size
        if self._next is None or size < self._next:
            self._next = size  # the beginning, or another record in this one's place
            newest = self._reader.event(size - 1) if size else None
            self.newest_us = newest.time_us if newest else None
        while self._next < size:
            events = self._reader.entries(after=self._next - 1, limit=_PAGE)
            if not events:
                break
            for event in events:
                self._tell(event)
            self._next, self.newest_us = events[-1].seq + 1, events[-1].time_us
            size = max(size, self._next)
        self.size = size

    def _tell(self, event: Entry) -> None:
        for listener in self._listeners:
            try:
                listener.take(event)
            except Exception as error:  # noqa: BLE001 - its text may hold what was recorded
                _log.warning(
                    "%s could not take an event (%s).",
                    type(listener).__name__,
                    type(error).__name__,
                )

    def _run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._stopping.is_set()
            try:
                self.look()
                self.is_readable = True
            except CloisterError as error:
                if self.is_readable:
                    _log.warning("The record cannot be followed: %s.", error.code)
                self.is_readable = False
            if not is_last:
                self._stopping.wait(self._pause_s)
        for listener in self._listeners:
            listener.stop()
        self._reader.close()
