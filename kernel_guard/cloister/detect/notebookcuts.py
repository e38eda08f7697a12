"""Cuts parts out of a notebook's text; every other byte stays.

Not one separator, escape or indent around what is kept is written anew: what remains of an array or
object is its own text, from the comma before an item to the item's end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloister.detect.jsonplaces import Place
    from cloister.detect.notebooks import Offence


def cut(text: str, offences: Iterable[Offence]) -> str:
    """Returns the text without the parts that can be cut.

    Args:
        text: The text that was scanned.
        offences: Those whose part has a container are cut; the others stay.
    """
    containers: dict[int, tuple[Place, set[int]]] = {}
    for offence in offences:
        if offence.container is not None and offence.place is not None:
            entry = containers.setdefault(offence.container.start, (offence.container, set()))
            entry[1].add(offence.place.start)
    ranges = sorted(gap for holder, starts in containers.values() for gap in _gaps(holder, starts))
    pieces, position = [], 0
    for start, end in ranges:
        if start < position:  # inside a part that is gone already
            position = max(position, end)
            continue
        pieces.append(text[position:start])
        position = end
    return "".join((*pieces, text[position:]))


def _gaps(holder: Place, starts: set[int]) -> list[tuple[int, int]]:
    """Returns the ranges of a container that go, so that what remains is well formed."""
    kept = [item for item in holder.items if item.start not in starts]
    if not kept:
        return [(holder.start + 1, holder.end - 1)]
    gaps: list[tuple[int, int]] = []
    before_first = True
    for number, item in enumerate(holder.items):
        if item.start not in starts:
            before_first = False
        elif before_first:
            # Up to the next item: the white space after the bracket stays.
            gaps.append((item.from_key, holder.items[number + 1].from_key))
        else:
            gaps.append((holder.items[number - 1].end, item.end))
    return gaps
