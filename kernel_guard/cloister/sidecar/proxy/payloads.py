"""Turns the body of a request into texts that can be scanned.

What a body says of itself (its content type, a part's file name) is not trusted: bytes that read
as text are read as text, and everything else is recognised by how it begins. A format is unpacked
where that is cheap and whole: archives member by member, tables column by column. What is left
unread is reported, and a kernel that has read more than ``internal`` data may not send it.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_plus

from cloister.sidecar.proxy.encodings import UnreadableError, decode

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

_MOST_DEPTH: Final = 4
_MOST_MEMBERS: Final = 2_000
_TABLE_CELLS: Final = 200  # cells in one text: enough for values to stand beside their neighbours
_ESCAPED: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|([/\"ntr]))")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_PRINTABLE_RUN: Final = re.compile(rb"[\x20-\x7e\x80-\xff]{6,}")
_WIDE_RUN: Final = re.compile(rb"(?:[\x20-\x7e]\x00){6,}")
_BOUNDARY: Final = re.compile(r"boundary=(?:\"([^\"]{1,70})\"|([^\s;,]{1,70}))", re.IGNORECASE)


@dataclass(slots=True)
class Contents:
    """What was read of a body.

    Attributes:
        texts: To be scanned, each by itself.
        unread: Kinds of data that could not be looked into, for people: ``a pickle``.
    """

    texts: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


def read_payload(body: bytes, content_type: str, limit: int) -> Contents:
    """Reads a body, its content encoding undone.

    Args:
        body: The whole body.
        content_type: Value of the header; only tells how parts and forms are delimited.
        limit: The most bytes that everything inside may unpack to.

    Raises:
        UnreadableError: It unpacks to too much, or is nested too deep.
    """
    reader = _Reader(limit)
    reader.read(body, content_type, 0)
    return reader.contents


class _Reader:
    """Reads one body; remembers how much it has unpacked."""

    def __init__(self, limit: int) -> None:
        self.contents = Contents()
        self._left = limit

    def read(self, data: bytes, content_type: str, depth: int) -> None:
        if not data:
            return
        if depth > _MOST_DEPTH:
            raise UnreadableError("is nested too deep to be checked")
        kind = content_type.partition(";")[0].strip().lower()
        boundary = _BOUNDARY.search(content_type) if kind.startswith("multipart/") else None
        if boundary is not None:
            self._read_parts(data, (boundary[1] or boundary[2]).encode("latin-1", "replace"), depth)
            return
        text = as_text(data)
        if text is None:
            self._read_binary(data, depth)
            return
        self.contents.texts += views(text)

    def _read_parts(self, data: bytes, boundary: bytes, depth: int) -> None:
        # Split by hand and keep everything: what stands before, between and after the parts goes
        # to the upstream, too.
        for part in data.split(b"--" + boundary):
            head, separator, body = part.partition(b"\r\n\r\n")
            if not separator:
                self.read(part, "", depth + 1)
                continue
            self.contents.texts.append(head.decode("utf-8", "replace"))
            headers = head.decode("latin-1").lower()
            inner = re.search(r"content-type:\s*([^\r\n]+)", headers)
            transfer = re.search(r"content-transfer-encoding:\s*([^\r\n\s]+)", headers)
            body = body.removesuffix(b"--").removesuffix(b"\r\n")
            if transfer is not None:
                body = _undo_transfer(body, transfer[1])
            self.read(body, inner[1] if inner else "", depth + 1)

    def _read_binary(self, data: bytes, depth: int) -> None:
        if data.startswith(b"PK\x03\x04"):
            self._read_zip(data, depth)
        elif data.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")):
            name = "gzip" if data.startswith(b"\x1f") else "zstd"
            inner = decode(data, name, self._left)
            self._charge(len(inner))
            self.read(inner, "", depth + 1)
        elif data.startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")):
            self._read_table(data)
        elif data.startswith(b"\x93NUMPY"):
            self._read_array(data)
        else:
            self.contents.unread.append("binary data")
            self._read_runs(data)

    def _read_zip(self, data: bytes, depth: int) -> None:
        import zipfile

        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                members = archive.infolist()
                if len(members) > _MOST_MEMBERS:
                    raise UnreadableError("is an archive of too many files")
                for member in members:
                    self.contents.texts.append(member.filename)
                    with archive.open(member) as file:
                        content = file.read(self._left + 1)
                    self._charge(len(content))
                    self.read(content, "", depth + 1)
                if archive.comment:
                    self.read(archive.comment, "", depth + 1)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError):
            # Damaged, encrypted, or packed in a way that is not known here.
            self.contents.unread.append("an archive that cannot be opened")
            self._read_runs(data)

    def _read_table(self, data: bytes) -> None:
        import pyarrow as pa

        try:
            self.contents.texts += list(_cells(_table(data)))
        except (pa.ArrowException, OSError, ValueError):
            self.contents.unread.append("a table that cannot be opened")
            self._read_runs(data)

    def _read_array(self, data: bytes) -> None:
        import numpy as np

        try:
            array = np.load(io.BytesIO(data), allow_pickle=False)
        except (ValueError, OSError, EOFError):
            self.contents.unread.append("an array of objects")
            self._read_runs(data)
            return
        flat = array.ravel()
        for at in range(0, flat.size, _TABLE_CELLS):
            self.contents.texts.append("\n".join(map(str, flat[at : at + _TABLE_CELLS].tolist())))

    def _read_runs(self, data: bytes) -> None:
        """Takes the readable pieces of what cannot be read as a whole, as ``strings`` does."""
        runs = [m[0].decode("utf-8", "replace") for m in _PRINTABLE_RUN.finditer(data)]
        runs += [m[0].decode("utf-16-le") for m in _WIDE_RUN.finditer(data)]
        if runs:
            self.contents.texts.append("\n".join(runs))

    def _charge(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise UnreadableError("unpacks to more than the policy allows")


def as_text(data: bytes) -> str | None:
    """Returns bytes as text, or ``None`` when they are not text in UTF-8 or marked UTF-16."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError:
            return None
    if _CONTROL.search(data):
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def views(text: str) -> list[str]:
    """Returns a text and how it reads when the escapes of JSON, and of URLs and forms, are undone.

    All of them are made for every text: what it is said to be may be wrong.
    """
    found = [text]
    if "\\" in text:
        found.append(_ESCAPED.sub(_unescape, text))
    if "%" in text or "+" in text:
        plain = unquote_plus(text, errors="replace")
        found.append(plain)
        if "%" in plain:
            found.append(unquote_plus(plain, errors="replace"))
    return found


