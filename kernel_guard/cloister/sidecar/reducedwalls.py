"""The walls where there are no namespaces: Landlock for files, a filter for everything else.

Less than bubblewrap gives, and said so: see ``docs/explanation/boundary.md``. There is no network
at all, not even the proxy, because neither can judge an address; no connection to any unix socket,
so the broker's come through a door (:mod:`.door`); no private ``/tmp``, ``/dev/shm`` or ``/proc``.
A program of its own (:mod:`.enter`) puts them around itself and then becomes the kernel.

Landlock adds up what it allows and cannot take a directory out of an allowed one. So what must be
hidden or unchanged may not lie in the workspace, and is left out of what can be read by allowing
what lies around it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cloister.core.errors import SandboxUnavailable
from cloister.sidecar import landlock
from cloister.sidecar.landlock import Access
from cloister.sidecar.sandbox import (
    SYSTEM_DIRS,
    SYSTEM_FILES,
    SandboxPlan,
    SandboxReport,
    gpu_devices,
)
from cloister.sidecar.syscallfilter import filter_program

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
# What libraries read to know the machine. A process's own entry is the only one of them.
_ABOUT_THE_MACHINE: Final = (
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/loadavg",
    "/proc/uptime",
    "/proc/version",
    "/proc/filesystems",
    "/proc/driver/nvidia",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/kernel/pid_max",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
)
_ENTER: Final = "cloister.sidecar.enter"
_PROBE_LIMIT_S: Final = 20


@dataclass(frozen=True, slots=True)
class ReducedPlan:
    """What a kernel may reach without namespaces.

    Attributes:
        rules: Paths and what may be done there.
        filter_file: The filter of system calls.
        cwd: Where the kernel starts.
    """

    rules: tuple[tuple[str, Access], ...]
    filter_file: str
    cwd: str

    def write(self, path: Path) -> None:
        """Writes the plan for :mod:`.enter`."""
        rules = [[place, access.value] for place, access in self.rules]
        document = {"rules": rules, "filter_file": self.filter_file, "cwd": self.cwd}
        path.write_text(json.dumps(document), "utf-8")

    @classmethod
    def read(cls, path: Path) -> ReducedPlan:
        """Reads what :meth:`write` wrote."""
        document = json.loads(path.read_text("utf-8"))
        rules = tuple((place, Access(access)) for place, access in document["rules"])
        return cls(rules, document["filter_file"], document["cwd"])


def reduced_plan(plan: SandboxPlan, private: Sequence[Path], filter_file: Path) -> ReducedPlan:
    """Returns what Landlock can give of a plan.

    Args:
        plan: What the kernel would see behind bubblewrap.
        private: Directories of this launch that stand for ``/tmp`` and the home directory.
        filter_file: Where the filter of system calls is.

    Raises:
        SandboxUnavailable: What must be hidden or unchanged lies in the workspace.
    """
    for path in (*plan.hidden, *plan.read_only):
        if path.is_relative_to(plan.workspace) and path.exists():
            raise SandboxUnavailable(
                "Without namespaces a part of the workspace can be neither hidden nor protected, "
                "and this one holds credentials, settings or the Python that guards it.",
                code="CLO-SANDBOX-006",
                rule="sandbox",
                remedy="Start JupyterLab in a directory that holds the project only; keep the "
                "virtual environment beside it.",
            )
    readable = [Path(name) for name in (*SYSTEM_DIRS, *SYSTEM_FILES, *_ABOUT_THE_MACHINE)]
    readable += [*plan.data, *plan.read_only, plan.guard_dir]
    rules = [(str(path), Access.READ) for root in readable for path in _around(root, plan.hidden)]
    writable = (plan.workspace, plan.kernel_dir, *private)
    rules += [(str(path), Access.WRITE) for path in writable]
    rules += [(name, Access.DEVICE) for name in (*DEVICES, *gpu_devices())]
    return ReducedPlan(tuple(rules), str(filter_file), str(plan.cwd))


def _around(root: Path, hidden: tuple[Path, ...]) -> Iterator[Path]:
    """Yields a path, or what lies in it beside what is hidden."""
    if root in hidden:
        return
    inside = [path for path in hidden if path.is_relative_to(root)]
    if not inside or not root.is_dir():
        yield root
        return
    for entry in root.iterdir():
        yield from _around(entry, tuple(inside))


def enter_command(plan_file: Path, argv: Sequence[str]) -> list[str]:
    """Returns the command line that runs ``argv`` behind the walls of a plan's file."""
    return [sys.executable, "-P", "-m", _ENTER, str(plan_file), "--", *argv]


def probe() -> SandboxReport:
    """Puts the walls around a process that does nothing, and reports whether they stand."""
    here = landlock.version()
    if here < landlock.OLDEST_VERSION:
        reason = (
            "Landlock is not there"
            if not here
            else f"Landlock is there, but too old (version {here})"
        )
        return _absent(reason)
    if os.geteuid() == 0 and here < landlock.SIGNALS_VERSION:
        return _absent("root's kernels could end any process with this version of Landlock")
    try:
        filter_program(alone=True)
        done = subprocess.run(
            [sys.executable, "-P", "-m", _ENTER, "--try"],
            capture_output=True,
            timeout=_PROBE_LIMIT_S,
            check=False,
        )
    except SandboxUnavailable as error:
        return SandboxReport("none", holds=False, reason=error.message, fix=error.remedy)
    except (OSError, subprocess.TimeoutExpired):
        return _absent("Landlock and seccomp could not be tried out")
    if done.returncode != 0:
        return _absent("Landlock and seccomp cannot be put around a process here")
    return SandboxReport(
        "landlock",
        holds=True,
        reason="kernels run behind Landlock and a filter of system calls, without namespaces",
        fix="",
    )


def _absent(reason: str) -> SandboxReport:
    fix = "Use Linux 6.2 or newer with Landlock in its list of security modules (lsm=landlock,...)."
    return SandboxReport("none", holds=False, reason=reason, fix=fix)
