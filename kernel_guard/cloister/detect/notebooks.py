"""Finds the parts of a notebook that hold values which may not leave.

Works on the text of the file, whatever its version (worksheets of nbformat 2 and 3, cells of 4), so
that what is found can be cut out of it byte for byte (:mod:`cloister.detect.notebookcuts`). Pure:
what counts as a value is a parameter.

A value may stand in the lines of one text, over several outputs, in keys, in numbers, in pictures'
metadata or in the state of widgets; all strings of a part are looked at, together and one by one.
What is the author's own, source and ids, is told and never cut.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

from cloister.detect.jsonplaces import JsonUnclear, Kind, Place, read_json
from cloister.detect.picturetext import is_picture, texts_in_picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cloister.detect.spans import Span

Find: TypeAlias = "Callable[[str], list[Span]]"

_FEWEST_DIGITS: Final = 6  # of a number that is looked at by itself
_SHORT_CHARS: Final = 80
_WORDS: Final = str.maketrans("._", "  ")
_PICTURE_CHARS: Final = 64
_DRAWN_ID: Final = re.compile(r"[0-9a-f]{8}(?:(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12})?")
_OWN_KEYS: Final = frozenset({"cell_type", "execution_count", "id", "nbformat", "nbformat_minor"})
_SOURCE_KEYS: Final = frozenset({"source", "input"})


class Part(Enum):
    """What can be offending in a notebook."""

    OUTPUT = "output"
    ATTACHMENT = "attachment"
    METADATA = "metadata"
    WIDGETS = "widgets"
    SOURCE = "source"
    OTHER = "other"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Offence:
    """A part of a notebook that holds values.

    Attributes:
        part: What it is.
        cell: Number of the cell from 1, or ``None`` for the notebook.
        number: Which output, attachment or key of the cell, from 1; 0 for none.
        entities: How many values of which type; never a value.
        container: The array or object that the part can be cut from, or ``None``: it blocks.
        place: The part.
    """

    part: Part
    cell: int | None
    number: int
    entities: dict[str, int]
    container: Place | None
    place: Place | None

    @property
    def is_cut(self) -> bool:
        """Whether the part can be taken away without changing what its author wrote."""
        return self.container is not None


@dataclass(frozen=True, slots=True)
class NotebookScan:
    """What was found in a notebook.

    Attributes:
        text: The notebook.
        offences: In the order of the text.
        cells: How many cells there are.
        outputs: How many outputs there are.
    """

    text: str
    offences: tuple[Offence, ...]
    cells: int
    outputs: int

    @property
    def blocking(self) -> tuple[Offence, ...]:
        """Offences that are not cut away."""
        return tuple(o for o in self.offences if not o.is_cut)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part that can offend, and what it says."""

    part: Part
    cell: int | None
    number: int
    container: Place | None
    place: Place


def scan_notebook(text: str, find: Find) -> NotebookScan:
    """Returns what offends in a notebook.

    Args:
        text: The file, decoded from UTF-8.
        find: Finds the values that may not leave.

    Raises:
        JsonUnclear: It is no notebook, or can be read in more than one way.
    """
    root = read_json(text)
    if root.kind is not Kind.OBJECT or not (root.get("cells") or root.get("worksheets")):
        raise JsonUnclear("The file is no notebook.", remedy="Name a file that Jupyter has saved.")
    cells = _cells(root)
    pieces = list(_pieces(root, cells))
    found: dict[int, Counter[str]] = {}
    for number, piece in enumerate(pieces):
        counts = _found_in(piece.place, find)
        if counts:
            found[number] = counts
    for number, counts in _found_across(pieces, find).items():
        found.setdefault(number, counts)
    offences = [
        Offence(p.part, p.cell, p.number, dict(sorted(found[i].items())), p.container, p.place)
        for i, p in enumerate(pieces)
        if i in found
    ]
    outputs = sum(1 for p in pieces if p.part is Part.OUTPUT)
    return NotebookScan(text, tuple(offences), len(cells), outputs)


def _cells(root: Place) -> list[Place]:
    cells = list(root.elements("cells"))
    for sheet in root.elements("worksheets"):
        cells += sheet.elements("cells")
    return cells


def _pieces(root: Place, cells: Sequence[Place]) -> Iterator[_Piece]:
    """Yields all of a notebook, each part once."""
    for number, cell in enumerate(cells, 1):
        yield from _pieces_of_cell(cell, number)
    for item in root.items:
        if item.name == "metadata" and item.kind is Kind.OBJECT:
            yield from _members(item, None, Part.METADATA)
        elif item.name == "worksheets":
            for sheet in item.items:
                for member in sheet.items:
                    if member.name == "metadata" and member.kind is Kind.OBJECT:
                        yield from _members(member, None, Part.METADATA)
                    elif member.name != "cells":
                        yield _Piece(Part.OTHER, None, 0, sheet, member)
        elif item.name != "cells":
            container = None if item.name in _OWN_KEYS else root
            yield _Piece(Part.OTHER, None, 0, container, item)


