"""``python -m cloister.sidecar.enter PLAN -- COMMAND``: puts reduced walls around itself.

Then it becomes the kernel. The order matters: rights go first, then the promise that none come
back, then the files, then the system calls. Whatever fails, the kernel does not start.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Final

from cloister.sidecar import landlock
from cloister.sidecar.landlock import Access
from cloister.sidecar.reducedwalls import ReducedPlan
from cloister.sidecar.syscallfilter import filter_program

# <linux/prctl.h>, <linux/securebits.h>, <linux/seccomp.h>, <linux/capability.h>
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_SECCOMP: Final = 22
_PR_CAPBSET_DROP: Final = 24
_PR_SET_SECUREBITS: Final = 28
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_CLEAR_ALL: Final = 4
_SECCOMP_MODE_FILTER: Final = 2
_NO_RIGHTS_OF_ROOT: Final = 0b1111_1111  # NOROOT, NO_SETUID_FIXUP, KEEP_CAPS, NO_CAP_AMBIENT_RAISE
_KEEP_CAPS: Final = 1 << 4  # the one bit of these that would keep rights
_CAPABILITY_VERSION: Final = 0x20080522
_MOST_CAPABILITIES: Final = 64

_libc: Final = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def main(arguments: list[str]) -> None:
    """Becomes the command, or tries out whether it could."""
    if arguments == ["--try"]:
        _drop_rights()
        landlock.restrict([("/usr", Access.READ)])
        _filter(filter_program(alone=True))
        return
    plan_file, _, *command = arguments
    plan = ReducedPlan.read(Path(plan_file))
    program = Path(plan.filter_file).read_bytes()
    _die_with_parent()
    _drop_rights()
    os.chdir(plan.cwd)
    landlock.restrict(plan.rules)
    _filter(program)
    os.execvp(command[0], command)  # noqa: S606 - the kernel spec's own command line


def _die_with_parent() -> None:
    """Ends with the sidecar, also where that has ended meanwhile."""
    parent = os.getppid()
    _must(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(1)


def _drop_rights() -> None:
    """Gives up all capabilities, for this process and whatever it becomes; capabilities(7)."""
    if os.geteuid() == 0:
        _must(_libc.prctl(_PR_SET_SECUREBITS, _NO_RIGHTS_OF_ROOT & ~_KEEP_CAPS))
        for capability in range(_MOST_CAPABILITIES):
            # Numbers that this system does not know are refused, and need not be given up.
            _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
        _must(_libc.prctl(_PR_CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0))
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
        _must(_libc.capset(header, (ctypes.c_uint32 * 6)()))
    _must(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def _filter(program: bytes) -> None:
    given = _Program(len(program) // 8, program)
    _must(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(given)))


def _must(result: int) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


if __name__ == "__main__":
    main(sys.argv[1:])
