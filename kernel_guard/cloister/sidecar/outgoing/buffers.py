"""Binary buffers of messages: text in them is masked in place, what hides text stays.

A buffer of a widget is numbers for a drawing most of the time. Text in one is overwritten, length
kept; a value that reaches over two buffers, or that shows only when a buffer is unpacked or read as
a table, cannot be overwritten, and the message stays.
"""

from __future__ import annotations

import bz2
import lzma
import re
import zlib
from typing import TYPE_CHECKING, Final

from cloister.sidecar.outgoing.withheld import Reason, Withheld

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloister.sidecar.textguard import Tally, TextGuard

_MOST_UNPACKED_BYTES: Final = 20_000_000
_MOST_ROWS: Final = 10_000
_RUN: Final = re.compile(rb"[\t\r\n\x20-\x7e]{4,}")
_ZLIB: Final = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x1f\x8b")
_ARROW: Final = (b"\xff\xff\xff\xff", b"ARROW1")


def mask_buffers(buffers: list[bytes], guard: TextGuard, tally: Tally) -> list[bytes]:
    """Returns buffers without sensitive text.

    Raises:
        Withheld: A value cannot be taken out of them.
    """
    masked = [guard.mask_bytes(d, tally) if guard.find(_runs(d)) else d for d in buffers]
    if len(buffers) > 1 and guard.find(_runs(b"".join(masked))):
        raise Withheld(_REASON)
    for data in buffers:
        if any(guard.find(reading) for reading in hidden_texts(data)):
            raise Withheld(_REASON)
    return masked


def hidden_texts(data: bytes) -> Iterator[str]:
    """Yields the texts that binary data holds but does not show."""
    if data.count(0) > len(data) // 4:
        yield _runs(data.replace(b"\0", b""))  # UTF-16, UTF-32, arrays of text
    for unpacked in _unpacked(data):
        yield _runs(unpacked)
        yield from _tables(unpacked)
    yield from _tables(data)


def _unpacked(data: bytes) -> Iterator[bytes]:
    try:
        if data.startswith(_ZLIB):
            yield zlib.decompressobj(47).decompress(data, _MOST_UNPACKED_BYTES)
        elif data.startswith(b"BZh"):
            yield bz2.BZ2Decompressor().decompress(data, _MOST_UNPACKED_BYTES)
        elif data.startswith(b"\xfd7zXZ\x00"):
            yield lzma.LZMADecompressor().decompress(data, _MOST_UNPACKED_BYTES)
    except (zlib.error, OSError, EOFError, lzma.LZMAError):
        return  # it only began like that


def _tables(data: bytes) -> Iterator[str]:
    if not data.startswith((*_ARROW, b"PAR1")):
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = pa.BufferReader(data)
    try:
        if data.startswith(b"PAR1"):
            table = pq.read_table(source)
        elif data.startswith(b"ARROW1"):
            table = pa.ipc.open_file(source).read_all()
        else:
            table = pa.ipc.open_stream(source).read_all()
        rows = table.slice(0, _MOST_ROWS).to_pylist()
    except (pa.ArrowException, OSError, ValueError):
        return  # it only began like that
    if table.num_rows > _MOST_ROWS:
        raise Withheld(_REASON)
    yield "\n".join("\t".join(map(str, row.values())) for row in rows)


def _runs(data: bytes) -> str:
    """Returns the runs of text in binary data: of pure numbers there are none worth a search."""
    return b"\n".join(_RUN.findall(data)).decode("ascii")


_REASON: Final = Reason(
    "CLO-OUTPUT-004",
    "Binary data was withheld: it holds values that cannot be masked in it",
    "display",
    "Send the widget what may be shown.",
)
