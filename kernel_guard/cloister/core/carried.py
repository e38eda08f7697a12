"""What data in a kernel carries about its columns, for rooms that need no more than that.

How labels follow data is the hooks' business. Private training needs to know which dataset the rows
came from and which columns name people, and must not know pandas' insides for it; so the hooks say
here how such notes are read, once, when they are installed. Without hooks nothing is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class ColumnNote:
    """What is known of one column.

    Attributes:
        entity_type: Presidio's name of what it holds, ``None`` when that is not known.
        source: Where that was learned; of several, joined by `` + ``: ``catalog:patients``.
    """

    entity_type: str | None
    source: str


NoteReader: TypeAlias = "Callable[[object], Mapping[str, ColumnNote]]"

_readers: list[NoteReader] = []


def read_notes_with(reader: NoteReader) -> None:
    """Says how notes are read from data; the one said last counts."""
    _readers[:] = [reader]


def column_notes(data: object) -> dict[str, ColumnNote]:
    """Returns what data carries, by column; empty when nothing is known.

    Args:
        data: A table, a column or an array; of the last two, the note's name may be empty.
    """
    return dict(_readers[0](data)) if _readers else {}
