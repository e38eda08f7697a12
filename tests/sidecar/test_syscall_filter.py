"""The filter of system calls: what it says for each architecture, and that the system obeys it."""

from __future__ import annotations

import errno
import platform
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from cloister.core.errors import SandboxUnavailable
from cloister.sidecar import bpf
from cloister.sidecar.syscallfilter import NUMBERS, filter_program
from hypothesis import given
from hypothesis import strategies as st

X86, ARM = "x86_64", "aarch64"
AUDIT = {X86: 0xC000003E, ARM: 0xC00000B7}
COLUMN = {X86: 0, ARM: 1}
ALLOWED = "allowed"
MACHINES = (X86, ARM)


def decide(machine, name, *arguments, alone=False, audit=None):
    """Runs a filter as the operating system would; returns the error's name or ``allowed``."""
    number = NUMBERS[name][COLUMN[machine]] if isinstance(name, str) else name
    values = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=IIQ6Q", number, audit or AUDIT[machine], 0, *values)
    program = filter_program(machine, alone=alone)
    instructions = list(struct.iter_unpack("=HBBI", program))
    at, loaded = 0, 0
    while True:
        code, if_true, if_false, k = instructions[at]
        at += 1
        if code == 0x20:
            (loaded,) = struct.unpack_from("=I", data, k)
        elif code == 0x54:
            loaded &= k
        elif code == 0x06:
            if k == 0x7FFF0000:
                return ALLOWED
            assert k >> 16 == 0x0005
            return errno.errorcode[k & 0xFFFF] if k & 0xFFFF else "nothing done"
        else:
            is_so = {0x15: loaded == k, 0x25: loaded > k, 0x45: bool(loaded & k)}[code]
            at += if_true if is_so else if_false


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "name",
    [
        *("ptrace", "process_vm_readv", "bpf", "keyctl", "io_uring_enter", "mount", "unshare"),
        *("setns", "kexec_load", "finit_module", "open_by_handle_at", "userfaultfd"),
    ],
)
def test_a_power_is_refused(machine, name):
    assert decide(machine, name) == "EPERM"
    assert decide(machine, name, alone=True) == "EPERM"


@pytest.mark.parametrize("machine", MACHINES)
def test_what_belongs_to_another_architecture_does_not_exist(machine):
    other = ARM if machine == X86 else X86
    assert decide(machine, 0, audit=AUDIT[other]) == "ENOSYS"
    assert decide(machine, 0, audit=0x40000003) == "ENOSYS"  # i386
    assert decide(machine, 0x40000000 + 39) == "ENOSYS"  # x32
    assert decide(machine, 463) == "ENOSYS"  # newer than the table
    assert decide(machine, 462) == ALLOWED


@pytest.mark.parametrize("machine", MACHINES)
def test_a_child_has_no_namespaces_of_its_own(machine):
    assert decide(machine, "clone", 0x3D0F00) == ALLOWED  # a thread
    assert decide(machine, "clone", 17) == ALLOWED
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert decide(machine, "clone", flag | 17) == "EPERM"
    assert decide(machine, "clone3") == "ENOSYS"


@pytest.mark.parametrize("machine", MACHINES)
def test_the_high_half_of_a_request_does_not_hide_it(machine):
    for request in (0x5412, 0x5412 | 1 << 32, 0x541C | 0xFF << 40):
        assert decide(machine, "ioctl", 0, request) == "EPERM"
    assert decide(machine, "ioctl", 0, 0x5413) == ALLOWED


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("socket", "expected", "alone"),
    [
        ((1, 1, 0), ALLOWED, ALLOWED),
        ((1, 5 | 0x80800, 0), ALLOWED, ALLOWED),
        ((1, 2, 0), ALLOWED, "EPROTONOSUPPORT"),
        ((1, 3, 0), ALLOWED, "EPROTONOSUPPORT"),
        ((2, 1 | 0x80000, 6), ALLOWED, "EAFNOSUPPORT"),
        ((10, 2, 0), ALLOWED, "EAFNOSUPPORT"),
        ((2, 1, 262), "EPROTONOSUPPORT", "EAFNOSUPPORT"),
        ((2, 5, 0), "EPROTONOSUPPORT", "EAFNOSUPPORT"),
        ((2, 6, 33), "EPROTONOSUPPORT", "EAFNOSUPPORT"),
        ((16, 3, 0), ALLOWED, ALLOWED),
        ((16, 3, 12), "EPROTONOSUPPORT", "EPROTONOSUPPORT"),
        ((17, 3, 0), "EAFNOSUPPORT", "EAFNOSUPPORT"),
        ((38, 5, 0), "EAFNOSUPPORT", "EAFNOSUPPORT"),
        ((40, 1, 0), "EAFNOSUPPORT", "EAFNOSUPPORT"),
    ],
)
def test_sockets_by_family_kind_and_protocol(machine, socket, expected, alone):
    for call in ("socket", "socketpair"):
        assert decide(machine, call, *socket) == expected
        assert decide(machine, call, *socket, alone=True) == alone


