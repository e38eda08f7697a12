"""What the walls forbid, tried from inside: a program for a sandbox, alone in its process.

It runs as ``python -c`` of this file's text with one argument, a file of places to try (JSON), and
prints which attempts succeeded (JSON). Only the standard library: inside there may be no Cloister.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

_X86 = platform.machine() == "x86_64"
_PTRACE, _UNSHARE, _ADD_KEY, _BPF = (101, 272, 248, 321) if _X86 else (117, 97, 217, 280)
_IO_URING_SETUP = 425
_libc = ctypes.CDLL(None, use_errno=True)


def read_a_file_outside(places: dict[str, Any]) -> bool:
    """Reads what lies beside the workspace."""
    return bool(Path(places["secret"]).read_bytes())


def see_the_guards_home(places: dict[str, Any]) -> bool:
    """Lists the directory of policy, keys and record."""
    return bool(list(Path(places["home"]).iterdir()))


def write_a_file_outside(places: dict[str, Any]) -> bool:
    """Makes a file beside the workspace."""
    path = Path(places["secret"]).with_name("made")
    path.write_text("x")
    path.unlink()
    return True


def change_settings_of_the_system(_places: dict[str, Any]) -> bool:
    """Opens a setting of the operating system for writing."""
    os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))
    return True


def connect_by_tcp(places: dict[str, Any]) -> bool:
    """Reaches a listener on this machine."""
    with socket.create_connection(("127.0.0.1", places["tcp"]), timeout=2):
        return True


def send_by_udp(places: dict[str, Any]) -> bool:
    """Sends to this machine's listener; what happens to it is not known in here."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", places["udp"]))
        sender.send(b"tried")
        time.sleep(0.05)
        sender.send(b"tried")  # raises where nobody listened to the first
        return True


def connect_to_another_programs_socket(places: dict[str, Any]) -> bool:
    """Connects to a unix socket that has a path."""
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(places["unix"])
        return True


def connect_to_a_socket_without_a_path(places: dict[str, Any]) -> bool:
    """Connects to an abstract unix socket."""
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect("\0" + places["abstract"])
        return True


def see_other_processes(places: dict[str, Any]) -> bool:
    """Finds the arguments of a process outside."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if places["mark"].encode() in path.read_bytes():
                return True
        except OSError:
            continue
    return False


def signal_another_process(places: dict[str, Any]) -> bool:
    """Sends nothing to a process outside."""
    os.kill(places["pid"], 0)
    return True


def trace_a_process(_places: dict[str, Any]) -> bool:
    """Attaches to a child, as a debugger would."""
    child = os.fork()
    if not child:
        time.sleep(5)
        os._exit(0)
    is_traced = bool(_libc.syscall(_PTRACE, 16, child, 0, 0) == 0)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return is_traced


def make_a_namespace(_places: dict[str, Any]) -> bool:
    """Makes a user namespace, in a child."""
    child = os.fork()
    if not child:
        os._exit(_libc.syscall(_UNSHARE, 0x10000000) & 1)
    return os.waitpid(child, 0)[1] == 0


def use_the_key_ring(_places: dict[str, Any]) -> bool:
    """Puts a key into the process's own ring."""
    return bool(_libc.syscall(_ADD_KEY, b"user", b"tried", b"x", 1, -2) >= 0)


def make_a_ring_of_calls(_places: dict[str, Any]) -> bool:
    """Makes a ring that no filter would see."""
    return bool(_libc.syscall(_IO_URING_SETUP, 4, ctypes.create_string_buffer(120)) >= 0)


def load_a_program_into_the_system(_places: dict[str, Any]) -> bool:
    """Makes a map for one."""
    attributes = (ctypes.c_uint32 * 30)(2, 4, 4, 1)
    return bool(_libc.syscall(_BPF, 0, attributes, 120) >= 0)


def open_a_socket_to_the_host(_places: dict[str, Any]) -> bool:
    """Opens a socket of a virtual machine's family."""
    socket.socket(40, socket.SOCK_STREAM).close()
    return True


def have_rights_of_root(_places: dict[str, Any]) -> bool:
    """Has root's number, a capability, or could get one by a program that grants it."""
    status = dict(
        line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if line
    )
    has_any = int(status["CapEff"], 16) or int(status["CapPrm"], 16)
    return os.getuid() == 0 or bool(has_any) or status["NoNewPrivs"].strip() != "1"


def see_the_environment_outside(places: dict[str, Any]) -> bool:
    """Finds a variable of whoever started this."""
    return any(places["mark"] in value for value in os.environ.values())


def see_that_a_file_is_there(places: dict[str, Any]) -> bool:
    """Learns name, size and time of what lies beside the workspace."""
    return bool(Path(places["secret"]).stat().st_size)


def see_sockets_of_the_machine(places: dict[str, Any]) -> bool:
    """Reads the table of unix sockets, with their paths."""
    return str(places["unix"]) in Path("/proc/self/net/unix").read_text()


ATTEMPTS = {
    "files": (
        read_a_file_outside,
        see_the_guards_home,
        write_a_file_outside,
        change_settings_of_the_system,
    ),
    "network": (
        connect_by_tcp,
        send_by_udp,
        connect_to_another_programs_socket,
        connect_to_a_socket_without_a_path,
    ),
    "processes": (see_other_processes, signal_another_process, trace_a_process),
    "system-calls": (
        make_a_namespace,
        use_the_key_ring,
        make_a_ring_of_calls,
        load_a_program_into_the_system,
        open_a_socket_to_the_host,
    ),
    "rights": (have_rights_of_root,),
    "names": (see_that_a_file_is_there, see_sockets_of_the_machine),
    "environment": (see_the_environment_outside,),
}
"""By guarantee; the names say in words what was tried."""


def main() -> None:
    """Tries everything."""
    places = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    succeeded: dict[str, list[str]] = {}
    for guarantee, attempts in ATTEMPTS.items():
        succeeded[guarantee] = []
        for attempt in attempts:
            try:
                is_done = attempt(places)
            except (OSError, KeyError):
                is_done = False
            if is_done:
                succeeded[guarantee].append(attempt.__name__)
    # What kernels are to have, and not what they must not.
    succeeded["gpu"] = [path for path in places["gpu"] if os.access(path, os.R_OK | os.W_OK)]
    sys.stdout.write(json.dumps(succeeded))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
