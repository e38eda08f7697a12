"""Why a kernel was stopped for what it used, in the words that its clients read."""

from __future__ import annotations

from cloister.core.errors import ResourceExceeded


def too_much_memory(used: int | None, limit: int | None) -> ResourceExceeded:
    """Returns the error for memory; ``used`` is not known where the operating system stepped in."""
    return _stopped(
        "used up its memory" if used is None else f"used {megabytes(used)} of memory",
        megabytes(limit),
        code="CLO-RESOURCE-001",
        rule="resources.memory_bytes",
        remedy="Restart the kernel and work on less at a time, or ask an admin for more.",
    )


def too_many_processes(used: int, limit: int) -> ResourceExceeded:
    """Returns the error for processes and threads."""
    return _stopped(
        f"ran {used} processes and threads",
        str(limit),
        code="CLO-RESOURCE-002",
        rule="resources.processes",
        remedy="Restart the kernel and start fewer workers, or ask an admin for more.",
    )


def too_large_a_workspace(used: int, limit: int) -> ResourceExceeded:
    """Returns the error for a workspace that goes on growing."""
    return _stopped(
        f"left {megabytes(used)} in the workspace",
        megabytes(limit),
        code="CLO-RESOURCE-003",
        rule="resources.workspace_bytes",
        remedy="Remove files, then restart the kernel; or ask an admin for more.",
    )


def no_room_for_the_record() -> ResourceExceeded:
    """Returns the error for a disk that is almost full."""
    return ResourceExceeded(
        "This kernel was stopped: it was about to fill the disk that the record is on. Variables "
        "are gone.",
        code="CLO-RESOURCE-004",
        remedy="Remove files that are not needed, then restart the kernel.",
    )


def not_held() -> ResourceExceeded:
    """Returns the error for limits that cannot be set or watched."""
    return ResourceExceeded(
        "This kernel was stopped: the limits of its resources cannot be held here.",
        code="CLO-RESOURCE-005",
        rule="resources",
        remedy="Run: cloister doctor",
    )


def megabytes(number: int | None) -> str:
    """Returns a number of bytes for people."""
    return "without limit" if number is None else f"{number / 1e6:,.0f} MB"


def _stopped(used: str, allowed: str, *, code: str, rule: str, remedy: str) -> ResourceExceeded:
    return ResourceExceeded(
        f"This kernel was stopped: it {used}, and the policy gives it {allowed}. Variables are "
        "gone.",
        code=code,
        rule=rule,
        remedy=remedy,
    )
