"""Readers of what programs encode: base64 and base32, hex, escapes, and what was compressed.

Each reader takes a text, the same text with one byte for each character, the matches' pattern and
the budget, and yields what the places that look encoded say.
"""

from __future__ import annotations

import base64
import binascii
import bz2
import html
import lzma
import re
import zlib
from typing import TYPE_CHECKING, Any, Final

from cloister.detect.picturetext import texts_in_picture
from cloister.detect.views import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cloister.detect.views import Budget

_AROUND_ESCAPE_CHARS: Final = 100
_PRINTABLE_SHARE: Final = 0.85
_SAMPLE_CHARS: Final = 2_048
_LZMA_BYTES: Final = 64 << 20

# Four characters of base64 that stand for three bytes of ASCII: of the first two the high bits are
# known. Two such groups in a row are rare in words (one in a thousand), and no longer text in
# base64 is without them.
_B64 = r"[A-Za-z0-9+/_-]"
_B64_GROUP = r"[I-Za-f][C-HS-Xi-ny-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589=][A-Za-z0-9+/_=-]"
_B64_PACKED = (
    rf"H4sI{_B64}{{12}}|e(?:J[w-z]|N[o-r]|A[E-H]|F[4-7]){_B64}{{8}}"
    rf"|QlpoO{_B64}{{12}}|/Td6WFo{_B64}{{12}}"
)
# Text in UTF-16: every other byte is zero, either the second or the first of each pair.
_B64_WIDE = rf"[I-Za-f][AQgw][AB]{_B64}A[A-H]{_B64}A|A[CEFGHD]{_B64}A[I-Za-f][AQgw][AB]{_B64}"
BASE64_HINT: Final = rf"(?:{_B64_GROUP}){{2}}|{_B64_PACKED}|{_B64_WIDE}"
BASE64: Final = (
    rf"(?:(?:{_B64_GROUP}){{2}}|{_B64_PACKED}|{_B64_WIDE}){_B64}*(?:(?:\r?\n|\\n){_B64}{{60,76}})*"
    rf"(?:(?:\r?\n|\\n){_B64}{{4,75}}={{1,2}})?={{0,2}}"
)
_B64_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-"
_PICTURES = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR")
BASE32: Final = r"\b[A-Z2-7]{12,}(?:={1,6}|\b)"

_HEX = r"[0-9A-Fa-f]"
_HEX_BYTE = rf"(?:[2-7]{_HEX}|[cC][2-9a-fA-F][89abAB]{_HEX})"
HEX: Final = (
    rf"\b(?:0x|\\x)?(?:{_HEX_BYTE}{{5,}}"
    rf"|(?:{_HEX_BYTE}(?:['\"]?, ?['\"]?(?:0x)?|[ :-]|\\x)){{4,}}{_HEX_BYTE})\b"
    rf"|\b(?:0x)?(?:1f8b08|78(?:9c|da|01)){_HEX}{{16,}}\b"
    rf"|\b(?:0x)?(?:fffe)?(?:{_HEX_BYTE}00){{5,}}\b|\b(?:0x)?(?:feff)?(?:00{_HEX_BYTE}){{5,}}\b"
    rf"|\b{_HEX_BYTE}{{4}}(?:-{_HEX_BYTE}{{2}}){{3}}-{_HEX_BYTE}{{6}}\b"
)
# Percent, entities, JSON (several layers of it), bytes, octal, and two of quoted-printable: bytes
# in a row, and single ones that stand for what separates words.
_ESCAPE = (
    rf"(?:%{_HEX}{{2}})+|&(?:#\d{{2,7}}|#[xX]{_HEX}{{2,6}}|[A-Za-z]{{3,10}});"
    rf"|(?:\\{{1,8}}u{_HEX}{{4}})+|(?:\\{{1,8}}x{_HEX}{{2}})+|(?:\\[01][0-7]{{2}})+"
    r"|(?:=[2-7C-F][0-9A-F]){2,}|=(?:20|2C|2D|2E|40|5F)"
)
ESCAPES: Final = rf"{_ESCAPE}|\\[nrt]"
ESCAPES_HINT: Final = rf"{_ESCAPE}|\\[nrt][A-Za-z0-9]"
#: Text in UTF-16 as Python shows bytes: every other byte is zero.
WIDE_BYTES: Final = r"(?:[ -\[\]-~]\\x00){5,}[ -\[\]-~]?|(?:\\x00[ -\[\]-~]){5,}"

