"""Opens of files, seen from outside: inotify(7) by way of the C library.

A mark of inotify lies on the inode, so it sees an ``open`` through any mount, in any namespace, by
any program, and through hard links; it sees a descriptor that is opened again by ``/proc``, too. It
does not say who it was. A descriptor of kind ``O_PATH`` reads nothing and is not seen. Nothing is
imported from outside the standard library, and one look costs one system call.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cloister.core.errors import CloisterError

if TYPE_CHECKING:
    from pathlib import Path

# <sys/inotify.h>
IN_ACCESS: Final = 0x1
IN_CLOSE_WRITE: Final = 0x8
IN_OPEN: Final = 0x20
IN_MOVED_TO: Final = 0x80
IN_CREATE: Final = 0x100
IN_Q_OVERFLOW: Final = 0x4000
IN_IGNORED: Final = 0x8000
IN_ONLYDIR: Final = 0x1000000
IN_ISDIR: Final = 0x40000000

_HEADER: Final = struct.Struct("iIII")
_BUFFER_BYTES: Final = 1 << 20  # the longest queue by default is 16,384 events


class WatchUnavailable(CloisterError):
    """Files cannot be watched, so reads would not be seen."""

    default_code = "CLO-READS-001"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a watched inode.

    Attributes:
        watch: The number that :meth:`Watch.add` gave; -1 when the queue has overflowed.
        mask: The bits of inotify.
        name: For a directory, which of its entries; else empty.
    """

    watch: int
    mask: int
    name: str = ""


class Watch:
    """One queue of events. Not for several threads at a time.

    Raises:
        WatchUnavailable: The system gives no further queue.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise _unavailable(ctypes.get_errno())

    def add(self, path: Path, mask: int) -> int | None:
        """Watches what a path leads to, links followed.

        Returns:
            The number of the watch, the same for one inode; ``None`` when nothing is there.

        Raises:
            WatchUnavailable: There is something, and it cannot be watched.
        """
        number: int = self._libc.inotify_add_watch(self._fd, os.fsencode(path), mask)
        if number >= 0:
            return number
        code = ctypes.get_errno()
        if code in {errno.ENOENT, errno.ENOTDIR}:
            return None
        raise _unavailable(code)

    def drain(self) -> list[Event]:
        """Returns what has happened since the last call, oldest first."""
        events: list[Event] = []
        while True:
            try:
                data = os.read(self._fd, _BUFFER_BYTES)
            except BlockingIOError:
                return events
            at = 0
            while at < len(data):
                watch, mask, _cookie, length = _HEADER.unpack_from(data, at)
                at += _HEADER.size
                name = os.fsdecode(data[at : at + length].rstrip(b"\0"))
                events.append(Event(watch, mask, name))
                at += length

    def close(self) -> None:
        """Ends all watches."""
        os.close(self._fd)


def _unavailable(code: int) -> WatchUnavailable:
    what = {
        errno.ENOSPC: "this account watches as many files as the system lets it",
        errno.EMFILE: "this account has as many watches as the system lets it",
        errno.EACCES: "this account may not read them",
    }.get(code, os.strerror(code).lower())
    return WatchUnavailable(
        f"Catalogued files cannot be watched: {what}. Reads of them would not be seen.",
        remedy="Raise fs.inotify.max_user_watches and fs.inotify.max_user_instances, "
        "then restart the kernel.",
    )
