"""Holds a kernel to the resources that the policy gives it, from outside.

Three means, each where it is the best there is. The operating system counts open files of each
process (setrlimit(2)), and memory and processes where a control group can be made. Where none can,
and for what no group knows (files in the workspace, room on the disk of the record), this looks
several times a second. A kernel that has more than it may have is ended as a whole, and the reason
waits here for whoever tells the clients.
"""

from __future__ import annotations

import logging
import os
import resource
import threading
import time
from typing import TYPE_CHECKING, Final

from cloister.sidecar import excess
from cloister.sidecar.controlgroup import ControlGroup, enclose_processes
from cloister.sidecar.usage import Usage, files_in_memory, shared_once, stored_bytes, tree, usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloister.core.errors import ResourceExceeded
    from cloister.core.resources import ResourceLimits
    from cloister.sidecar.kernelprocess import KernelProcess

logger = logging.getLogger(__name__)

_LOOK_S: Final = 0.2
_LOOK_CLOSELY_S: Final = 0.05
_SETTLED_S: Final = 1.0
_NEARLY: Final = 0.5  # from this part of a limit on, looks are close
_KILLED: Final = frozenset({-9, 128 + 9})  # what bubblewrap says of a child that was killed

# What stays free on the disk of the record when a kernel fills it, so that its end can be recorded.
_RESERVE_BYTES: Final = 100_000_000
_RESERVE_PART: Final = 20
_FILLING_BYTES: Final = 1_000_000  # written between two looks by a kernel that fills a disk
_FILLED_LATELY_S: Final = 5.0  # it counts as filling it for so long

_WALK_LEAST_S: Final = 2.0
_WALK_SHARE: Final = 20  # walking the workspace takes at most a twentieth of a processor


