"""Which files of the workspace are written while a cell runs, seen from outside (inotify).

Directories are watched, not files; hidden ones and those of tools are left out, and notebooks,
which a server saves by itself. What is seen is that *somebody* wrote a file while the cell ran: two
kernels in one workspace cannot be told apart. A workspace with more directories than
:data:`MOST_DIRECTORIES` is watched as far as that goes, and so is one that the system lets nobody
watch: not at all.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Final

from cloister.sidecar import watch
from cloister.sidecar.watch import Watch, WatchUnavailable

logger = logging.getLogger(__name__)

MOST_DIRECTORIES: Final = 1_000
MOST_FILES: Final = 200
_DEPTH: Final = 6
_MASK: Final = watch.IN_CLOSE_WRITE | watch.IN_MOVED_TO | watch.IN_CREATE | watch.IN_ONLYDIR
_WRITTEN: Final = watch.IN_CLOSE_WRITE | watch.IN_MOVED_TO
_LEFT_OUT: Final = frozenset({"__pycache__", "node_modules"})


class WorkspaceWrites:
    """The writes below one directory. Safe to use from several threads.

    Args:
        root: The workspace.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._watch: Watch | None = None
        self._directories: dict[int, Path] = {}

    def start(self) -> bool:
        """Begins to watch; returns whether that can be done.

        The workspace itself is watched on return, what lies below it a moment later: a large one
        takes time to walk through.
        """
        try:
            with self._lock:
                self._watch = Watch()
            self._add(self._root)
        except WatchUnavailable:
            logger.warning("Files that cells write are not seen: nothing more can be watched.")
            return False
        threading.Thread(target=self._add_below, args=(self._root,), daemon=True).start()
        return True

    def taken(self) -> list[Path]:
        """Returns files that were written since the last call, each once; one system call."""
        with self._lock:
            events = [] if self._watch is None else self._watch.drain()
            places = [(self._directories.get(event.watch), event) for event in events]
        found: dict[Path, None] = {}
        for directory, event in places:
            if directory is None or _is_left_out(event.name):
                continue
            path = directory / event.name
            if event.mask & watch.IN_ISDIR:
                found |= dict.fromkeys(self._enter(path))
            elif event.mask & _WRITTEN:
                found[path] = None
        return [path for path in found if _is_data(path)][:MOST_FILES]

    def close(self) -> None:
        """Ends the watch."""
        with self._lock:
            if self._watch is not None:
                self._watch.close()
                self._watch = None

    def _enter(self, directory: Path) -> list[Path]:
        """Watches a new directory; returns what was written there before the watch."""
        self._add_below(directory, itself=True)
        try:
            return [path for path in directory.iterdir() if not _is_left_out(path.name)]
        except OSError:
            return []

    def _add_below(self, root: Path, *, itself: bool = False) -> None:
        for place, names, _ in os.walk(root):
            directory = Path(place)
            depth = len(directory.relative_to(self._root).parts)
            names[:] = [n for n in names if not _is_left_out(n)] if depth < _DEPTH else []
            if directory != root or itself:
                try:
                    if not self._add(directory):
                        return
                except WatchUnavailable:
                    logger.warning("Not all directories of the workspace can be watched.")
                    return

    def _add(self, directory: Path) -> bool:
        """Watches one directory; returns whether there may be more."""
        with self._lock:
            if self._watch is None or len(self._directories) >= MOST_DIRECTORIES:
                return False
            number = self._watch.add(directory, _MASK)
            if number is not None:
                self._directories[number] = directory
        return True


def _is_data(path: Path) -> bool:
    return path.suffix != ".ipynb" and path.is_file() and not path.is_symlink()


def _is_left_out(name: str) -> bool:
    return not name or name.startswith(".") or name in _LEFT_OUT
