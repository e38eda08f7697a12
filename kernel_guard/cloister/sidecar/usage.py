"""What a kernel uses of the machine, counted from outside by ``/proc``."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cloister.sidecar.processes import descendants

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_BLOCK_BYTES: Final = 512  # of st_blocks, stat(2)
# File systems in memory that belong to the sandbox alone.
_IN_MEMORY: Final = ("tmp", "home", "dev/shm")


@dataclass(frozen=True, slots=True)
class Usage:
    """One look.

    Attributes:
        tasks: Processes and threads.
        memory_bytes: Resident memory; shared pages count for each process.
        written_bytes: What the living processes have written since they started.
    """

    tasks: int
    memory_bytes: int
    written_bytes: int


def usage(pids: Iterable[int]) -> Usage:
    """Returns what processes use; those that have ended meanwhile use nothing."""
    tasks = memory = written = 0
    for pid in pids:
        with suppress(OSError, ValueError, IndexError):
            place = Path(f"/proc/{pid}")
            tasks += sum(1 for _ in (place / "task").iterdir())
            memory += int((place / "statm").read_text("ascii").split()[1]) * _PAGE_BYTES
            written += _field(place / "io", "wchar")
    return Usage(tasks, memory, written)


def shared_once(pids: Iterable[int]) -> int:
    """Returns the memory of processes with shared pages counted once. Slow: page by page."""
    memory = 0
    for pid in pids:
        with suppress(OSError, ValueError):
            memory += _field(Path(f"/proc/{pid}/smaps_rollup"), "Pss") * 1024
    return memory


def files_in_memory(kernel_pid: int) -> int:
    """Returns what a sandbox's own file systems in memory hold; nobody need have it mapped."""
    used: dict[int, int] = {}
    for name in _IN_MEMORY:
        with suppress(OSError):
            place = Path(f"/proc/{kernel_pid}/root/{name}")
            device = place.stat().st_dev
            found = os.statvfs(place)
            used[device] = (found.f_blocks - found.f_bfree) * found.f_frsize
    return sum(used.values())


def tree(roots: Sequence[int]) -> list[int]:
    """Returns processes and all their descendants, as far as they can be seen."""
    pids: list[int] = []
    for root in roots:
        pids += descendants(root)
    return pids


def stored_bytes(directory: Path) -> int:
    """Returns what the files below a directory take on their disk, hard links once."""
    total = 0
    seen: set[tuple[int, int]] = set()
    waiting = [os.fspath(directory)]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    found = entry.stat(follow_symlinks=False)
                    if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
                        if (found.st_dev, found.st_ino) in seen:
                            continue
                        seen.add((found.st_dev, found.st_ino))
                    total += found.st_blocks * _BLOCK_BYTES
                    if stat.S_ISDIR(found.st_mode):
                        waiting.append(entry.path)
    return total


def _field(path: Path, name: str) -> int:
    for line in path.read_text("ascii", "replace").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0
