"""A kernel's command line with walls around it, and what it needs to find its way inside them."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, assert_never

from cloister.sidecar import reducedwalls, sandbox
from cloister.sidecar.kernelprocess import DOOR_FD
from cloister.sidecar.syscallfilter import filter_program
from cloister.sidecar.walls import Walls

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cloister.sidecar.sandbox import SandboxPlan

# Where no sandbox ends a kernel with its sidecar, the operating system does: prctl(2),
# PR_SET_PDEATHSIG. Asked once more who the parent is, since it may have died in between.
_DIE_WITH_PARENT: Final = (
    "import ctypes, os, signal, sys; parent = os.getppid(); "
    "ctypes.CDLL(None).prctl(1, signal.SIGKILL); "
    "os.getppid() == parent and os.execvp(sys.argv[1], sys.argv[1:])"
)
_NO_PROXY: Final = dict.fromkeys(
    ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"), ""
)


@dataclass(frozen=True, slots=True)
class Enclosed:
    """What to start.

    Attributes:
        command: The command line.
        filter_file: The filter of system calls; empty where there are no walls.
        variables: Of the environment, beside the guard's own.
    """

    command: tuple[str, ...]
    filter_file: str = ""
    variables: dict[str, str] = field(default_factory=dict)


def enclose(walls: Walls, plan: SandboxPlan, command: Sequence[str], launch_dir: Path) -> Enclosed:
    """Puts walls around a command line.

    Args:
        walls: Which.
        plan: What the kernel may see.
        command: The kernel's own.
        launch_dir: Private directory of this launch; takes the files that this needs.

    Raises:
        SandboxUnavailable: These walls cannot be had for this plan.
    """
    filter_file = launch_dir / "filter"
    match walls:
        case Walls.BUBBLEWRAP:
            sandbox.write_etc(plan.etc_dir)
            filter_file.write_bytes(filter_program())
            return Enclosed(tuple(sandbox.bwrap_command(plan, command)), str(filter_file))
        case Walls.LANDLOCK:
            filter_file.write_bytes(filter_program(alone=True))
            home, temporary = launch_dir / "h", launch_dir / "t"
            for directory in (home, temporary):
                directory.mkdir(mode=0o700)
            plan_file = launch_dir / "walls.json"
            reducedwalls.reduced_plan(plan, (home, temporary), filter_file).write(plan_file)
            variables = {
                "HOME": str(home),
                "TMPDIR": str(temporary),
                "CLOISTER_DOOR": str(DOOR_FD),
                "CLOISTER_EGRESS": "",  # nothing inside could reach the proxy
                **_NO_PROXY,
            }
            entering = tuple(reducedwalls.enter_command(plan_file, command))
            return Enclosed(entering, str(filter_file), variables)
        case Walls.NONE:
            return Enclosed((sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, *command))
        case _:
            assert_never(walls)