# In a stream of bytes that is no text as a whole (a pickle, an array of strings) this is text.
_READABLE: Final = bytes(c for c in range(128) if chr(c).isprintable() or chr(c).isspace())
_STRINGS = re.compile(rb"[A-Za-z0-9 .,@'_-]{8,}")


def read_base64(text: str, data: bytes, pattern: Any, budget: Budget) -> Iterator[View]:
    """Yields what runs of base64 say, url-safe, in lines, without padding or glued to a path."""
    for match in pattern.finditer(data):
        anchor, end = match.span()
        before = text[max(0, anchor - _SAMPLE_CHARS) : anchor]
        first = anchor - (len(before) - len(before.rstrip(_B64_ALPHABET)))
        run = re.sub(r"\\n|\s", "", text[first:end]).rstrip("=")
        run = run.replace("-", "+").replace("_", "/")
        if text.startswith(_PICTURES, first):
            # What draws says nothing in letters; what stands beside it may.
            said = "\n".join(texts_in_picture(_unbase64(run)))
            if said:
                yield View(said, first, end, is_sure=False)
            continue
        # Whatever is glued to the front moves the groups; the anchor says by how much. It may also
        # be no base64 at all, as in /files/c2VjcmV0, so the rest is read by itself, too.
        by_anchor = (anchor - first) % 4
        whole = _first_plain(run, (by_anchor, 0, 1, 2, 3), first, end, budget)
        if whole is not None:
            yield whole
        rest = anchor - first
        if rest:
            view = _first_plain(run, (rest,), first, end, budget)
            if view is not None:
                yield view
        if whole is None:
            for shift in range(4):  # among noise an anchor may be chance
                yield from _strings(_unbase64(run[shift:]), first, end)


def _first_plain(
    run: str, shifts: Iterable[int], first: int, end: int, budget: Budget
) -> View | None:
    """Returns what a run of base64 says from the first place at which it says anything."""
    for shift in dict.fromkeys(shifts):
        sample = _unbase64(run[shift : shift + _SAMPLE_CHARS])
        if _is_packed(sample) or _is_text(_narrow(sample)):
            view = _plain(_unbase64(run[shift:]), first + shift, end, budget)
            if view is not None:
                return view
    return None


def _unbase64(run: str) -> bytes:
    # Padding ends a value. Inside a run, as in key=c2VjcmV0, the longest piece counts.
    run = max(run.split("="), key=len)
    usable = run if len(run) % 4 != 1 else run[:-1]
    return base64.b64decode(usable + "=" * (-len(usable) % 4))


def read_base32(text: str, data: bytes, pattern: Any, budget: Budget) -> Iterator[View]:
    """Yields what runs of base32 say."""
    for match in pattern.finditer(data):
        run = text[match.start() : match.end()].rstrip("=")
        usable = run[: len(run) - (len(run) % 8 in {1, 3, 6})]
        try:
            said = base64.b32decode(usable + "=" * (-len(usable) % 8))
        except binascii.Error:  # no length that base32 has
            continue
        view = _plain(said, match.start(), match.end(), budget)
        if view is not None:
            yield view


def read_hex(text: str, data: bytes, pattern: Any, budget: Budget) -> Iterator[View]:
    """Yields what runs of hex digits say, with or without something between the bytes."""
    for match in pattern.finditer(data):
        digits = re.sub(r"0x|\\x|[^0-9A-Fa-f]", "", text[match.start() : match.end()])
        try:
            said = binascii.unhexlify(digits)
        except binascii.Error:  # half a byte
            continue
        view = _plain(said, match.start(), match.end(), budget)
        if view is not None:
            yield view


