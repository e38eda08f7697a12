"""How deep in strings of JSON a text stands that comes in pieces.

Arguments of a tool are JSON in a string of JSON, and a value that is put into them has to be
escaped once for each string around it. A text is taken for JSON when it begins with an object or
a list, until it breaks the grammar; from then on it is prose, where nothing is escaped. What a
string says is read in the same way, layer by layer.

Source: RFC 8259.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

_SPECIAL: Final = re.compile(r'["\\\x00-\x1f]')
_SPACE: Final = " \t\n\r"
_ESCAPES: Final = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r"}
_SCALAR: Final = re.compile(
    r"-?(?:0|[1-9][0-9]*)?(?:\.[0-9]*)?(?:[eE][+-]?[0-9]*)?|t(?:r(?:ue?)?)?|f(?:a(?:l(?:se?)?)?)?"
    r"|n(?:u(?:ll?)?)?"
)
_MOST_LAYERS: Final = 6


class _At(Enum):
    START = "before the document"
    VALUE = "before a value"
    FIRST = "before a list's first item or its end"
    FIRST_KEY = "before an object's first key or its end"
    KEY = "before a key"
    COLON = "behind a key"
    SCALAR = "in a number or a word"
    STRING = "in a string"
    ESCAPE = "behind a backslash"
    UNICODE = "in the digits of an escape"
    AFTER = "behind a value"
    PROSE = "in what is no JSON"


class Nesting:
    """Reads one layer; the strings in it have layers of their own."""

    def __init__(self, layer: int = 0) -> None:
        self._layer = layer
        self._at = _At.START
        self._open: list[str] = []
        self._is_key = False
        self._digits = ""
        self._scalar = ""
        self._inner: Nesting | None = None

    @property
    def depth(self) -> int:
        """How many strings of JSON are open around what comes next."""
        if self._at not in {_At.STRING, _At.ESCAPE, _At.UNICODE}:
            return 0
        return 1 + (self._inner.depth if self._inner is not None else 0)

    @property
    def is_prose(self) -> bool:
        """Whether the text has turned out to be no JSON."""
        return self._at is _At.PROSE

    def feed(self, text: str) -> None:
        """Reads on."""
        at = 0
        while at < len(text) and self._at is not _At.PROSE:
            if self._at is _At.STRING:
                at = self._read_string(text, at)
            else:
                self._step(text[at])
                at += 1

    def _read_string(self, text: str, at: int) -> int:
        found = _SPECIAL.search(text, at)
        end = len(text) if found is None else found.start()
        self._say(text[at:end])
        if found is None:
            return end
        if found[0] == "\\":
            self._at = _At.ESCAPE
        elif found[0] == '"':
            self._at = _At.COLON if self._is_key else _At.AFTER
            self._inner = None
        else:
            self._at = _At.PROSE
        return end + 1

    def _say(self, text: str) -> None:
        """Hands what a string says to the layer in it."""
        if self._inner is not None and text:
            self._inner.feed(text)
            if self._inner.is_prose:
                self._inner = None

    def _step(self, char: str) -> None:
        if self._at is _At.ESCAPE:
            self._escape(char)
        elif self._at is _At.UNICODE:
            self._unicode(char)
        elif self._at is _At.SCALAR and char not in ",]} \t\n\r":
            self._scalar += char
            if not _SCALAR.fullmatch(self._scalar):
                self._at = _At.PROSE
        elif char in _SPACE:
            self._at = _At.AFTER if self._at is _At.SCALAR else self._at
        else:
            self._structure(_At.AFTER if self._at is _At.SCALAR else self._at, char)

    def _escape(self, char: str) -> None:
        if char == "u":
            self._at, self._digits = _At.UNICODE, ""
        elif char in _ESCAPES or char == "t":
            self._at = _At.STRING
            self._say(_ESCAPES.get(char, "\t"))
        else:
            self._at = _At.PROSE

    def _unicode(self, char: str) -> None:
        self._digits += char
        if char not in "0123456789abcdefABCDEF":
            self._at = _At.PROSE
        elif len(self._digits) == 4:
            self._at = _At.STRING
            self._say(chr(int(self._digits, 16)))

    def _structure(self, at: _At, char: str) -> None:
        """Takes a character that is neither space nor in a string, number or word."""
        may_begin = at in {_At.START, _At.VALUE, _At.FIRST} or (at is _At.AFTER and not self._open)
        if char in "{[" and may_begin:
            self._open.append(char)
            self._at = _At.FIRST_KEY if char == "{" else _At.FIRST
        elif char == '"' and at in {_At.VALUE, _At.FIRST, _At.KEY, _At.FIRST_KEY}:
            self._is_key = at in {_At.KEY, _At.FIRST_KEY}
            self._at = _At.STRING
            self._inner = Nesting(self._layer + 1) if self._layer < _MOST_LAYERS else None
        elif char in "]}" and self._closes(at, char):
            self._open.pop()
            self._at = _At.AFTER
        elif char == "," and at is _At.AFTER and self._open:
            self._at = _At.KEY if self._open[-1] == "{" else _At.VALUE
        elif char == ":" and at is _At.COLON:
            self._at = _At.VALUE
        elif at in {_At.VALUE, _At.FIRST} and _SCALAR.fullmatch(char):
            self._at, self._scalar = _At.SCALAR, char
        else:
            self._at = _At.PROSE

    def _closes(self, at: _At, char: str) -> bool:
        if char == "}":
            return self._open[-1:] == ["{"] and at in {_At.AFTER, _At.FIRST_KEY}
        return self._open[-1:] == ["["] and at in {_At.AFTER, _At.FIRST}
