"""Landlock: the operating system lets a process see fewer files, for good.

Called in a process that is about to become a kernel. What is not allowed here is refused to it and
to everything that it starts; nothing can be given back. Landlock is no namespace: names, sizes and
times of other files stay visible, and rights of files are not its business.

Source: landlock(7), ``<linux/landlock.h>``, Documentation/userspace-api/landlock.rst.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

# The same on every architecture.
_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_ASK_VERSION: Final = 1
_PATH_BENEATH: Final = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_ALL_OF_VERSION: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_FOR_FILES: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_ALL_TCP: Final = 0b11  # bind and connect: version 4
_ALL_SCOPES: Final = 0b11  # abstract unix sockets and signals: version 6

#: Without it a file that may not be written can be cut to nothing (Linux 6.2).
OLDEST_VERSION: Final = 3
#: From this one on, signals stay among what the kernel has started (Linux 6.12).
SIGNALS_VERSION: Final = 6


class Access(Enum):
    """What may be done with a file, or with all below a directory."""

    READ = "read"
    WRITE = "write"
    DEVICE = "device"


class LandlockError(OSError):
    """The operating system refused."""


def version() -> int:
    """Returns the version of Landlock here; 0 when there is none."""
    answer: int = _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_VERSION))
    return max(answer, 0)


def restrict(rules: Iterable[tuple[str, Access]]) -> None:
    """Restricts the calling thread to these files, without TCP and without signals to others.

    ``no_new_privs`` must have been set before. Paths that are not there are left out.

    Args:
        rules: Paths, links followed, and what may be done there.

    Raises:
        LandlockError: Nothing is restricted.
    """
    here = version()
    handled = max(bits for least, bits in _ALL_OF_VERSION.items() if least <= max(here, 1))
    attributes = struct.pack(
        "=QQQ", handled, _ALL_TCP if here >= 4 else 0, _ALL_SCOPES if here >= SIGNALS_VERSION else 0
    )
    # A shorter structure is what older versions know; longer ones must end in zeros.
    size = 24 if here >= SIGNALS_VERSION else 16 if here >= 4 else 8
    ruleset = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(size), ctypes.c_uint32(0))
    if ruleset < 0:
        raise _error()
    try:
        for path, access in rules:
            _add(ruleset, path, _bits(access) & handled)
        if _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)) < 0:
            raise _error()
    finally:
        os.close(ruleset)


def _bits(access: Access) -> int:
    match access:
        case Access.READ:
            return _EXECUTE | _READ_FILE | _READ_DIR
        case Access.WRITE:
            return ~_IOCTL_DEV
        case Access.DEVICE:
            return _READ_FILE | _WRITE_FILE | _READ_DIR | _IOCTL_DEV


def _add(ruleset: int, path: str, bits: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            bits &= _FOR_FILES
        rule = struct.pack("=Qi", bits, fd)
        failed = _call(
            _ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0)
        )
    finally:
        os.close(fd)
    if failed:
        raise _error()


def _call(number: int, *arguments: object) -> int:
    answer: int = _libc.syscall(ctypes.c_long(number), *arguments)
    return answer


def _error() -> LandlockError:
    code = ctypes.get_errno()
    return LandlockError(code, os.strerror(code))


_libc: Final = ctypes.CDLL(None, use_errno=True)