def _pieces_of_cell(cell: Place, number: int) -> Iterator[_Piece]:
    if cell.kind is not Kind.OBJECT:
        yield _Piece(Part.OTHER, number, 0, None, cell)
    for item in cell.items:
        match item.name:
            case "outputs" if item.kind is Kind.ARRAY:
                for at, output in enumerate(item.items, 1):
                    yield _Piece(Part.OUTPUT, number, at, item, output)
            case "attachments" if item.kind is Kind.OBJECT:
                yield from _members(item, number, Part.ATTACHMENT)
            case "metadata" if item.kind is Kind.OBJECT:
                yield from _members(item, number, Part.METADATA)
            case name if name in _SOURCE_KEYS:
                yield _Piece(Part.SOURCE, number, 0, None, item)
            case "id" if _DRAWN_ID.fullmatch(item.text):
                pass  # drawn by chance, and then a number as often as not
            case name if name in _OWN_KEYS:
                yield _Piece(Part.OTHER, number, 0, None, item)
            case _:
                yield _Piece(Part.OTHER, number, 0, cell, item)


def _members(holder: Place, cell: int | None, part: Part) -> Iterator[_Piece]:
    for at, item in enumerate(holder.items, 1):
        kind = Part.WIDGETS if part is Part.METADATA and item.name == "widgets" else part
        yield _Piece(kind, cell, at, holder, item)


def _found_in(place: Place, find: Find) -> Counter[str]:
    """Returns how many values of which type stand in a part, alone or over its strings."""
    texts = list(_texts(place))
    counts = Counter(span.entity_type for span in find("\n".join(texts)))
    if counts or not texts:
        return counts
    # Side by side says more than below each other; keys stand between the parts of a value, and
    # in names of files dots and underscores end words.
    short = [text for text in texts if len(text) <= _SHORT_CHARS]
    values = [text for text in _texts(place, has_keys=False) if len(text) <= _SHORT_CHARS]
    keys = [at.key.text for at in place.walk() if at.key is not None]
    names = " \n".join(keys).translate(_WORDS)
    for text in (" ".join(short), " ".join(values), names, *texts):
        counts = Counter(span.entity_type for span in find(text))
        if counts:
            break
    return counts


def _texts(place: Place, *, has_keys: bool = True) -> Iterator[str]:
    """Yields all that a part says: keys, strings, long numbers, texts in pictures."""
    pending = [place]
    while pending:
        at = pending.pop()
        if at.key is not None and has_keys:
            yield at.key.text
        if at.kind is Kind.STRING:
            yield from _read(at.text)
        elif at.kind is Kind.SCALAR:
            if sum(c.isdigit() for c in at.text) >= _FEWEST_DIGITS:
                yield at.text
        elif at.kind is Kind.ARRAY and all(item.kind is Kind.STRING for item in at.items):
            # Lines of one text, or, where they have no ends, things of their own.
            yield from _read("".join(item.text for item in at.items))
            if any(item.text[-1:] != "\n" for item in at.items[:-1]):
                pending += reversed(at.items)
        else:
            pending += reversed(at.items)


def _read(text: str) -> Iterator[str]:
    picture = _picture(text)
    if picture is None:
        yield text
    else:
        yield from texts_in_picture(picture)


def _picture(text: str) -> bytes | None:
    """Returns the picture that a base64 text holds."""
    body = text.partition(",")[2] if text.startswith("data:image/") else text
    if len(body) < _PICTURE_CHARS:
        return None
    body = "".join(body.split())
    try:
        if is_picture(base64.b64decode(body[:_PICTURE_CHARS])):
            return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        pass
    return None


def _found_across(pieces: Sequence[_Piece], find: Find) -> dict[int, Counter[str]]:
    """Returns outputs that hold a piece of a value which stands in several of them.

    Neighbours in one cell are read as one text, since a stream may be cut anywhere; between others
    a line ends.
    """
    found: dict[int, Counter[str]] = {}
    shown = [(i, p, _shown(p.place)) for i, p in enumerate(pieces) if p.part is Part.OUTPUT]
    shown = [(i, p, text) for i, p, text in shown if text]
    for is_glued in (True, False):
        text, starts, before = "", [], None
        for _i, piece, said in shown:
            if text and not (is_glued and (piece.cell, piece.number - 1) == before):
                text += "\n"
            starts.append(len(text))
            text, before = text + said, (piece.cell, piece.number)
        ends = [start + len(said) for start, (_i, _p, said) in zip(starts, shown, strict=True)]
        for span in find(text) if len(shown) > 1 else ():
            touched = [
                i
                for (i, _p, _s), start, end in zip(shown, starts, ends, strict=True)
                if start < span.end and end > span.start
            ]
            for i in touched if len(touched) > 1 else ():
                found.setdefault(i, Counter())[span.entity_type] += 1
    return found


def _shown(output: Place) -> str:
    """Returns the plain text of an output, of any version of the format."""
    data = output.get("data")
    for place in (output.get("text"), data and data.get("text/plain")):
        if place is not None and place.kind is Kind.STRING:
            return place.text
        if place is not None and place.kind is Kind.ARRAY:
            return "".join(item.text for item in place.items if item.kind is Kind.STRING)
    return ""
