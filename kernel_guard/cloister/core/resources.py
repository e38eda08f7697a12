"""How much of the machine a kernel may use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """Limits of one kernel with everything that it starts; ``None`` is no limit.

    Attributes:
        memory_bytes: Memory of all its processes together, its ``/tmp`` included.
        processes: Processes and threads together.
        open_files: Open files of each process.
        workspace_bytes: What the workspace may hold before a kernel that fills it is stopped.
    """

    memory_bytes: int | None = None
    processes: int | None = 10_000
    open_files: int | None = 65_536
    workspace_bytes: int | None = None


def resources_from_dict(data: Mapping[str, Any]) -> ResourceLimits:
    """Builds the limits from data that the schema has accepted."""
    return ResourceLimits(**data)
