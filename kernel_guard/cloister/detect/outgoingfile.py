"""What a file holds that the policy does not show, and the file without it where that can be had.

Text, tables and notebooks can be masked. Parquet, Arrow, archives, office documents and pictures
are looked into and cannot be masked: they leave whole or not at all. What nobody can look into is
*unreadable*. Which of these may leave is the policy's (:mod:`cloister.core.filerules`).

Decided by content first and by name second: a name is chosen by whoever writes the file.
"""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from io import BytesIO
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from cloister.core.errors import CloisterError
from cloister.detect.notebookmask import mask_notebook
from cloister.detect.outgoingtable import (
    BINARY_TABLES,
    TEXT_TABLES,
    examine_binary_table,
    examine_text_table,
)
from cloister.detect.picturetext import is_picture, printable_runs, texts_in_picture

if TYPE_CHECKING:
    from cloister.detect.valuefinder import ValueFinder

_MOST_DEPTH: Final = 2  # archives in archives
_MOST_MEMBERS: Final = 2_000
_ZIP: Final = b"PK\x03\x04"
_GZIP: Final = b"\x1f\x8b"
_BOMS: Final = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))
_CONTROL: Final = frozenset(range(32)) - {8, 9, 10, 12, 13, 27}


class Content(Enum):
    """What can be said of a file."""

    CLEAN = "clean"
    MASKED = "masked"
    HELD = "held"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Examined:
    """What a file holds.

    Attributes:
        content: ``clean``: nothing was found. ``masked``: ``data`` is the file without what was
            found. ``held``: something was found and cannot be masked. ``unreadable``: nobody knows.
        data: What may leave; the very bytes of a clean file, empty when nothing may.
        entities: How many values of which type were found.
    """

    content: Content
    data: bytes = field(default=b"", repr=False)
    entities: dict[str, int] = field(default_factory=dict)


def examine(name: str, data: bytes, finder: ValueFinder, *, most_bytes: int) -> Examined:
    """Returns what a file holds. Never raises for what is in it.

    Args:
        name: Its name, for the suffix.
        data: All of it.
        finder: Finds and masks values.
        most_bytes: The most that is looked at, also of what is unpacked.
    """
    try:
        return _examine(name, data, finder, most_bytes, 0)
    except (CloisterError, ValueError, OSError, RecursionError, MemoryError):
        return Examined(Content.UNREADABLE)


def _examine(  # noqa: PLR0911 - one return for each kind of file
    name: str, data: bytes, finder: ValueFinder, most: int, depth: int
) -> Examined:
    if len(data) > most or depth > _MOST_DEPTH:
        return Examined(Content.UNREADABLE)
    suffix = PurePosixPath(name.lower()).suffix
    if data.startswith(_ZIP):
        return _without_data(_examine_zip(data, finder, most, depth), data)
    if data.startswith(_GZIP):
        inner = _examine(PurePosixPath(name).stem, _unpacked(data, most), finder, most, depth + 1)
        return _without_data(inner, data)
    if is_picture(data):
        return _told("\n".join(texts_in_picture(data)), data, finder)
    if suffix in BINARY_TABLES:
        found = examine_binary_table(data, suffix, finder)
        return _held(found.entities) if found.entities else Examined(Content.CLEAN, data)
    encoding = _encoding_of(data)
    if encoding is not None:
        return _examine_text(data, suffix, encoding, finder)
    # What is found in the little that can be read of it says more than "unreadable".
    told = _told(printable_runs(data), data, finder)
    return told if told.content is Content.HELD else Examined(Content.UNREADABLE)


def _examine_text(data: bytes, suffix: str, encoding: str, finder: ValueFinder) -> Examined:
    text, entities = data.decode(encoding), Counter[str]()
    masked = text
    if suffix == ".ipynb":
        try:
            masked, found = mask_notebook(text.removeprefix("\ufeff"), finder.mask)
            return _masked(data, text, masked, encoding, found)
        except CloisterError:
            masked = text  # no notebook, whatever it is called: text
    if suffix in TEXT_TABLES:
        table = examine_text_table(data, suffix, finder)
        if table is not None and table.entities:
            entities += table.entities
            masked = table.masked
    masked, spans = finder.mask(masked)
    entities.update(span.entity_type for span in spans)
    return _masked(data, text, masked, encoding, dict(entities))


def _masked(
    data: bytes, text: str, masked: str, encoding: str, entities: dict[str, int]
) -> Examined:
    if not entities:
        return Examined(Content.CLEAN, data)
    if masked == text:
        return Examined(Content.HELD, b"", entities)
    return Examined(Content.MASKED, masked.encode(encoding, "replace"), entities)


def _examine_zip(data: bytes, finder: ValueFinder, most: int, depth: int) -> Examined:
    """Returns what an archive or office document holds, with its names and its gaps."""
    import zipfile

    entities: Counter[str] = Counter()
    is_readable, left = True, most
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > _MOST_MEMBERS:
                return Examined(Content.UNREADABLE)
            beside = [archive.comment, *(m.comment + b"\n" + m.extra for m in members)]
            names = " \n".join(m.filename for m in members)
            for member in members:
                with archive.open(member) as opened:
                    body = opened.read(left + 1)
                if len(body) > left:
                    return Examined(Content.UNREADABLE)
                left -= len(body)
                inner = _examine(member.filename, body, finder, most, depth + 1)
                entities.update(inner.entities)
                is_readable &= inner.content is not Content.UNREADABLE
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error):
        return Examined(Content.UNREADABLE)  # damaged, encrypted, or packed in a way of its own
    # Bytes between members belong to no member.
    if finder.mask_name(names) != names:
        entities["NAME"] += 1
    rest = "\n".join((*map(printable_runs, beside), printable_runs(data)))
    entities.update(span.entity_type for span in finder.find(rest))
    if entities:
        return _held(entities)
    return Examined(Content.CLEAN if is_readable else Content.UNREADABLE)


def _unpacked(data: bytes, most: int) -> bytes:
    """Returns what a gzip file holds.

    Raises:
        ValueError: It is damaged, has a second part, or is too large.
    """
    unpacker = zlib.decompressobj(31)
    try:
        body = unpacker.decompress(data, most + 1)
    except zlib.error:
        raise ValueError("damaged") from None
    if len(body) > most or not unpacker.eof or unpacker.unused_data:
        raise ValueError("too large or more than one part")
    return body


def _without_data(inner: Examined, data: bytes) -> Examined:
    """Returns what is said of a container by what is said of what it holds."""
    if inner.content is Content.CLEAN:
        return Examined(Content.CLEAN, data)
    content = Content.HELD if inner.entities else Content.UNREADABLE
    return Examined(content, b"", inner.entities)


def _told(text: str, data: bytes, finder: ValueFinder) -> Examined:
    spans = finder.find(text)
    if not spans:
        return Examined(Content.CLEAN, data)
    return _held(Counter(span.entity_type for span in spans))


def _held(entities: Counter[str]) -> Examined:
    return Examined(Content.HELD, b"", dict(sorted(entities.items())))


def _encoding_of(data: bytes) -> str | None:
    """Returns how a text is encoded, ``None`` when the bytes are no text."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return encoding if _decodes(data, encoding) else None
    for encoding in ("utf-8", "latin-1"):
        if _decodes(data, encoding):
            return encoding if _CONTROL.isdisjoint(data) else None
    return None


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeError:
        return False
    return True
