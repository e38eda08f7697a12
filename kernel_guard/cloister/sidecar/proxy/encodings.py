"""Undoes content encodings, within limits.

A body that nobody can read is a body that nobody has checked: an encoding that is unknown, broken,
or that unpacks to more than the limit is refused, never passed on.

Source: RFC 9110 section 8.4.1; RFC 7932 (br), RFC 8878 (zstd).
"""

from __future__ import annotations

import zlib
from typing import Final

_GZIP: Final = 16 + zlib.MAX_WBITS
_MOST_ENCODINGS: Final = 3


class UnreadableError(Exception):
    """A body cannot be read.

    Args:
        what: Why, as the end of the sentence "the body ..."; holds nothing of the body.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


def decode(data: bytes, content_encoding: str, limit: int) -> bytes:
    """Undoes the encodings that a ``Content-Encoding`` header lists.

    Args:
        data: The body as sent.
        content_encoding: The header's value; empty for none.
        limit: The most bytes that it may unpack to.

    Raises:
        UnreadableError: An encoding is unknown, the data is damaged, or it is too long.
    """
    names = [n for name in content_encoding.lower().split(",") if (n := name.strip())]
    if len(names) > _MOST_ENCODINGS:
        raise UnreadableError("is encoded too many times")
    for name in reversed(names):
        if name in {"gzip", "x-gzip"}:
            data = _inflate(data, (_GZIP,), limit)
        elif name == "deflate":  # zlib's format by the letter, raw deflate in the wild
            data = _inflate(data, (zlib.MAX_WBITS, -zlib.MAX_WBITS), limit)
        elif name in {"br", "zstd"}:
            data = _unpack(data, {"br": "brotli", "zstd": "zstd"}[name], limit)
        elif name != "identity":
            raise UnreadableError("has a content encoding that is not known here")
    return data


def _inflate(data: bytes, formats: tuple[int, ...], limit: int) -> bytes:
    for wbits in formats:
        try:
            return _inflate_members(data, wbits, limit)
        except zlib.error:
            continue
    raise UnreadableError("is not encoded as its header says")


def _inflate_members(data: bytes, wbits: int, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while data:  # gzip allows several members, one after the other
        reader = zlib.decompressobj(wbits)
        piece = reader.decompress(data, limit - size + 1)
        size += len(piece)
        if size > limit:
            raise UnreadableError("unpacks to more than the policy allows")
        if not reader.eof:
            raise zlib.error
        pieces.append(piece)
        if wbits != _GZIP and reader.unused_data:
            raise zlib.error
        data = reader.unused_data
    return b"".join(pieces)


def _unpack(data: bytes, codec: str, limit: int) -> bytes:
    import pyarrow as pa

    try:
        with pa.CompressedInputStream(pa.BufferReader(data), codec) as stream:
            unpacked: bytes = stream.read(limit + 1)
    except (OSError, pa.ArrowException) as error:
        raise UnreadableError("is not encoded as its header says") from error
    if len(unpacked) > limit:
        raise UnreadableError("unpacks to more than the policy allows")
    return unpacked
