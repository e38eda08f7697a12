"""Text that a picture carries beside its pixels: metadata, comments, and what follows its end.

The pixels are not read. PNG (W3C PNG, third edition, section 11.3.3) may hold text compressed, so
its chunks are opened; of other formats the printable runs of bytes are taken.
"""

from __future__ import annotations

import re
import struct
import zlib
from contextlib import suppress
from typing import Final

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_SIGNATURES: Final = (_PNG, b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*")
_PRINTABLE: Final = re.compile(rb"[\t\n\r\x20-\x7e]{6,}")
_WIDE: Final = re.compile(rb"(?:[\x20-\x7e]\0){6,}")
_MOST_TEXT_BYTES: Final = 1_000_000
_PIXELS: Final = frozenset({b"IDAT", b"fdAT", b"IHDR", b"PLTE"})


def is_picture(data: bytes) -> bool:
    """Returns whether bytes begin like a picture whose pixels would be shown."""
    return data.startswith(_SIGNATURES) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def texts_in_picture(data: bytes) -> list[str]:
    """Returns the texts that a picture carries; a damaged one is searched as it is."""
    texts = _png_texts(data) if data.startswith(_PNG) else None
    return [printable_runs(data)] if texts is None else texts


def _png_texts(data: bytes) -> list[str] | None:
    """Returns the texts of a PNG's chunks, ``None`` when they cannot be followed to the end."""
    texts: list[str] = []
    at = len(_PNG)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        at += 12 + length
        if at > len(data):
            return None
        if kind == b"IEND":
            # Readers stop here; whatever follows is no picture.
            return [*texts, printable_runs(data[at:])] if at < len(data) else texts
        if kind not in _PIXELS:
            texts += [printable_runs(body), printable_runs(_inflated(kind, body))]
    return None


def _inflated(kind: bytes, body: bytes) -> bytes:
    """Returns the compressed part of a text chunk, opened up to a limit."""
    start = {b"zTXt": body.find(b"\0") + 2, b"iCCP": body.find(b"\0") + 2}.get(kind)
    if kind == b"iTXt":
        head = body.find(b"\0")
        if head < 0 or body[head + 1 : head + 2] != b"\1":
            return b""
        language = body.find(b"\0", head + 3)
        start = body.find(b"\0", language + 1) + 1
    if not start:
        return b""
    with suppress(zlib.error):
        return zlib.decompressobj().decompress(body[start:], _MOST_TEXT_BYTES)
    return b""


def printable_runs(data: bytes) -> str:
    """Returns printable runs of bytes, also those of two bytes a character, a line each."""
    runs = [match.group().decode("ascii") for match in _PRINTABLE.finditer(data)]
    runs += [match.group()[::2].decode("ascii") for match in _WIDE.finditer(data)]
    return "\n".join(runs)
