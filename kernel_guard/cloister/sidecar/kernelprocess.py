"""The kernel's process: started behind the walls, interrupted, watched and ended from outside."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from cloister.sidecar import sandbox

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloister.sidecar.spec import LaunchSpec


class KernelProcess:
    """One running kernel.

    Bubblewrap's first process watches a second one, the namespace's init, whose first child is the
    kernel. An interrupt goes to the kernel alone; ending the init ends everything inside.

    Args:
        spec: The launch.
        environment: The kernel's whole environment.
    """

    def __init__(self, spec: LaunchSpec, environment: Mapping[str, str]) -> None:
        self._sandboxed = spec.sandboxed
        self._init_pid: int | None = None
        self._status = bytearray()
        log_read, log_write = os.pipe2(os.O_CLOEXEC)
        self._status_fd, status_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        argv = list(spec.argv)
        if spec.sandboxed:
            argv = sandbox.bwrap_command(_plan(spec), argv, status_fd=status_write)
        self.log_fd = log_read
        # PDEATHSIG of bubblewrap follows the thread that starts it: this must be the main one.
        self._process = subprocess.Popen(
            argv,
            env=dict(environment),
            cwd="/" if spec.sandboxed else spec.cwd,
            stdin=subprocess.DEVNULL,
            stdout=log_write,
            stderr=log_write,
            pass_fds=(status_write,) if spec.sandboxed else (),
            start_new_session=True,
        )
        self.exit_fd = os.pidfd_open(self._process.pid)
        os.close(log_write)
        os.close(status_write)

    def has_exited(self) -> bool:
        """Returns whether the kernel is gone; also drains bubblewrap's status."""
        self._read_status()
        return self._process.poll() is not None

    @property
    def exit_code(self) -> int | None:
        """The exit status, negative for a signal, ``None`` while it runs."""
        return self._process.returncode

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
        for pid in (self._init_pid, self._process.pid):
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
            return self._process.pid
        if self._init_pid is None:
            return None
        try:
            children = Path(f"/proc/{self._init_pid}/task/{self._init_pid}/children").read_text()
        except OSError:
            return None
        first = children.split()[:1]
        return int(first[0]) if first else None


def _plan(spec: LaunchSpec) -> sandbox.SandboxPlan:
    home = Path(spec.home)
    workspace = Path(spec.workspace)
    user_home = Path(os.path.expanduser("~")).resolve()  # noqa: PTH111 - may be unset
    return sandbox.SandboxPlan(
        workspace=workspace,
        cwd=Path(spec.cwd),
        read_only=sandbox.interpreter_paths(spec.argv[0]),
        data=tuple(Path(path) for path in spec.data),
        hidden=sandbox.hidden_paths(workspace, home, Path(spec.run_base), user_home),
        kernel_dir=spec.kernel_dir,
        guard_dir=spec.guard_dir,
        etc_dir=spec.etc_dir,
    )