@pytest.mark.parametrize("machine", MACHINES)
def test_alone_the_filter_holds_what_namespaces_would(machine):
    for name in ("connect", "shmget", "mq_open", "inotify_init1", "setxattr"):
        assert decide(machine, name) == ALLOWED
        assert decide(machine, name, alone=True) == "EPERM"
    assert decide(machine, "fchmodat", alone=True) == "nothing done"
    assert decide(machine, "prlimit64", 0, alone=True) == ALLOWED
    assert decide(machine, "prlimit64", 1, alone=True) == "EPERM"


@given(st.integers(0, 462), st.sampled_from(MACHINES))
def test_what_is_not_named_is_allowed(number, machine):
    named = {numbers[COLUMN[machine]] for numbers in NUMBERS.values()}
    if number not in named:
        assert decide(machine, number) == ALLOWED


def test_another_processor_is_refused():
    with pytest.raises(SandboxUnavailable, match="CLO-SANDBOX-007"):
        filter_program("riscv64")


@pytest.mark.parametrize(
    ("header", "machine"),
    [
        ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", X86),
        ("/usr/include/asm-generic/unistd.h", ARM),
    ],
)
def test_the_numbers_are_those_of_the_headers(header, machine):
    path = Path(header)
    if not path.exists():
        pytest.skip("the headers are not installed")
    text = path.read_text()
    known = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text))
    compared = 0
    for name, numbers in NUMBERS.items():
        if name in known and not (machine == ARM and name == "clone3"):
            assert int(known[name]) == numbers[COLUMN[machine]], name
            compared += 1
    assert compared > 60


def test_a_program_ends_in_a_decision():
    with pytest.raises(ValueError, match="decision"):
        bpf.assemble([bpf.load(0)])
    with pytest.raises(ValueError, match="decision"):
        bpf.assemble([])
    with pytest.raises(ValueError, match="jump"):
        bpf.when_any([1], bpf.load(0) * 300)


_TRY = """
import ctypes, errno, sys
from cloister.sidecar import enter
from cloister.sidecar.syscallfilter import filter_program
enter._drop_rights()
enter._filter(filter_program(alone=sys.argv[1] == "alone"))
libc = ctypes.CDLL(None, use_errno=True)
ctypes.set_errno(0)
libc.syscall(int(sys.argv[2]), *map(int, sys.argv[3:]))
print(errno.errorcode.get(ctypes.get_errno()))
"""


@pytest.mark.parametrize(
    ("name", "arguments", "beside", "alone"),
    [
        ("unshare", [0x10000000], "EPERM", "EPERM"),
        ("io_uring_setup", [0, 0], "EPERM", "EPERM"),
        ("socket", [40, 1, 0], "EAFNOSUPPORT", "EAFNOSUPPORT"),
        ("socket", [2, 1, 0], "None", "EAFNOSUPPORT"),
        ("connect", [-1, 0, 0], "EBADF", "EPERM"),
    ],
)
def test_this_operating_system_obeys(name, arguments, beside, alone):
    number = NUMBERS[name][COLUMN[platform.machine()]]
    for how, expected in (("beside", beside), ("alone", alone)):
        done = subprocess.run(
            [sys.executable, "-c", _TRY, how, str(number), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.strip() == expected, done.stderr
