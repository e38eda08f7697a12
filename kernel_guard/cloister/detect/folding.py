"""Makes a text ASCII without moving anything, so that patterns need only know one spelling.

Full-width digits, typographic dashes and strange spaces become the plain ones, letters with marks
become plain letters, and other scripts become ``?``, which no pattern takes for a letter. One
character becomes one character. Characters without width are taken out, because one inside a value
would hide it; then a map leads back to the offsets of the original.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass

_DASHES = frozenset("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d\u00ad")
_PIECE_CHARS = 512
_FOREIGN = re.compile(r"[^\x00-\x7f]+")
#: Without the backspace: a screen takes the character before it away (``overwritten.py``).
_CONTROLS = r"\x00-\x07\x0e-\x1a\x1c-\x1f\x7f"
_CONTROL = bytes((*range(8), *range(0x0E, 0x1B), *range(0x1C, 0x20), 0x7F))
_WIDTHLESS = re.compile(
    rf"[{_CONTROLS}"
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\u20e3\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0100-\U000e01ef]"
)
#: Invisible twins of the ASCII characters, meant for tagging languages (Unicode 15, 23.9).
_TAGS = {0xE0000 + code: chr(code) for code in range(0x20, 0x7F)}
#: Letters of Cyrillic and Greek that look like Latin ones (Unicode's confusables).
_LOOKALIKES = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u0501\u04bb\u0410\u0412\u0415"
    "\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0406\u0408\u0405\u03bf\u03b1\u03bd\u03c1"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7",
    "aeopcyxijsdhABEKMHOPCTXIJSoavpABEZHIKMNOPTYX",
)
#: Letters that are drawn in another way and decompose into none: small capitals, letters of flags,
#: white on black.
_DRAWN = {
    **dict(zip(map(ord, "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ"), "abcdefghijklmnoprstuvwyz", strict=True)),
    **{
        first + number: chr(ord("A") + number)
        for first in (0x1F150, 0x1F170, 0x1F1E6)
        for number in range(26)
    },
}
_IS_DRAWN = re.compile(f"[{''.join(map(chr, _DRAWN))}]")
_WORD = re.compile(r"\w+")
_MIXED = re.compile(r"[A-Za-z][\u0370-\u052f]|[\u0370-\u052f][A-Za-z]")
_TAG = re.compile(r"[\U000e0020-\U000e007e]")
#: Variation selectors. One stands behind a character; several in a row are bytes that nobody sees.
_SELECTORS = re.compile(r"[\U000e0100-\U000e01ef]{2,}")
_SELECTED = {0xE0100 + code - 16: chr(code) for code in range(0x20, 0x7F)}


class _PlainCharacters(dict[int, str]):
    """Code point to its plain character, worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        plain = _plain(chr(code))
        self[code] = plain
        return plain


def _plain(character: str) -> str:  # noqa: PLR0911 - one return for each kind of character
    if character in _DASHES:
        return "-"
    if character in "\u2028\u2029\x85":
        return "\n"
    if character.isspace():
        return " "
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    base = unicodedata.normalize("NFKD", character)[:1]
    if base.isascii() and base.isprintable() and base:
        return base
    # Scripts with upper and lower case write words between spaces, as Latin does.
    if character.isupper():
        return "X"
    return "x" if character.islower() else "?"


_PLAIN = _PlainCharacters({code: chr(code) for code in range(128)})


@dataclass(frozen=True, slots=True)
class Offsets:
    """Leads from places in a text to places in what it was before characters were taken out.

    Attributes:
        gaps: For each character that was taken out, in order, the place in the text that is left
            where it stood.
    """

    gaps: tuple[int, ...]

    def __getitem__(self, place: int) -> int:
        """Returns where the character at a place, or the end, was in the original."""
        return place + bisect_right(self.gaps, place)


def fold(text: str) -> tuple[str, Offsets | None]:
    """Returns ``text`` in ASCII, and what leads back to the offsets of the original.

    Returns:
        ``None`` in place of the offsets when nothing moved, which is nearly always.
    """
    if text.isascii():
        return text, None
    # Most texts have few such characters, so the pieces that have none go by at once.
    pieces: list[str] = []
    taken: list[int] = []
    for first in range(0, len(text), _PIECE_CHARS):
        piece = text[first : first + _PIECE_CHARS]
        if not piece.isascii():
            if _WIDTHLESS.search(piece) is not None:
                taken += [first + match.start() for match in _WIDTHLESS.finditer(piece)]
                piece = _WIDTHLESS.sub("", piece)
            piece = _FOREIGN.sub(_plain_run, piece)
        pieces.append(piece)
    gaps = tuple(place - number for number, place in enumerate(taken))
    return "".join(pieces), Offsets(gaps) if gaps else None


def _plain_run(match: re.Match[str]) -> str:
    return match.group().translate(_PLAIN)


def without_invisible(text: str) -> tuple[str, Offsets | None]:
    """Returns ``text`` without characters that nobody sees, and what leads back to its offsets.

    Invisible letters become the letters that they stand for, and so do letters that are drawn in
    another way, and those of other alphabets that look like Latin ones, in words that have Latin
    ones as well (UTS #39, mixed scripts).

    Returns:
        ``None`` in place of the offsets when nothing was taken out.
    """
    if text.isascii() and len(text.encode("ascii").translate(None, _CONTROL)) == len(text):
        return text, None
    # Each is looked for first: most texts beyond ASCII have none of them.
    if _TAG.search(text) is not None:
        text = text.translate(_TAGS)
    if _IS_DRAWN.search(text) is not None:
        text = text.translate(_DRAWN)
    if _SELECTORS.search(text) is not None:
        text = _SELECTORS.sub(lambda run: run.group().translate(_SELECTED), text)
    if _MIXED.search(text) is not None:
        text = _WORD.sub(_latin, text)
    gaps: list[int] = []
    for match in _WIDTHLESS.finditer(text):
        gaps.append(match.start() - len(gaps))
    return (_WIDTHLESS.sub("", text), Offsets(tuple(gaps))) if gaps else (text, None)


def _latin(match: re.Match[str]) -> str:
    word = match.group()
    return word if _MIXED.search(word) is None else word.translate(_LOOKALIKES)
