"""Which system calls a kernel may make: a seccomp filter, beside the namespaces or without them.

A kernel runs any program, so what is named here is what it may *not* call: what reaches into other
processes or the operating system's kernel, what makes or enters namespaces, and what an account
without rights needs seldom and attackers often. A number that is newer than this list, and every
call in the manner of another architecture, does not exist (``ENOSYS``): programs then do what they
do on an older system.

Only numbers and words in registers can be judged. What lies behind a pointer (a path, an address)
cannot, and another thread could change it after it was looked at.

Source: seccomp(2), syscalls(2), ``<asm/unistd_64.h>``, ``<asm-generic/unistd.h>``; compared with
the default profiles of Docker and Flatpak.
"""

from __future__ import annotations

import errno
import platform
from typing import TYPE_CHECKING, Final, NamedTuple

from cloister.core.errors import SandboxUnavailable
from cloister.sidecar import bpf

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloister.sidecar.bpf import Block


class _Architecture(NamedTuple):
    """How one processor calls the operating system."""

    audit: int  # AUDIT_ARCH_*, <linux/audit.h>
    column: int  # of the table below


_ARCHITECTURES: Final = {
    "x86_64": _Architecture(0xC000003E, 0),
    "aarch64": _Architecture(0xC00000B7, 1),
}

#: The numbers of what the filter names: on x86-64 and on 64-bit ARM; ``None`` where there is none.
NUMBERS: Final[dict[str, tuple[int | None, int | None]]] = {
    "_sysctl": (156, None),
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chmod": (90, None),
    "chown": (92, None),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "clone": (56, 220),
    "clone3": (435, 435),
    "connect": (42, 203),
    "create_module": (174, None),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "fchownat": (260, 54),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "get_kernel_syms": (177, None),
    "init_module": (175, 105),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioctl": (16, 29),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lchown": (94, None),
    "listmount": (458, 458),
    "lookup_dcookie": (212, 18),
    "lremovexattr": (198, 15),
    "lsetxattr": (189, 6),
    "migrate_pages": (256, 238),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "msgget": (68, 186),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pivot_root": (155, 41),
    "prlimit64": (302, 261),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "query_module": (178, None),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "removexattr": (197, 14),
    "request_key": (249, 218),
    "semget": (64, 190),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "setxattr": (188, 5),
    "shmat": (30, 196),
    "shmget": (29, 194),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "statmount": (457, 457),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "sysfs": (139, None),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "uselib": (134, None),
    "userfaultfd": (323, 282),
    "ustat": (136, None),
    "vhangup": (153, 58),
}
_NEWEST: Final = 462  # mseal, Linux 6.10

_NEVER: Final = (
    # Other processes: their memory, descriptors and registers.
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease"),
    *("pidfd_getfd", "kcmp"),
    # What runs in the operating system's kernel, or reads it out.
    *("bpf", "perf_event_open", "userfaultfd", "lookup_dcookie", "syslog"),
    # A ring of calls that no filter sees.
    *("io_uring_setup", "io_uring_enter", "io_uring_register"),
    # Key rings belong to the session, not to the sandbox.
    *("add_key", "request_key", "keyctl"),
    # File systems and namespaces.
    *("mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "mount_setattr"),
    *("fsopen", "fsconfig", "fsmount", "fspick", "statmount", "listmount"),
    *("unshare", "setns", "open_by_handle_at", "fanotify_init", "quotactl", "quotactl_fd"),
    # The machine.
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module"),
    *("create_module", "get_kernel_syms", "query_module", "nfsservctl", "_sysctl", "sysfs"),
    *("reboot", "swapon", "swapoff", "acct", "iopl", "ioperm", "modify_ldt", "uselib", "ustat"),
    *("vhangup", "sethostname", "setdomainname"),
    *("settimeofday", "clock_settime", "clock_adjtime", "adjtimex"),
)

# Where nothing but the filter and Landlock stands. Landlock judges neither of these.
_NEVER_ALONE: Final = (
    "connect",  # to the sockets of other programs: connections come by descriptor instead
    *("setxattr", "lsetxattr", "removexattr", "lremovexattr"),
    *("inotify_init", "inotify_init1", "pidfd_open"),
    # What the account's processes share by name or number.
    *("shmget", "shmat", "semget", "msgget", "mq_open", "mq_unlink"),
    *("migrate_pages", "move_pages"),
)

# Rights and owners of files by name, also of files that cannot be opened. Whatever copies a file
# calls these, so they seem to succeed; of an open file rights can be changed.
_WITHOUT_EFFECT_ALONE: Final = ("chmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchownat")

_NEW_NAMESPACES: Final = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}, <linux/sched.h>
# <asm-generic/ioctls.h>: TIOCSTI types into a terminal, TIOCLINUX pastes, TIOCSETD loads a driver.
_TERMINAL_REQUESTS: Final = (0x5412, 0x541C, 0x5423)
_PLAIN_LINUX: Final = (0, 0xFFFFFFFF)  # PER_LINUX, and the question which one it is

