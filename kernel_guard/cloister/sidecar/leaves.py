"""Values that a JSON document shows in several of its leaves.

``{"first": "Maria", "last": "Lindqvist"}``, ``["4111", "1111", "1111", "1111"]``, ``list(name)`` or
two columns of a chart hold a value that none of their strings holds. So the short leaves of each
object and list are also read side by side, and equally long lists of one object row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cloister.detect.spans import Span

#: The identity of an object or list, and a key or an index in it.
Place: TypeAlias = tuple[int, "str | int"]

_LONGEST_LEAF_CHARS: Final = 80
_MOST_LEAVES: Final = 200_000
_MOST_DEPTH: Final = 200


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A short string or a number, and where it is."""

    place: Place
    text: str


def parts_of_values(
    document: object, find: Callable[[str], list[Span]]
) -> dict[Place, list[tuple[int, int, str]]]:
    """Returns the parts of leaves that belong to values found across leaves.

    Args:
        document: Parsed JSON that lives while the result is used.
        find: Finds known values in a text.

    Returns:
        For each leaf with such parts their start, end and entity type, in order.
    """
    rows = [row for row in _rows(document) if len(row) > 1]
    if not rows:
        return {}
    leaves = [leaf for row in rows for leaf in row]
    text = "\n".join("\t".join(leaf.text for leaf in row) for row in rows)
    starts = [0, *accumulate(len(leaf.text) + 1 for leaf in leaves)]
    found: dict[Place, list[tuple[int, int, str]]] = {}
    number = 0
    for span in find(text):
        while starts[number + 1] <= span.start:
            number += 1
        at = number
        while at < len(leaves) and starts[at] < span.end:
            leaf = leaves[at]
            start, end = max(0, span.start - starts[at]), min(len(leaf.text), span.end - starts[at])
            if start < end:
                found.setdefault(leaf.place, []).append((start, end, span.entity_type))
            at += 1
    return {place: _apart(parts) for place, parts in found.items()}


def _apart(parts: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Returns the parts in order and joined where they overlap: a leaf may stand in two rows."""
    kept: list[tuple[int, int, str]] = []
    for start, end, entity_type in sorted(parts):
        if kept and start < kept[-1][1]:
            kept[-1] = (kept[-1][0], max(end, kept[-1][1]), kept[-1][2])
        else:
            kept.append((start, end, entity_type))
    return kept


def _rows(document: object) -> Iterator[list[_Leaf]]:
    """Yields what stands side by side in a document."""
    left = _MOST_LEAVES
    level = [document]
    for _ in range(_MOST_DEPTH):
        below: list[object] = []
        for value in level:
            if not isinstance(value, (dict, list)):
                continue
            items: Sequence[tuple[Any, object]] = list(
                value.items() if isinstance(value, dict) else enumerate(value)
            )
            left -= len(items)
            if left < 0:
                return
            if isinstance(value, dict) or _tells(value):
                yield [leaf for key, item in items if (leaf := _leaf(value, key, item))]
            columns = [item for _, item in items if isinstance(item, list) and _tells(item)]
            if len(columns) > 1 and len({len(column) for column in columns}) == 1:
                for i in range(len(columns[0])):
                    yield [leaf for column in columns if (leaf := _leaf(column, i, column[i]))]
            below += [item for _, item in items]
        level = below


def _tells(items: list[Any]) -> bool:
    """Returns whether a list may hold more than numbers with a point, of which there are many."""
    return not all(type(item) is float for item in items)


def _leaf(container: object, key: str | int, item: object) -> _Leaf | None:
    if isinstance(item, str):
        text = item
    elif isinstance(item, int) and not isinstance(item, bool):
        text = str(item) if -(10**20) < item < 10**20 else ""
    else:
        return None
    is_short = 0 < len(text) <= _LONGEST_LEAF_CHARS
    return _Leaf((id(container), key), text) if is_short else None
