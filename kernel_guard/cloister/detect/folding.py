"""Makes a text ASCII without moving anything, so that patterns need only know one spelling.

Full-width digits, typographic dashes and strange spaces become the plain ones, letters with marks
become plain letters, and other scripts become ``?``, which no pattern takes for a letter. One
character becomes one character. Characters without width are taken out, because one inside a value
would hide it; then a map leads back to the offsets of the original.
"""

from __future__ import annotations

import re
import unicodedata

_DASHES = frozenset("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d\u00ad")
_WIDTHLESS = re.compile(r"[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")


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


def fold(text: str) -> tuple[str, list[int] | None]:
    """Returns ``text`` in ASCII, and the original offset of each character and of the end.

    Returns:
        The map is ``None`` when nothing moved, which is nearly always.
    """
    if text.isascii():
        return text, None
    if _WIDTHLESS.search(text) is None:
        return text.translate(_PLAIN), None
    kept = [i for i, c in enumerate(text) if not _WIDTHLESS.match(c)]
    plain = "".join([text[i] for i in kept]).translate(_PLAIN)
    return plain, [*kept, len(text)]
