"""A control group around a kernel's processes, where this account may make one.

The operating system then holds the limits of memory and processes itself, also against what grows
faster than anybody looks. With version 2 a group that holds processes cannot have groups below it,
so the new one may stand beside the sidecar's own; never beside a group that has limits, which
somebody meant.

Source: Documentation/admin-guide/cgroup-v2.rst, Documentation/admin-guide/cgroup-v1/.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cloister.core.resources import ResourceLimits

_CONTROLLERS: Final = ("memory", "pids")
_PATIENCE: Final = 20
_PATIENCE_S: Final = 0.01
_LIMIT_FILES: Final = ("memory.max", "memory.high", "pids.max")


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """One group: a directory of version 2, or one for each controller of version 1."""

    directories: tuple[Path, ...]

    def kills(self) -> int:
        """Returns how many processes were ended because there was no memory left."""
        for directory in self.directories:
            for name in ("memory.events", "memory.oom_control"):
                with contextlib.suppress(OSError, ValueError):
                    for line in (directory / name).read_text("ascii").splitlines():
                        key, _, value = line.partition(" ")
                        if key == "oom_kill":
                            return int(value)
        return 0

    def remove(self) -> None:
        """Removes the group once its processes are gone."""
        for directory in self.directories:
            for _ in range(_PATIENCE):
                try:
                    directory.rmdir()
                except FileNotFoundError:
                    break
                except OSError:  # the last of them is still ending
                    time.sleep(_PATIENCE_S)
                else:
                    break


def enclose_processes(
    name: str, limits: ResourceLimits, pids: Iterable[int]
) -> ControlGroup | None:
    """Puts processes into a group with limits.

    Args:
        name: Of the group.
        limits: Memory and processes; others are not a group's business.
        pids: All processes of the kernel.

    Returns:
        The group, or ``None`` where this account may make none.
    """
    moved = list(pids)
    for places in _places():
        group = ControlGroup(tuple(place / name for place in places))
        try:
            for directory in group.directories:
                directory.mkdir()
                _limit(directory, limits)
            for directory in group.directories:
                for pid in moved:
                    (directory / "cgroup.procs").write_text(str(pid), "ascii")
        except OSError:
            group.remove()
            continue
        return group
    return None


def group_name(kernel_id: str) -> str:
    """Returns the name of a kernel's group."""
    return f"cloister-{kernel_id}"


def remove_group(name: str) -> None:
    """Removes a group whose sidecar could not: one that was killed leaves it behind."""
    for places in _places():
        ControlGroup(tuple(place / name for place in places)).remove()


def try_group(limits: ResourceLimits) -> bool:
    """Returns whether a group can be made here and a process put into it."""
    with subprocess.Popen(["sleep", "60"]) as process:  # noqa: S607 - ended below
        try:
            group = enclose_processes(f"cloister-try-{process.pid}", limits, [process.pid])
        finally:
            process.kill()
    if group is not None:
        group.remove()
    return group is not None


def _limit(directory: Path, limits: ResourceLimits) -> None:
    """Writes the limits; those of a controller that is not in this directory are another's."""
    memory, processes = limits.memory_bytes, limits.processes
    for name, value in (
        ("memory.max", memory),
        ("memory.limit_in_bytes", memory),
        ("memory.swap.max", None if memory is None else 0),
        ("memory.oom.group", None if memory is None else 1),
        ("pids.max", processes),
    ):
        file = directory / name
        if value is not None and file.exists():
            file.write_text(str(value), "ascii")


def _places() -> Iterator[tuple[Path, ...]]:
    """Yields where a group could be made, best first: all directories of one place together."""
    own = _own_groups()
    mounts = list(_mounts())
    for kind, root, point, _ in mounts:
        if kind == "cgroup2" and "" in own:
            yield from ((place,) for place in _places_v2(_below(own[""], root, point), point))
    separate = [
        _below(own[controller], root, point)
        for kind, root, point, options in mounts
        for controller in _CONTROLLERS
        if kind == "cgroup" and controller in options and controller in own
    ]
    if len(separate) == len(_CONTROLLERS):
        yield tuple(separate)


def _places_v2(own: Path, top: Path) -> Iterator[Path]:
    place = own
    while place.is_relative_to(top):
        with contextlib.suppress(OSError):
            enabled = (place / "cgroup.subtree_control").read_text("ascii").split()
            if set(_CONTROLLERS) <= set(enabled):
                yield place
        if place == top or not _is_unlimited(place):
            return
        place = place.parent


def _is_unlimited(group: Path) -> bool:
    """Returns whether leaving a group takes a process out of no limit."""
    try:
        values = [
            (group / name).read_text("ascii").strip()
            for name in _LIMIT_FILES
            if (group / name).exists()
        ]
    except OSError:
        return False
    return all(value == "max" for value in values)


def _own_groups() -> dict[str, str]:
    """Returns the path of this process's group by controller; that of version 2 has no name."""
    groups: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text("utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            groups |= dict.fromkeys(controllers.split(","), path)
    return groups


def _mounts() -> Iterator[tuple[str, str, Path, list[str]]]:
    """Yields kind, root, place and options of mounted group hierarchies; proc(5), mountinfo."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines():
            before, _, after = line.partition(" - ")
            kind, _, options = after.split(" ", 2)
            if kind in {"cgroup", "cgroup2"}:
                root, point = before.split(" ")[3:5]
                yield kind, root, Path(point), options.split(",")


def _below(group: str, root: str, point: Path) -> Path:
    """Returns the directory of a group in a mount that shows the hierarchy from ``root`` on."""
    path = Path(group)
    return point / (path.relative_to(root) if path.is_relative_to(root) else path.relative_to("/"))