class ResourceWatch:
    """Watches one kernel.

    Args:
        kernel: Its process.
        limits: Returns the limits in force.
        workspace: What ``workspace_bytes`` is about.
        record: A directory on the disk of the record.
        name: Of this kernel's control group.
        roots: Returns the processes that everything of the kernel descends from.
    """

    def __init__(
        self,
        kernel: KernelProcess,
        limits: Callable[[], ResourceLimits],
        *,
        workspace: Path,
        record: Path,
        name: str,
        roots: Callable[[], list[int]],
    ) -> None:
        self._kernel, self._limits = kernel, limits
        self._workspace, self._record, self._name = workspace, record, name
        self._roots = roots
        self._group: ControlGroup | None = None
        self._reason: ResourceExceeded | None = None
        self._ended = threading.Event()
        self._written = 0
        self._filled_s = -_FILLED_LATELY_S
        self._is_close = False
        self._shares_disk = workspace.stat().st_dev == record.stat().st_dev
        self._room: int | None = None  # left in the workspace when it was last added up
        self._written_then = 0
        self._is_room_used = threading.Event()

    def confine(self) -> None:
        """Sets what the operating system counts; nothing of the kernel's user has run yet.

        Raises:
            ResourceExceeded: A limit cannot be set, so the kernel must not go on.
        """
        limits = self._limits()
        for pid in tree(self._roots()):
            try:
                _set_limits(pid, limits)
            except ProcessLookupError:
                continue
            except (OSError, ValueError):
                raise excess.not_held() from None

    def start(self) -> None:
        """Looks until :meth:`stop`."""
        for look in (self._look, self._add_up):
            threading.Thread(target=self._run, args=(look,), name="resources", daemon=True).start()

    def stop(self) -> ResourceExceeded | None:
        """Ends the watch of a kernel that has ended; returns why, if that was a limit."""
        self._ended.set()
        self._is_room_used.set()
        if self._group is not None:
            was_killed = self._kernel.exit_code in _KILLED and self._group.kills()
            if self._reason is None and was_killed:
                self._reason = excess.too_much_memory(None, self._limits().memory_bytes)
        return self._reason

    def describe(self) -> str:
        """Returns which limits there are, for people."""
        limits = self._limits()
        parts = [
            f"memory {excess.megabytes(limits.memory_bytes)}",
            f"{limits.processes or 'any number of'} processes",
            f"{limits.open_files or 'any number of'} open files",
            f"workspace {excess.megabytes(limits.workspace_bytes)}",
        ]
        return ", ".join(parts)

    def _run(self, look: Callable[[], ResourceExceeded | None]) -> None:
        """Looks, and ends the kernel with what comes of it, also where looking fails."""
        try:
            reason = look()
        except Exception as error:  # noqa: BLE001 - a kernel that nobody watches must not go on
            logger.error("CLO-RESOURCE-005: %s while watching a kernel", type(error).__name__)
            reason = excess.not_held()
        if reason is not None and not self._ended.is_set():
            self._reason = reason
            self._kernel.kill()

    def _look(self) -> ResourceExceeded | None:
        began_s = time.monotonic()
        is_grouped = False
        while not self._ended.wait(_LOOK_CLOSELY_S if self._is_close else _LOOK_S):
            limits = self._limits()
            pids = tree(self._roots())
            if not is_grouped and time.monotonic() - began_s > _SETTLED_S:
                # Not while the kernel starts: to join a group holds it up for some milliseconds.
                is_grouped = True
                if limits.memory_bytes is not None or limits.processes is not None:
                    self._group = enclose_processes(self._name, limits, pids)
            if (reason := self._judge(usage(pids), pids, limits)) is not None:
                return reason
        return None

    def _judge(
        self, now: Usage, pids: list[int], limits: ResourceLimits
    ) -> ResourceExceeded | None:
        """Returns what is too much, if anything is; decides how soon to look again."""
        grown, self._written = now.written_bytes - self._written, now.written_bytes
        now_s = time.monotonic()
        if self._shares_disk and grown > _FILLING_BYTES:
            self._filled_s = now_s
        is_filling = now_s - self._filled_s < _FILLED_LATELY_S
        memory = 0
        if limits.memory_bytes is not None:
            memory = self._memory(now.memory_bytes, pids, limits.memory_bytes)
            if memory > limits.memory_bytes:
                return excess.too_much_memory(memory, limits.memory_bytes)
        if limits.processes is not None and now.tasks > limits.processes:
            return excess.too_many_processes(now.tasks, limits.processes)
        if is_filling and self._is_record_out_of_room():
            return excess.no_room_for_the_record()
        if self._room is not None and now.written_bytes - self._written_then > self._room:
            self._is_room_used.set()
        self._is_close = is_filling or memory > _NEARLY * (limits.memory_bytes or memory + 1)
        return None

    def _memory(self, resident: int, pids: list[int], limit: int) -> int:
        """Returns the memory in use; shared pages are told apart only where it matters."""
        kernel_pid = self._kernel.kernel_pid
        stored = 0 if kernel_pid is None else files_in_memory(kernel_pid)
        if resident + stored > limit:
            return shared_once(pids) + stored
        return resident + stored

    def _is_record_out_of_room(self) -> bool:
        disk = os.statvfs(self._record)
        reserve = min(_RESERVE_BYTES, disk.f_blocks * disk.f_frsize // _RESERVE_PART)
        return disk.f_bavail * disk.f_frsize < reserve

    def _add_up(self) -> ResourceExceeded | None:
        """Adds up the workspace now and then, and when as much was written as there is room.

        A workspace that was too large when the kernel started may not grow, but can be tidied.
        """
        at_start: int | None = None
        wait_s = 0.0
        while not self._ended.is_set():
            self._is_room_used.wait(wait_s)
            self._is_room_used.clear()
            limit = self._limits().workspace_bytes
            began_s = time.monotonic()
            if limit is not None:
                written = self._written
                stored = stored_bytes(self._workspace)
                at_start = stored if at_start is None else at_start
                most = max(limit, at_start)
                if stored > most:
                    return excess.too_large_a_workspace(stored, limit)
                # At least a little, or a kernel that writes elsewhere keeps this awake.
                self._room = max(most - stored, limit // _RESERVE_PART)
                self._written_then = written
            wait_s = max(_WALK_LEAST_S, _WALK_SHARE * (time.monotonic() - began_s))
        return None


def _set_limits(pid: int, limits: ResourceLimits) -> None:
    # A core file would hold the values of every variable.
    resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
    if limits.open_files is not None:
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        most = limits.open_files if hard == resource.RLIM_INFINITY else min(limits.open_files, hard)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))
