"""What holds for one running kernel, read off its process from outside.

What a sandbox was asked for is not what it gave. So namespaces, capabilities, filters and the root
directory are looked up in ``/proc`` once the kernel is there (proc(5), namespaces(7)); what cannot
be looked up does not hold. ``cloister doctor`` tries the same from inside, in a sandbox of its own.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cloister.core.guarantees import Guarantee
from cloister.sidecar import landlock
from cloister.sidecar.walls import Walls

if TYPE_CHECKING:
    from collections.abc import Collection

_NAMESPACES: Final = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
_NEEDED: Final = frozenset({"ipc", "mnt", "net", "pid", "user", "uts"})
_FILTERED: Final = "2"
_FIX: Final = "Run: cloister doctor"


def walls_of(
    pid: int | None, walls: Walls, *, home: Path, variables: Collection[str]
) -> list[Guarantee]:
    """Returns what the walls of a kernel are worth.

    Args:
        pid: The kernel by its number out here; ``None`` when it is not known.
        walls: What was put around it.
        home: ``CLOISTER_HOME``, which must not be there inside.
        variables: The names that its environment may have.
    """
    if pid is None:
        return [_lacks(name, "the kernel's process could not be looked at") for name in _NAMES]
    match walls:
        case Walls.BUBBLEWRAP:
            rows = _by_namespaces(pid, home)
        case Walls.LANDLOCK:
            rows = _by_landlock(pid)
        case Walls.NONE:
            why = "the policy lets kernels start without walls, and there are none here"
            return [_lacks(name, why, _BETTER) for name in _NAMES]
    rights = _rights(pid, is_root=walls is Walls.LANDLOCK and os.geteuid() == 0)
    return [*rows, _system_calls(pid), rights, _environment(pid, variables)]


_NAMES: Final = (
    *("sandbox", "network", "files", "processes", "names"),
    *("system-calls", "rights", "environment"),
)
_BETTER: Final = "Install bubblewrap and set 'sandbox: required' in the policy."


def _by_namespaces(pid: int, home: Path) -> list[Guarantee]:
    own = {name for name in _NAMESPACES if _is_own(pid, name)}
    root = Path(f"/proc/{pid}/root")
    sees_home = _is_there(root / home.relative_to("/"))
    return [
        _row("sandbox", own >= _NEEDED, f"namespaces of its own: {', '.join(sorted(own))}"),
        _row("network", "net" in own, "the egress proxy is the only way out"),
        _row(
            "files", "mnt" in own and not sees_home, "files by an allow-list, none of the guard's"
        ),
        _row("processes", "pid" in own, "sees and signals its own processes only"),
        _row("names", "mnt" in own and "net" in own, "what is not mounted cannot be named"),
    ]


def _by_landlock(pid: int) -> list[Guarantee]:
    # Landlock shows nowhere in /proc. It was put up before the filter, by a program that ends when
    # either fails, so where the filter is, Landlock is.
    stands = _status(pid).get("Seccomp") == _FILTERED
    keeps_signals = landlock.version() >= landlock.SIGNALS_VERSION
    why = "no namespaces here: Landlock and a filter of system calls in their place"
    return [
        _lacks("sandbox", why, "Allow user namespaces for bubblewrap."),
        _row("network", stands, "no connections at all, the proxy's included"),
        _row("files", stands, "Landlock opens files by an allow-list"),
        _row("processes", stands and keeps_signals, "signals only what it has started"),
        _lacks("names", "names, sizes and times of files outside can be seen, and sockets"),
    ]


def _system_calls(pid: int) -> Guarantee:
    is_filtered = _status(pid).get("Seccomp") == _FILTERED
    return _row("system-calls", is_filtered, "a filter stands before the operating system")


def _rights(pid: int, *, is_root: bool) -> Guarantee:
    if is_root:
        return _lacks("rights", "it has no capabilities, but keeps root's number")
    status = _status(pid)
    has_none = status.get("NoNewPrivs") == "1" and not any(
        int(status.get(name, "1"), 16) for name in ("CapEff", "CapPrm")
    )
    return _row("rights", has_none, "no capabilities, and no program can give it any")


def _environment(pid: int, variables: Collection[str]) -> Guarantee:
    names: set[str] | None = None
    with suppress(OSError):
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        names = {os.fsdecode(entry.split(b"=")[0]) for entry in entries if entry}
    is_known = names is not None and names <= set(variables)
    return _row("environment", is_known, "variables by an allow-list")


def _row(name: str, holds: bool, why: str) -> Guarantee:  # noqa: FBT001 - what was found
    return Guarantee(name, holds=True, why=why) if holds else _lacks(name, "this was not so here")


def _lacks(name: str, why: str, fix: str = _FIX) -> Guarantee:
    return Guarantee(name, holds=False, why=why, fix=fix)


def _is_own(pid: int, namespace: str) -> bool:
    try:
        theirs = Path(f"/proc/{pid}/ns/{namespace}").readlink()
        return theirs != Path(f"/proc/self/ns/{namespace}").readlink()
    except OSError:
        return False


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return True  # not known to be absent


def _status(pid: int) -> dict[str, str]:
    found: dict[str, str] = {}
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines():
            key, _, value = line.partition(":")
            found[key] = value.strip()
    return found