def _plain(data: bytes, start: int, end: int, budget: Budget) -> View | None:
    """Returns what bytes say, inflated if they are compressed; ``None`` if that is no text."""
    is_whole = True
    if _is_packed(data):
        try:
            # Half of what is left, so that what stands behind a bomb is still read.
            data, is_whole = _unpacked(data, budget.chars // 2)
        except (zlib.error, OSError, EOFError, ValueError, lzma.LZMAError):
            return None
    data = _narrow(data)
    if not is_whole or _is_text(data[:_SAMPLE_CHARS]):
        return View(data.decode("utf-8", "replace"), start, end, is_whole=is_whole)
    return next(_strings(data, start, end), None)


def _narrow(data: bytes) -> bytes:
    """Returns text in UTF-16 or UTF-32 as UTF-8, other bytes as they are."""
    if 2 * data.count(0) < len(data) - len(data) // 8:
        return data
    return data.replace(b"\0", b"").removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff")


def _is_text(sample: bytes) -> bool:
    readable = len(sample) - len(sample.translate(None, _READABLE))
    count = len(sample)
    if not sample.isascii():
        said = sample.decode("utf-8", "replace")
        count = len(said)
        foreign = [c for c in said.replace("\ufffd", "") if c > "\x7f"]
        readable += sum(c.isprintable() or c.isspace() for c in foreign)
    return bool(count) and readable >= _PRINTABLE_SHARE * count


def _strings(data: bytes, start: int, end: int) -> Iterator[View]:
    """Yields the text in bytes that are none as a whole; too little to look for patterns in."""
    found = _STRINGS.findall(data)
    if found:
        yield View(b"\n".join(found).decode("ascii"), start, end, is_sure=False)


def _is_packed(data: bytes) -> bool:
    return data[:2] in {b"\x1f\x8b", b"x\x9c", b"x\xda", b"x\x01", b"x^"} or data[:3] in {
        b"BZh",
        b"\xfd7z",
    }


def _unpacked(data: bytes, most: int) -> tuple[bytes, bool]:
    """Returns at most ``most`` bytes of what was compressed, and whether that is all of it."""
    parts: list[bytes] = []
    while data and _is_packed(data):  # gzip and the others allow one stream behind another
        if most <= 0:
            return b"".join(parts), False
        if data[:3] == b"BZh" or data[:3] == b"\xfd7z":
            other: Any = (
                bz2.BZ2Decompressor()
                if data[:1] == b"B"
                else lzma.LZMADecompressor(memlimit=_LZMA_BYTES)
            )
            parts.append(other.decompress(data, most))
            has_more, data = not other.eof and not other.needs_input, other.unused_data
        else:
            stream = zlib.decompressobj(wbits=47)
            parts.append(stream.decompress(data, most))
            has_more, data = bool(stream.unconsumed_tail), stream.unused_data
        if has_more:
            return b"".join(parts), False
        most -= len(parts[-1])
    return b"".join(parts), True


def read_wide_bytes(text: str, data: bytes, pattern: Any, _budget: Budget) -> Iterator[View]:
    """Yields what runs of UTF-16 in literals of bytes say."""
    for match in pattern.finditer(data):
        start, end = match.span()
        yield View(text[start:end].replace("\\x00", ""), start, end)


def read_escapes(text: str, data: bytes, pattern: Any, _budget: Budget) -> Iterator[View]:
    """Yields the surroundings of escapes with the escapes read, character by character."""
    group: list[tuple[int, int]] = []
    for match in pattern.finditer(data):
        if text.startswith(("&lt;", "&gt;"), match.start()):
            continue
        if group and match.start() - group[-1][1] > _AROUND_ESCAPE_CHARS:
            yield _unescaped(text, group)
            group = []
        group.append(match.span())
    if group:
        yield _unescaped(text, group)


def _unescaped(text: str, escapes: list[tuple[int, int]]) -> View:
    said: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    position = first = max(0, escapes[0][0] - _AROUND_ESCAPE_CHARS)
    last = min(len(text), escapes[-1][1] + _AROUND_ESCAPE_CHARS)
    for start, end in [*escapes, (last, last)]:
        said.append(text[position:start])
        starts += range(position, start)
        ends += range(position + 1, start + 1)
        piece = _unescape(text[start:end])
        said.append(piece)
        starts += [start] * len(piece)
        ends += [end] * len(piece)
        position = end
    return View("".join(said), first, last, starts, ends)


def _unescape(escape: str) -> str:
    if escape.startswith("&"):
        return html.unescape(escape)
    if escape in {"\\n", "\\r", "\\t"}:
        return "\n"
    kind = escape.lstrip("\\")[:1]
    if kind == "u":
        units = binascii.unhexlify(re.sub(r"\\+u", "", escape))
        return units.decode("utf-16-be", "replace")
    if escape.startswith("\\") and kind != "x":
        return bytes(int(digits, 8) for digits in escape.split("\\")[1:]).decode("utf-8", "replace")
    return binascii.unhexlify(re.sub(r"[%=]|\\+x", "", escape)).decode("utf-8", "replace")