def _unescape(match: re.Match[str]) -> str:
    digits = match[1] or match[2]
    if digits:
        return chr(int(digits, 16))
    return {"n": "\n", "t": "\t", "r": "\r"}.get(match[3], match[3])


def _undo_transfer(body: bytes, name: str) -> bytes:
    import binascii
    import quopri

    if name == "base64":
        try:
            return binascii.a2b_base64(body)
        except binascii.Error:
            return body
    return quopri.decodestring(body) if name == "quoted-printable" else body


def _table(data: bytes) -> pa.Table:
    import pyarrow as pa

    source = pa.BufferReader(data)
    if data.startswith(b"PAR1"):
        import pyarrow.parquet as pq

        return pq.read_table(source, use_threads=False)
    if data.startswith(b"ARROW1"):
        return pa.ipc.open_file(source).read_all()
    return pa.ipc.open_stream(source).read_all()


def _cells(table: pa.Table) -> Iterator[str]:
    yield "\n".join(table.column_names)
    metadata = table.schema.metadata or {}
    yield from (v.decode("utf-8", "replace") for pair in metadata.items() for v in pair)
    for column in table.itercolumns():
        for at in range(0, len(column), _TABLE_CELLS):
            cells = column.slice(at, _TABLE_CELLS).to_pylist()
            yield "\n".join(str(cell) for cell in cells if cell is not None)
