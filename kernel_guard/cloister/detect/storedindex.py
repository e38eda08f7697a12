"""The exact-match indexes that scans have left, as one.

Sidecars and the command line store an index for each file that they scanned. Whoever looks at text
without scanning data itself, such as the server, takes all of them. A file that has changed since
may still have its older index there: a value that was once sensitive is then still known.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from cloister.core.errors import CloisterError
from cloister.detect.exact import ExactIndex

if TYPE_CHECKING:
    from pathlib import Path

_SUFFIX: Final = ".idx"

Stamp: TypeAlias = "tuple[tuple[str, int, int], ...]"
"""Name, size and time of change of each stored index; equal for an unchanged directory."""


@dataclass(frozen=True, slots=True)
class StoredIndex:
    """All stored indexes of a workspace.

    Attributes:
        index: Their entries together.
        digest: Hex SHA-256 of which indexes these are; it says nothing about values.
        damaged: How many could not be read. They are remade when their data is scanned again.
    """

    index: ExactIndex
    digest: str
    damaged: int = 0


def stamp_of(directory: Path) -> Stamp:
    """Returns what tells whether stored indexes have changed; ``()`` when there are none."""
    try:
        entries = [entry for entry in os.scandir(directory) if entry.name.endswith(_SUFFIX)]
        stats = [(entry.name, entry.stat()) for entry in entries]
    except FileNotFoundError:
        # No directory, or an index that was replaced in between: the next question sees it.
        return ()
    return tuple(sorted((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats))


def load_stored(directory: Path, key: bytes) -> StoredIndex:
    """Reads all stored indexes of a directory.

    Args:
        directory: Of a home, ``store/index``.
        key: The workspace's index key.

    Raises:
        OSError: The directory is there and cannot be read.
    """
    index, damaged, known = ExactIndex(key), 0, hashlib.sha256()
    for name, size, _changed in stamp_of(directory):
        try:
            index.merge(ExactIndex.load(directory / name, key))
        except (CloisterError, OSError, ValueError):
            damaged += 1
            continue
        known.update(f"{name} {size}\n".encode())
    return StoredIndex(index, known.hexdigest(), damaged)
