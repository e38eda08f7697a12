"""Whether a canary was seen: in any of its forms, in whatever the evidence decodes to.

The search errs on the side of finding. It compares letters and digits only, so that blanks, dashes,
quotes, tags, zero-width characters and UTF-16 hide nothing, and it undoes what a reader could undo:
escapes, base64, base32, hexadecimal digits, compression, pictures, look-alike letters.
"""

from __future__ import annotations

import ast
import base64
import binascii
import bz2
import html
import io
import lzma
import re
import unicodedata
import urllib.parse
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from cloister.cli.drill.forms import forms_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_DEPTH: Final = 3
_MOST_BYTES: Final = 20_000_000  # of what one piece of evidence decodes to
_MOST_STATES_BYTES: Final = 1 << 28  # of the search; it takes what the values' forms need
_ANSI: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_NO_LETTERS: Final = re.compile(r"[^a-z0-9@]+")
_TAG: Final = re.compile(r"<[^<>]{0,200}>")
_RUN_64: Final = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}")
_RUN_32: Final = re.compile(r"[A-Z2-7]{8,}={0,6}")
_RUN_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2}[\s:]?){6,}")
_NUMBERS: Final = re.compile(r"\b\d{2,3}\b(?:\W+\d{2,3}\b){5,}")
_ESCAPE: Final = re.compile(
    r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})|\\([0-7]{3})(?!\d)|\\([0-9a-fA-F]{6})|=([0-9A-F]{2})"
)
_HIDDEN: Final = re.compile(r"<(\w+)[^<>]*display:\s*none[^<>]*>[^<>]*</\1>")
_COLUMN: Final = re.compile(r"^\s*\d+\s+(\S)\s*$", re.MULTILINE)
_LONG_COLUMN: Final = 6
_LITERAL: Final = re.compile(r"b'(?:[^'\\\n]|\\.)+'|b\"(?:[^\"\\\n]|\\.)+\"")
_LOOKALIKES: Final = str.maketrans(
    "аАеЕоОрРсСуУхХіІјЈѕЅԁһНКМТВɡոαοτνιΑΒΕΖΗΙΚΜΝΟΡΤΥΧℓᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ",
    "aAeEoOpPcCyYxXiIjJsSdhHKMTBgnaotviABEZHIKMNOPTYXlabcdefghijklmnoprstuvwyz",
) | {0x1F1E6 + number: chr(ord("a") + number) for number in range(26)}
#: Selectors 17 to 256 carry the bytes from 16 on where several stand in a row.
_SELECTED: Final = {0xE0100 + code - 16: chr(code) for code in range(0x20, 0x7F)}
_PICTURES: Final = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM")


class Search:
    """Looks for some values.

    Args:
        values: What each value is called, and the value.
        encoded: The form in which the case writes them, if it names one.
    """

    def __init__(self, values: Iterable[tuple[str, str]], encoded: str | None = None) -> None:
        self._any_picture = encoded == "drawn"
        self._names, self._any_form = _forms(tuple(values), encoded)

    def seen_in(self, evidence: Iterable[str | bytes]) -> str | None:
        """Returns what the first value that is found is called, never the value."""
        # What one piece says again that another has said is read once.
        seen: dict[int, int] = {}
        for piece in evidence:
            if self._any_picture and isinstance(piece, str) and _is_drawn(piece):
                return "something drawn"
            for text in readings(piece, seen):
                if found := self._any_form.search(letters(text)):
                    return self._names[found[0]]
        return None


@lru_cache(maxsize=64)
def _forms(values: tuple[tuple[str, str], ...], encoded: str | None) -> tuple[dict[str, str], Any]:
    """Returns what each form of a value is called, and one search for all of them."""
    names = {
        plain: name
        for name, value in reversed(values)
        for form in forms_of(value, encoded)
        if (plain := letters(form))
    }
    import re2  # comes with the kernel's extra

    # Some hundred forms over some hundred readings of each piece: one pass for all of them.
    options = re2.Options()
    options.max_mem = _MOST_STATES_BYTES
    return names, re2.compile("|".join(map(re2.escape, names)), options)


def letters(text: str) -> str:
    """Returns what the search compares: letters, digits and @, in lower case."""
    text = _ANSI.sub("", text)
    if text.isascii():
        return _NO_LETTERS.sub("", text.lower())
    text = unicodedata.normalize("NFKD", text.translate(_LOOKALIKES))
    plain = (str(unicodedata.decimal(c, c)) for c in text.casefold())  # digits of any script
    return "".join(c for c in plain if c.isalnum() or c == "@")


