"""The kernel's process: started behind the walls, interrupted, watched and ended from outside.

This runs first in a sidecar, while nothing else is imported yet, so it imports little.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

# Those of sandbox and hooks.door; importing these here would delay the kernel.
STATUS_FD = 63
FILTER_FD = 62
DOOR_FD = 61


_PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
_MOST_ROUNDS = 100


class KernelProcess:
    """One running kernel.

    Bubblewrap's first process watches a second one, the namespace's init, whose first child is the
    kernel. An interrupt goes to the kernel alone; ending the init ends everything inside. Without
    bubblewrap there is no init: what the kernel leaves behind becomes a child of this process, and
    is ended with it.

    Args:
        command: What to run.
        environment: The kernel's whole environment.
        cwd: Where to start it; bubblewrap goes there by itself.
        walls: What ``command`` puts around the kernel: ``bubblewrap``, ``landlock`` or ``none``.
        filter_file: The filter of system calls, where there are walls.

    Attributes:
        door: Where the kernel asks for connections that it cannot make itself; only behind
            Landlock, where it can make none.
    """

    def __init__(
        self,
        command: tuple[str, ...],
        environment: dict[str, str],
        *,
        cwd: str,
        walls: str,
        filter_file: str,
    ) -> None:
        self._sandboxed = walls == "bubblewrap"
        self._init_pid: int | None = None
        self._status = bytearray()
        self.exit_code: int | None = None
        self.log_fd, log_write = os.pipe2(os.O_CLOEXEC)
        self._status_fd, status_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        actions: list[tuple[int, int, int] | tuple[int, int, str, int, int]] = [
            (os.POSIX_SPAWN_DUP2, null, 0),
            (os.POSIX_SPAWN_DUP2, log_write, 1),
            (os.POSIX_SPAWN_DUP2, log_write, 2),
            (os.POSIX_SPAWN_DUP2, status_write, STATUS_FD),
        ]
        if filter_file:
            actions += [(os.POSIX_SPAWN_OPEN, FILTER_FD, filter_file, os.O_RDONLY, 0)]
        self.door: socket.socket | None = None
        inner = None
        if walls == "landlock":
            self.door, inner = _make_door()
            actions += [(os.POSIX_SPAWN_DUP2, inner.fileno(), DOOR_FD)]
        if not self._sandboxed:
            _adopt_orphans()
        here = os.open(".", os.O_RDONLY | os.O_CLOEXEC)
        os.chdir("/" if self._sandboxed else cwd)
        # bubblewrap dies with the thread that starts it: this must be the main one.
        self._pid = os.posix_spawnp(
            command[0],
            command,
            environment,
            file_actions=actions,
            setsid=True,
        )
        os.fchdir(here)
        self.exit_fd = os.pidfd_open(self._pid)
        for fd in (log_write, status_write, null, here):
            os.close(fd)
        if inner is not None:
            inner.close()

    @property
    def pid(self) -> int:
        """The process that was started; everything behind the walls descends from it."""
        return self._pid

    def has_exited(self) -> bool:
        """Returns whether the kernel is gone; also drains bubblewrap's status."""
        self._read_status()
        if self.exit_code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self.exit_code = os.waitstatus_to_exitcode(status)
        return self.exit_code is not None

    def interrupt(self) -> None:
        """Sends SIGINT to the kernel, and to nothing else inside."""
        self._read_status()
        target = self._kernel_pid()
        if target is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(target, signal.SIGINT)

    def kill(self) -> None:
        """Ends the kernel and everything that it started."""
        self._read_status()
        if self.exit_code is not None:
            return  # its pid may be somebody else's by now
        for pid in (self._init_pid, self._pid):
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def roots(self) -> list[int]:
        """Returns the processes that all of the kernel's descend from.

        Without a namespace, what loses its parent becomes a child of this process. It is in another
        session than this process's helpers: none can be entered, and the kernel began one.
        """
        if self._sandboxed:
            return [self._pid]
        own = os.getsid(0)
        found = []
        for pid in _children(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                if os.getsid(pid) != own:
                    found.append(pid)
        return found

    def end_orphans(self) -> None:
        """Ends what the kernel has left behind; called last, when nothing else is a child here."""
        if self._sandboxed:
            return  # went with the namespace
        for _ in range(_MOST_ROUNDS):  # a child that forks while it is ended leaves another one
            children = _children(os.getpid())
            if not children:
                return
            for pid in children:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    @property
    def kernel_pid(self) -> int | None:
        """The kernel itself, by its number out here; ``None`` while it is not known."""
        self._read_status()
        return self._kernel_pid()

    def _read_status(self) -> None:
        """Reads bubblewrap's status to its end: it dies of SIGPIPE when nobody reads on."""
        while self._status_fd >= 0:
            try:
                data = os.read(self._status_fd, 4096)
            except BlockingIOError:
                break
            if not data:
                os.close(self._status_fd)
                self._status_fd = -1
            self._status += data
        if self._init_pid is None and b"\n" in self._status:
            with contextlib.suppress(ValueError):
                self._init_pid = json.loads(self._status.split(b"\n")[0]).get("child-pid")

    def _kernel_pid(self) -> int | None:
        if not self._sandboxed:
            return self._pid
        if self._init_pid is None:
            return None
        return next(iter(_children(self._init_pid)), None)


def _children(pid: int) -> list[int]:
    """Returns the children of a process, oldest first."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - pathlib costs start-up time
            with open(f"/proc/{pid}/task/{task}/children") as file:  # noqa: PTH123
                found += map(int, file.read().split())
    return found


def _make_door() -> tuple[socket.socket, socket.socket]:
    """Returns both ends of a socket whose messages have borders: one question, one answer."""
    import socket

    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _adopt_orphans() -> None:
    """Makes this process the parent of whatever loses its own below it: prctl(2)."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
