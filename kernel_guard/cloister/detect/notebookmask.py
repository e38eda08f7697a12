"""Masks a notebook's text where values stand in it, for people who may look at it all the same.

Strings lose their values one by one; what still offends after that, because a value stands over
several strings, is replaced as a whole by words that say so. Source is masked like everything else:
a kernel can write notebooks, so their source is as good a way out as any output. Whoever saves what
was masked must put the author's source back; see :func:`sources_of`.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Final, TypeAlias

from cloister.detect.jsonplaces import Kind, Place, read_json
from cloister.detect.notebookcuts import cut
from cloister.detect.notebooks import Offence, Part, scan_notebook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cloister.detect.spans import Span

Mask: TypeAlias = "Callable[[str], tuple[str, list[Span]]]"

WITHHELD: Final = "[withheld: holds values that the policy does not show]"
_STUB: Final = {"output_type": "stream", "name": "stderr", "text": WITHHELD}
_AGAIN: Final = 3
ALL_PARTS: Final = frozenset(Part)


def mask_notebook(
    text: str, mask: Mask, parts: frozenset[Part] = ALL_PARTS
) -> tuple[str, dict[str, int]]:
    """Returns a notebook without its values, and how many of which type were in it.

    Args:
        text: The file, decoded from UTF-8.
        mask: Masks a text and says what it found.
        parts: Which parts are masked; the others stay as they are.

    Raises:
        JsonUnclear: It is no notebook.
    """

    def find(piece: str) -> list[Span]:
        return mask(piece)[1]

    def offences_in(document: str) -> tuple[Offence, ...]:
        return tuple(o for o in scan_notebook(document, find).offences if o.part in parts)

    offences = offences_in(text)
    counts: Counter[str] = Counter()
    for offence in offences:
        counts.update(offence.entities)
    if not offences:
        return text, {}
    masked = _replaced(text, _masked_strings(offences, mask))
    for attempt in range(_AGAIN):
        left = offences_in(masked)
        if not left:
            return masked, dict(counts)
        masked = _without(masked, left, everything=attempt > 0)
    return json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}), dict(
        counts
    )


def sources_of(text: str) -> list[tuple[str, str]]:
    """Returns id and source of each cell of a notebook, in order; the id may be ``""``."""
    root = read_json(text)
    cells = list(root.elements("cells"))
    for sheet in root.elements("worksheets"):
        cells += sheet.elements("cells")
    return [
        (_said(cell.get("id")), _said(cell.get("source") or cell.get("input"))) for cell in cells
    ]


def _said(place: Place | None) -> str:
    if place is None:
        return ""
    return place.text or "".join(item.text for item in place.items)


def _masked_strings(offences: tuple[Offence, ...], mask: Mask) -> Iterator[tuple[int, int, str]]:
    """Yields ranges of strings with what stands in for them; keys stay and are seen to later."""
    for offence in offences:
        pending = [offence.place] if offence.place is not None else []
        while pending:
            place = pending.pop()
            is_lines = place.kind is Kind.ARRAY and all(i.kind is Kind.STRING for i in place.items)
            if place.kind is Kind.STRING or (is_lines and place.items):
                said = _said(place)
                masked, found = mask(said)
                if found:
                    yield place.start, place.end, json.dumps(masked, ensure_ascii=False)
            else:
                pending += place.items


def _without(text: str, offences: tuple[Offence, ...], *, everything: bool) -> str:
    """Returns the text without parts that offend as a whole."""
    stubbed: list[tuple[int, int, str]] = []
    cuts: list[Offence] = []
    for offence in offences:
        place = offence.place
        if place is None:
            continue
        if offence.part is Part.OUTPUT and not everything:
            stubbed.append((place.start, place.end, json.dumps(_STUB)))
        elif offence.container is None:
            stubbed.append((place.start, place.end, json.dumps(WITHHELD)))
        else:
            cuts.append(offence)
    if stubbed:
        return _replaced(text, stubbed)  # what is to be cut is found again, at its new place
    return cut(text, cuts)


def _replaced(
    text: str, ranges: Iterator[tuple[int, int, str]] | list[tuple[int, int, str]]
) -> str:
    pieces, position = [], 0
    for start, end, instead in sorted(ranges):
        if start >= position:
            pieces += [text[position:start], instead]
            position = end
    return "".join((*pieces, text[position:]))