# <linux/socket.h>, <linux/net.h>, <linux/in.h>, <linux/netlink.h>
_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16
_STREAM, _DGRAM, _RAW, _SEQPACKET = 1, 2, 3, 5
_TYPE_BITS: Final = 0xF
_TCP, _UDP, _ICMP, _ICMP6 = 6, 17, 1, 58
_NETLINK_ROUTE: Final = 0


def filter_program(machine: str | None = None, *, alone: bool = False) -> bytes:
    """Returns the filter for a processor, ready for ``seccomp(2)`` or bubblewrap.

    Args:
        machine: As ``uname`` names it; this one when left out.
        alone: Whether no namespaces stand beside it. Then there are no internet sockets at all.

    Raises:
        SandboxUnavailable: The filter is not written for this processor.
    """
    name = machine or platform.machine()
    architecture = _ARCHITECTURES.get(name)
    if architecture is None:
        raise SandboxUnavailable(
            f"The system call filter is not written for this processor ({name}).",
            code="CLO-SANDBOX-007",
            rule="sandbox",
            remedy="Run guarded kernels on x86-64 or 64-bit ARM.",
        )
    return bpf.assemble(_blocks(architecture, alone=alone))


def _blocks(architecture: _Architecture, *, alone: bool) -> Iterable[Block]:
    """Yields the filter: what a call is, then rules by number, then everything else."""

    def numbers(*names: str) -> list[int]:
        found = (NUMBERS[name][architecture.column] for name in names)
        return [number for number in found if number is not None]

    absent, denied = bpf.refuse(errno.ENOSYS), bpf.refuse(errno.EPERM)
    yield bpf.load(bpf.ARCHITECTURE)
    yield bpf.unless_any([architecture.audit], absent)
    yield bpf.load(bpf.NUMBER)
    yield bpf.when_above(_NEWEST, absent)  # x32 sets bit 30, so it is above as well
    # Where its flags lie cannot be looked at; the C library then uses clone.
    yield bpf.when_any(numbers("clone3"), absent)
    yield bpf.when_any(numbers(*_NEVER, *(_NEVER_ALONE if alone else ())), denied)
    yield bpf.when_any(numbers("clone"), _clone(denied))
    yield bpf.when_any(numbers("ioctl"), _ioctl(denied))
    yield bpf.when_any(numbers("personality"), _personality(denied))
    yield bpf.when_any(numbers("socket", "socketpair"), _socket(alone=alone))
    if alone:
        yield bpf.when_any(numbers(*_WITHOUT_EFFECT_ALONE), bpf.pretend())
        yield bpf.when_any(numbers("prlimit64"), _own_limits(denied))
    yield bpf.allow()


def _clone(denied: Block) -> Block:
    """Children, but not in namespaces of their own."""
    return (*bpf.load_argument(0), *bpf.when_any_bit(_NEW_NAMESPACES, denied), *bpf.allow())


def _ioctl(denied: Block) -> Block:
    """Requests but those to a terminal; of the number the system reads 32 bits, as this does."""
    return (*bpf.load_argument(1), *bpf.when_any(_TERMINAL_REQUESTS, denied), *bpf.allow())


def _personality(denied: Block) -> Block:
    return (*bpf.load_argument(0), *bpf.unless_any(_PLAIN_LINUX, denied), *bpf.allow())


def _own_limits(denied: Block) -> Block:
    """Limits of the calling process, not of another one."""
    return (*bpf.load_argument(0), *bpf.unless_any([0], denied), *bpf.allow())


def _socket(*, alone: bool) -> Block:
    """Sockets by family, kind and protocol.

    The errors are those of a system without that family. For netlink, libzmq and the C library ask
    for interfaces by it and end the process on others; so routes may be asked for.
    """
    no_family, no_kind = bpf.refuse(errno.EAFNOSUPPORT), bpf.refuse(errno.EPROTONOSUPPORT)
    netlink = (
        *bpf.load_argument(2),
        *bpf.unless_any([_NETLINK_ROUTE], no_kind),
        *bpf.allow(),
    )
    kind = (*bpf.load_argument(1), *bpf.keep_bits(_TYPE_BITS))
    # A datagram carries its address with it, behind a pointer: alone, there must be none.
    unix_kinds = (_STREAM, _SEQPACKET) if alone else (_STREAM, _SEQPACKET, _DGRAM, _RAW)
    unix = (*kind, *bpf.unless_any(unix_kinds, no_kind), *bpf.allow())
    internet = (
        *kind,
        *bpf.unless_any([_STREAM, _DGRAM, _RAW], no_kind),
        *bpf.load_argument(2),
        *bpf.unless_any([0, _ICMP, _TCP, _UDP, _ICMP6], no_kind),
        *bpf.allow(),
    )
    return (
        *bpf.load_argument(0),
        *bpf.when_any([_UNIX], unix),
        *bpf.when_any([_NETLINK], netlink),
        *(() if alone else bpf.when_any([_INET, _INET6], internet)),
        *no_family,
    )
