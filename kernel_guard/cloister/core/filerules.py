"""What may happen to files where they leave the server, and to notebooks where they are saved.

What a kernel writes lies in the workspace and is real. A client sees it through the server, so the
server decides: by the level of what a file holds, and by where it goes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from cloister.core.labels import Level

if TYPE_CHECKING:
    from collections.abc import Mapping


class FileAction(Enum):
    """What happens to a file that holds values of a level."""

    ALLOW = "allow"
    MASK = "mask"
    BLOCK = "block"


class Destination(Enum):
    """Where a file goes."""

    VIEW = "view"
    """Into JupyterLab: the contents API, and whatever else reads through the contents manager."""
    DOWNLOAD = "download"
    """To the user's disk: ``/files/`` and exports."""
    SHARE = "share"
    """To other people: ``cloister share`` and commits."""


class Saving(Enum):
    """What saving does with what an unguarded kernel or an editor put into a notebook."""

    MASK = "mask"
    STRIP = "strip"
    REFUSE = "refuse"


_MEGABYTE: Final = 1_000_000
MOST_BYTES: Final = 50 * _MEGABYTE


@dataclass(frozen=True, slots=True)
class FileRules:
    """The policy's ``files``.

    Attributes:
        actions: By destination and level. Levels that ``display`` shows are always allowed.
        saving: What saving a notebook does with values in outputs, attachments and metadata.
        unreadable: Whether a file leaves that nobody can look into: ``allow`` or ``block``.
        most_bytes: A larger file is not checked, so it is treated as unreadable.
    """

    actions: Mapping[Destination, Mapping[Level, FileAction]] = field(default_factory=dict)
    saving: Saving = Saving.MASK
    unreadable: FileAction = FileAction.BLOCK
    most_bytes: int = MOST_BYTES

    def action(self, destination: Destination, level: Level) -> FileAction:
        """Returns what happens to a file with values of a level; by default they are masked."""
        return self.actions.get(destination, {}).get(level, FileAction.MASK)

    def strictest(self, destination: Destination, levels: set[Level]) -> FileAction:
        """Returns what happens to a file with values of some levels that are not shown."""
        actions = {self.action(destination, level) for level in levels}
        for action in (FileAction.BLOCK, FileAction.MASK):
            if action in actions:
                return action
        return FileAction.ALLOW


def file_rules_from_dict(data: Mapping[str, Any]) -> FileRules:
    """Builds the rules from the policy's ``files``, which the schema has accepted."""
    return FileRules(
        actions={
            destination: _by_level(data[destination.value])
            for destination in (Destination.VIEW, Destination.DOWNLOAD)
            if destination.value in data
        },
        saving=Saving(data.get("saving", "mask")),
        unreadable=FileAction(data.get("unreadable", "block")),
        most_bytes=int(data.get("most_bytes", MOST_BYTES)),
    )


def _by_level(stated: str | Mapping[str, str]) -> dict[Level, FileAction]:
    if isinstance(stated, str):
        return dict.fromkeys(Level, FileAction(stated))
    return {Level.parse(name): FileAction(action) for name, action in stated.items()}