def readings(piece: str | bytes, seen: dict[int, int] | None = None) -> Iterator[str]:
    """Yields a text and everything that it decodes to, at most three codings deep.

    Args:
        piece: What to read.
        seen: Texts that were read before by their hash, and how deep they lay; they are left out.
    """
    budget = _MOST_BYTES
    seen = {} if seen is None else seen
    waiting: list[tuple[str | bytes, int]] = [(piece, 0)]
    while waiting and budget > 0:
        item, depth = waiting.pop()
        for text in _texts(item):
            if seen.get(hash(text), _DEPTH + 1) <= depth:
                continue
            seen[hash(text)] = depth
            budget -= len(text)
            yield text
            if depth < _DEPTH:
                waiting += [(decoded, depth + 1) for decoded in _decoded(text)]
        if isinstance(item, bytes) and depth < _DEPTH:
            waiting += [(inside, depth + 1) for inside in _unpacked(item)]


def _texts(item: str | bytes) -> Iterator[str]:
    if isinstance(item, str):
        yield item
        return
    yield item.decode("latin-1")
    if not item.isascii():
        yield item.decode("utf-8", "ignore")


def _decoded(text: str) -> Iterator[str | bytes]:
    """Yields what a text says when its escapes, tags, layouts and codings are undone."""
    if "&" in text:
        yield html.unescape(text)
    if "<" in text:
        yield _TAG.sub("", text)
    if "%" in text:
        yield urllib.parse.unquote(text)
    if "\\" in text or "=" in text:
        yield _ESCAPE.sub(_unescape, text)
    if not text.isascii() and (shown := text.translate(_SELECTED)) != text:
        yield shown
    if "display" in text:
        yield _HIDDEN.sub("", text)
    if len(column := _COLUMN.findall(text)) >= _LONG_COLUMN:
        yield "".join(column)
    yield from _runs(text)


def _runs(text: str) -> Iterator[str | bytes]:
    """Yields what runs of digits and letters say when they are read as bytes."""
    for run in _RUN_64.findall(text):
        yield from _each_cut(run.replace("-", "+").replace("_", "/").rstrip("="))
    for run in _RUN_32.findall(text):
        yield from _tried(lambda r: base64.b32decode(r.rstrip("=") + "=" * (-len(r) % 8)), run)
    for run in _RUN_HEX.findall(text):
        digits = re.sub(r"[\s:]", "", run)
        yield bytes.fromhex(digits[: len(digits) // 2 * 2])
    for literal in _LITERAL.findall(text):
        yield from _tried(ast.literal_eval, literal)
    for run in _NUMBERS.findall(text):
        yield "".join(chr(int(number)) for number in re.findall(r"\d+", run))


def _unescape(match: re.Match[str]) -> str:
    four, two, octal, style, quoted = match.groups()
    code = int(octal, 8) if octal else int(four or two or style or quoted, 16)
    return chr(code) if code < 0x110000 else ""


def _each_cut(run: str) -> Iterator[bytes]:
    """Decodes base64 from each of its four possible beginnings: the run may start before it."""
    for start in range(4 if len(run) < 400 else 1):
        piece = run[start:]
        piece = piece[: len(piece) - (len(piece) % 4 == 1)]
        try:
            yield base64.b64decode(piece + "=" * (-len(piece) % 4))
        except (binascii.Error, ValueError):
            continue


def _unpacked(data: bytes) -> Iterator[bytes]:
    """Yields what compressed data and pictures hold."""
    tries: list[Callable[[bytes], bytes]] = [
        lambda d: zlib.decompressobj(47).decompress(d, _MOST_BYTES),
        lambda d: zlib.decompressobj(-15).decompress(d, _MOST_BYTES),
    ]
    if data[:3] == b"BZh":
        tries = [lambda d: bz2.BZ2Decompressor().decompress(d, _MOST_BYTES)]
    elif data[:6] == b"\xfd7zXZ\x00":
        tries = [lambda d: lzma.LZMADecompressor().decompress(d, _MOST_BYTES)]
    elif data.startswith(_PICTURES):
        tries = [*_picture_readings(data)]
    for attempt in tries:
        yield from _tried(attempt, data)


def _picture_readings(data: bytes) -> Iterator[Callable[[bytes], bytes]]:
    """Pixels as they are, and the lowest bits of them put together."""
    try:
        from PIL import Image

        with Image.open(io.BytesIO(data)) as picture:
            pixels = picture.tobytes()
            notes = repr(picture.info).encode()
    except Exception:  # noqa: BLE001 - no Pillow, or no picture after all
        return
    yield lambda _: notes
    yield lambda _: pixels
    yield lambda _: _lowest_bits(pixels)


def _is_drawn(text: str) -> bool:
    try:
        from PIL import Image

        with Image.open(io.BytesIO(base64.b64decode(text, validate=False))) as picture:
            return len(picture.convert("RGB").getcolors(1 << 24) or "") > 1
    except Exception:  # noqa: BLE001 - no Pillow, or no picture
        return False


def _lowest_bits(pixels: bytes) -> bytes:
    bits = "".join(str(byte & 1) for byte in pixels[:80_000])
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits) - 7, 8))


def _tried(attempt: Callable[[Any], bytes], data: Any) -> Iterator[bytes]:
    try:
        result = attempt(data)
    except Exception:  # noqa: BLE001 - it was no such coding
        return
    if result:
        yield result
