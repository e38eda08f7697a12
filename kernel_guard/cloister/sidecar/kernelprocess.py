"""The kernel's process: started behind the walls, interrupted, watched and ended from outside.

This runs first in a sidecar, while nothing else is imported yet, so it imports little.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal

STATUS_FD = 63  # sandbox.STATUS_FD; importing the sandbox here would delay the kernel


class KernelProcess:
    """One running kernel.

    Bubblewrap's first process watches a second one, the namespace's init, whose first child is the
    kernel. An interrupt goes to the kernel alone; ending the init ends everything inside.

    Args:
        command: What to run.
        environment: The kernel's whole environment.
        cwd: Where to start it; bubblewrap goes there by itself.
        sandboxed: Whether ``command`` is bubblewrap.
    """

    def __init__(
        self, command: tuple[str, ...], environment: dict[str, str], *, cwd: str, sandboxed: bool
    ) -> None:
        self._sandboxed = sandboxed
        self._init_pid: int | None = None
        self._status = bytearray()
        self.exit_code: int | None = None
        self.log_fd, log_write = os.pipe2(os.O_CLOEXEC)
        self._status_fd, status_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        os.chdir("/" if sandboxed else cwd)
        # bubblewrap dies with the thread that starts it: this must be the main one.
        self._pid = os.posix_spawnp(
            command[0],
            command,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, null, 0),
                (os.POSIX_SPAWN_DUP2, log_write, 1),
                (os.POSIX_SPAWN_DUP2, log_write, 2),
                (os.POSIX_SPAWN_DUP2, status_write, STATUS_FD),
            ],
            setsid=True,
        )
        os.chdir("/")
        self.exit_fd = os.pidfd_open(self._pid)
        for fd in (log_write, status_write, null):
            os.close(fd)

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
        try:
            with open(f"/proc/{self._init_pid}/task/{self._init_pid}/children") as file:  # noqa: PTH123
                first = file.read().split()[:1]
        except OSError:
            return None
        return int(first[0]) if first else None
