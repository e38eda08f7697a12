"""The highest level that one kernel has read, seen from outside.

Every catalogued file is watched (:mod:`.watch`), and what the watch has seen is looked at before
anything leaves. The watch does not say who opened a file, so this errs upward: an open counts as
the kernel's unless nothing behind the walls has run meanwhile (:mod:`.processes`). An overflow of
the queue counts as everything read, and a file whose labels are not known as ``restricted``.

What the hooks report comes on top and can only raise the mark. It never falls.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cloister.core.labels import Level
from cloister.sidecar import watch
from cloister.sidecar.watch import Event, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cloister.sidecar.processes import Activity

logger = logging.getLogger(__name__)

_OF_FILES: Final = watch.IN_OPEN | watch.IN_ACCESS
_OF_DIRECTORIES: Final = watch.IN_OPEN | watch.IN_CREATE | watch.IN_MOVED_TO | watch.IN_ONLYDIR
MOST_WORKSPACE_FILES: Final = 500


@dataclass(frozen=True, slots=True)
class Rise:
    """The mark has risen, or one more dataset was read.

    Attributes:
        level: The mark now.
        before: The mark before.
        dataset: What was read; ``None`` for a file that nobody has catalogued.
        seen_by: ``inotify``, ``overflow`` or ``hooks``.
    """

    level: Level
    before: Level
    dataset: str | None
    seen_by: str


@dataclass(frozen=True, slots=True)
class _Content:
    """What reading a file means."""

    level: Level = Level.RESTRICTED
    dataset: str | None = None


class HighWater:
    """The mark of one kernel. Safe to use from several threads.

    Args:
        on_rise: Called with each rise, in the thread that saw it; it must not raise.
        activity: Returns a picture of what runs behind the walls; two equal ones mean that nothing
            ran in between, ``None`` that nothing is known.
        held: Returns the inode numbers of files that are open or mapped behind the walls, ``None``
            when that cannot be seen.
    """

    def __init__(
        self,
        on_rise: Callable[[Rise], None],
        activity: Callable[[], Activity | None] = lambda: None,
        held: Callable[[], frozenset[int] | None] = lambda: None,
    ) -> None:
        self._on_rise, self._activity, self._held = on_rise, activity, held
        self._lock = threading.RLock()
        self._watch: Watch | None = None
        self._contents: dict[Path, _Content] = {}
        self._paths: dict[int, list[Path]] = {}
        self._directories: dict[int, Path] = {}
        self._at_rest: Activity | None = None
        self._level = Level.PUBLIC
        self._datasets: frozenset[str] = frozenset()
        self._workspace_files = 0

    def level(self) -> Level:
        """Returns the mark, after a look at what was opened: one system call."""
        with self._lock:
            events = [] if self._watch is None else self._watch.drain()
            # In this order: what ran before the look makes this picture another one.
            if events and (self._at_rest is None or self._activity() != self._at_rest):
                self._take(events)
            return self._level

    def datasets(self) -> frozenset[str]:
        """Returns the names of the datasets that were read, after a look as in :meth:`level`."""
        with self._lock:
            self.level()
            return self._datasets

    def raise_to(self, level: Level, dataset: str | None = None, *, seen_by: str = "hooks") -> None:
        """Raises the mark to at least ``level`` and notes a dataset as read."""
        with self._lock:
            before = self._level
            self._level = max(before, level)
            is_new = dataset is not None and dataset not in self._datasets
            if dataset is not None:
                self._datasets |= {dataset}
            if is_new or self._level > before:
                self._on_rise(Rise(self._level, before, dataset, seen_by))

    def expect(self, path: Path, dataset: str | None = None, *, within: Path | None = None) -> None:
        """Watches a file that the kernel can read; until :meth:`learn` it counts as restricted.

        Args:
            path: The file.
            dataset: Its name in the catalogue.
            within: The workspace. In it a kernel can put another file in the place of this one, so
                its directory is watched as well, and an open counts by name.

        Raises:
            WatchUnavailable: It cannot be watched.
        """
        with self._lock:
            self._contents.setdefault(path, _Content(dataset=dataset))
            self._watch_file(path)
            real = path.resolve()
            if within is not None and real.is_relative_to(within):
                self._contents.setdefault(real, self._contents[path])
                number = self._queue().add(real.parent, _OF_DIRECTORIES)
                if number is not None:
                    self._directories[number] = real.parent

    def learn(self, path: Path, level: Level, dataset: str | None) -> None:
        """States what a file holds. A level once learnt for a path does not fall either.

        What is learnt of a file that is not expected yet makes it so, for files of the workspace;
        beyond :data:`MOST_WORKSPACE_FILES` they are left alone.
        """
        with self._lock:
            known = self._contents.get(path)
            if known is None:
                if self._workspace_files >= MOST_WORKSPACE_FILES or level == Level.PUBLIC:
                    return
                self._workspace_files += 1
                self._contents[path] = _Content(level, dataset)
                self._watch_file(path)
                return
            for place in {path, path.resolve()} & self._contents.keys():
                self._contents[place] = _Content(level, dataset or known.dataset)

    # --- whose opens they are ---

    def forget_own_reads(self) -> None:
        """Drops what was seen so far: the sidecar has read the data itself before any code ran.

        What the kernel nevertheless holds open or mapped counts.
        """
        with self._lock:
            if self._watch is None:
                return
            self._watch.drain()
            held = self._held()
            for path, content in list(self._contents.items()):
                if held is None or _inode(path) in held:
                    self.raise_to(content.level, content.dataset, seen_by="inotify")

    def rest(self) -> bool:
        """Notes that the kernel may be idle from here on. It is right to say so at any time.

        What is opened while nothing behind the walls runs any more was opened by somebody else.

        Returns:
            Whether it sleeps.
        """
        with self._lock:
            if self._watch is not None:
                # In this order: what runs after the picture makes the next one differ.
                picture = self._activity()
                self.level()
                self._at_rest = picture
            return self._at_rest is not None

    @contextmanager
    def own_read(self) -> Iterator[None]:
        """While the sidecar reads data itself, its opens are told from those of an idle kernel."""
        self.rest()
        try:
            yield
        finally:
            self.level()

    # --- events ---

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if event.mask & watch.IN_Q_OVERFLOW:
                for content in set(self._contents.values()):
                    self.raise_to(content.level, content.dataset, seen_by="overflow")
            elif event.watch in self._directories:
                self._in_directory(event)
            if event.watch in self._paths and event.mask & _OF_FILES:
                for path in self._paths[event.watch]:
                    content = self._contents[path]
                    self.raise_to(content.level, content.dataset, seen_by="inotify")
            if event.mask & watch.IN_IGNORED:
                self._paths.pop(event.watch, None)
                self._directories.pop(event.watch, None)

    def _in_directory(self, event: Event) -> None:
        path = self._directories[event.watch] / event.name
        content = self._contents.get(path)
        if content is None or event.mask & watch.IN_ISDIR:
            return
        if event.mask & watch.IN_OPEN:
            self.raise_to(content.level, content.dataset, seen_by="inotify")
        else:
            self._watch_file(path)  # another file in its place

    def _watch_file(self, path: Path) -> None:
        number = self._queue().add(path, _OF_FILES)
        if number is not None and path not in self._paths.setdefault(number, []):
            self._paths[number].append(path)

    def _queue(self) -> Watch:
        if self._watch is None:
            self._watch = Watch()
        return self._watch


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None
