"""Style elements of rendered output, made unable to load anything; what they look like stays.

A style sheet calls out by an address only: ``url()`` and its kin, ``@import``, ``@font-face``. A
selector that asks which letter a field begins with tells nobody without one. So addresses go, and
escapes of characters that no keyword holds are written as the characters. What still could be read
in two ways is dropped as a whole by the judge (:mod:`cloister.detect.markupgrammar`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import re2

from cloister.detect.markupgrammar import is_style_safe

if TYPE_CHECKING:
    import re

_ELEMENT: Final = re2.compile(r"(?is)(<style\b[^<>]*>)(.*?)(</style\s*>)")
_COMMENT: Final = re2.compile(r"(?s)/\*.*?\*/")
_RULE: Final = re2.compile(r"(?is)@import\b[^;{}]*;?|@font-face\s*\{[^{}]*\}")
_CALL: Final = re2.compile(
    r"(?is)(?:url|src|image|image-set|-webkit-image-set|cross-fade)\s*\("
    r"(?:[^()\"']|\"[^\"]*\"|'[^']*'|\([^()]*\))*\)"
)
_ESCAPE: Final = re2.compile(r"\\([0-9a-fA-F]{1,6})[ \n\t]?")
_FIRST_PLAIN: Final = 0xA0
_SURROGATES: Final = range(0xD800, 0xE000)
_LAST: Final = 0x10FFFF


def without_addresses(markup: str) -> str:
    """Returns markup whose style elements name nothing to load; the others stay as they are."""
    return str(_ELEMENT.sub(_clean, markup))


def _clean(match: re.Match[str]) -> str:
    style = match[2]
    if is_style_safe(style) and "<" not in style:
        return match[0]
    # A comment separates words even when it is empty.
    style = _ESCAPE.sub(_character, _COMMENT.sub("/**/", style))
    if not is_style_safe(style):
        style = _CALL.sub(lambda call: call[0] if is_style_safe(call[0]) else "none", style)
        style = _RULE.sub("", style)
    return f"{match[1]}{style}{match[3]}" if is_style_safe(style) else ""


def _character(match: re.Match[str]) -> str:
    code = int(match[1], 16)
    is_plain = _FIRST_PLAIN <= code <= _LAST and code not in _SURROGATES
    return chr(code) if is_plain else match[0]
