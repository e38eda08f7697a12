"""What the processes behind the walls do, by ``/proc``: whether any has run, which files they hold.

Every process of a kernel descends from the one that the sidecar started: bubblewrap's namespace has
an init of its own, and who loses a parent becomes its child.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Process, thread, nanoseconds on a processor, nanoseconds in a queue, times that it was run.
Activity: TypeAlias = frozenset[tuple[str, str, bytes]]


def activity(root: int) -> Activity | None:
    """Returns a picture that changes whenever anything below a process runs.

    Equal pictures mean that nothing ran in between: a process or thread that came and went was
    made by one that is in the picture, and every turn on a processor is counted (``schedstat``,
    Documentation/scheduler/sched-stats.rst).

    Returns:
        The picture, or ``None`` when something runs now or cannot be seen: then nothing is known.
    """
    seen = []
    try:
        for pid in _tree(root):
            for task in Path(f"/proc/{pid}/task").iterdir():
                # The command's name comes before the state, in brackets, and may hold brackets.
                state = (task / "stat").read_bytes().rpartition(b")")[2].split()[0]
                if state not in {b"S", b"I"}:
                    return None
                seen.append((pid, task.name, (task / "schedstat").read_bytes()))
    except (OSError, IndexError):
        return None
    return frozenset(seen) or None


def held_files(root: int) -> frozenset[int] | None:
    """Returns the inode numbers of what the processes below a process hold open or mapped.

    Numbers without their devices: those of mappings have other ones on some file systems, and one
    number too many does no harm.

    Returns:
        ``None`` when it cannot be seen.
    """
    held: set[int] = set()
    try:
        for pid in _tree(root):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(FileNotFoundError):  # closed meanwhile
                    held.add(descriptor.stat().st_ino)
            maps = Path(f"/proc/{pid}/maps").read_text("utf-8", "replace")
            held.update(int(line.split(None, 5)[4]) for line in maps.splitlines())
    except OSError:
        return None
    return frozenset(held)


def descendants(root: int) -> list[int]:
    """Returns a process and all its descendants, without those that end while this looks."""
    found: list[int] = []
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        with suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                with suppress(OSError):
                    waiting += map(int, (task / "children").read_text("ascii").split())
            found.append(pid)
    return found


def _tree(root: int) -> Iterator[str]:
    """Yields a process and all its descendants."""
    waiting = [str(root)]
    while waiting:
        pid = waiting.pop()
        yield pid
        for task in Path(f"/proc/{pid}/task").iterdir():
            waiting += (task / "children").read_text("ascii").split()
