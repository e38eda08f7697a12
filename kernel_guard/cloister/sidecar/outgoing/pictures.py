"""Pictures without notes: what is no part of the picture is cut off, pixels stay bit by bit.

Programs write titles, names and whole documents into a picture's metadata, and nothing keeps a
kernel from writing behind a picture's end. So a picture is taken apart, and the parts that draw it
are put together again. A part that nobody knows is left out.

Source: PNG (Third Edition) 5, 11; ITU-T T.81 B (JPEG); GIF89a; RFC 9649 (WebP).
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_PNG_PARTS: Final = frozenset(
    {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"bKGD"}
    | {b"pHYs", b"acTL", b"fcTL", b"fdAT", b"cICP"}
)
_WEBP_PARTS: Final = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"})
_WEBP_NOTES: Final = 0b00101100  # flags of VP8X: colour profile, Exif, XMP
_MOST_PIXEL_BYTES: Final = 400_000_000


class UnreadablePicture(ValueError):
    """What is no picture of its format, or holds more than the picture."""


def clean(data: bytes) -> bytes:
    """Returns a picture without metadata; the identical object when there was nothing to take.

    Args:
        data: PNG, JPEG, GIF or WebP; anything else is returned as it is.

    Raises:
        UnreadablePicture: It cannot be taken apart.
    """
    try:
        if data.startswith(_PNG_SIGNATURE):
            cleaned = _clean_png(data)
        elif data.startswith(b"\xff\xd8"):
            cleaned = b"".join(_jpeg_parts(data))
        elif data.startswith((b"GIF87a", b"GIF89a")):
            cleaned = b"".join(_gif_parts(data))
        elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            cleaned = _clean_webp(data)
        else:
            return data
    except (IndexError, struct.error, zlib.error):
        raise UnreadablePicture("the picture is cut off or damaged") from None
    return data if cleaned == data else cleaned


def _clean_png(data: bytes) -> bytes:
    kept = [_PNG_SIGNATURE]
    pixels = bytearray()
    at, kind = len(_PNG_SIGNATURE), b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise UnreadablePicture("a chunk is cut off")
        if kind in _PNG_PARTS:
            kept.append(data[at:end])
        if kind == b"IDAT":
            pixels += data[at + 8 : end - 4]
        at = end
    _require_nothing_behind(bytes(pixels))
    return b"".join(kept)


def _require_nothing_behind(stream: bytes) -> None:
    """Raises unless a zlib stream is whole and nothing follows it."""
    reader = zlib.decompressobj()
    reader.decompress(stream, _MOST_PIXEL_BYTES)
    if not reader.eof or reader.unused_data:
        raise UnreadablePicture("the pixels are cut off, too many, or not all that is there")


def _jpeg_parts(data: bytes) -> Iterator[bytes]:
    """Yields the segments of a JPEG that draw it."""
    yield data[:2]
    at = 2
    while True:
        if data[at] != 0xFF:
            raise UnreadablePicture("a marker is missing")
        marker = data[at + 1]
        if marker == 0xFF:  # fill
            at += 1
            continue
        if marker == 0xD9:
            yield b"\xff\xd9"
            return
        end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        if marker == 0xDA:
            end = _end_of_scan(data, end)
        is_note = (0xE1 <= marker <= 0xEF and marker != 0xEE) or marker == 0xFE
        if not is_note:
            yield data[at:end]
        at = end


def _end_of_scan(data: bytes, at: int) -> int:
    """Returns where the entropy-coded data that begins at a place ends."""
    while True:
        at = data.index(b"\xff", at) if b"\xff" in data[at:] else len(data)
        following = data[at + 1]
        if following != 0 and not 0xD0 <= following <= 0xD7:
            return at
        at += 2


def _gif_parts(data: bytes) -> Iterator[bytes]:
    """Yields the blocks of a GIF that draw it, in all its frames."""
    at = 13 + _colours(data[10])
    yield data[:at]
    while True:
        kind = data[at]
        if kind == 0x3B:
            yield b"\x3b"
            return
        if kind == 0x2C:
            begin = at + 10 + _colours(data[at + 9]) + 1
        elif kind == 0x21:
            begin = at + 2
        else:
            raise UnreadablePicture("a block of no known kind")
        end = _end_of_blocks(data, begin)
        is_loop = kind == 0x21 and data[at + 1] == 0xFF and data[at + 3 : at + 14] == b"NETSCAPE2.0"
        if kind == 0x2C or data[at + 1] == 0xF9 or is_loop:
            yield data[at:end]
        at = end


def _colours(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _end_of_blocks(data: bytes, at: int) -> int:
    while data[at]:
        at += data[at] + 1
    return at + 1


def _clean_webp(data: bytes) -> bytes:
    kept: list[bytes] = []
    at, stop = 12, 8 + struct.unpack_from("<I", data, 4)[0]
    while at < stop:
        kind, length = struct.unpack_from("<4sI", data, at)
        end = at + 8 + length + (length & 1)
        part = data[at:end]
        if kind == b"VP8X":
            part = part[:8] + bytes([part[8] & ~_WEBP_NOTES]) + part[9:]
        if kind in _WEBP_PARTS:
            kept.append(part)
        at = end
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(body)) + body
