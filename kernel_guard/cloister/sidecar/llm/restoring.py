"""Puts values in the place of tokens, in a text that comes in pieces.

Models do not copy tokens letter by letter: they change case, put spaces or a backslash into them,
cut them off, glue them to words. What can only mean one token that was sent is read as that one;
everything else stays. Only what could be the beginning of a token is held back, so a stream flows
on as it came.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from cloister.sidecar.llm.memory import BODY_CHARS, FEWEST_CHARS
from cloister.sidecar.llm.nesting import Nesting

if TYPE_CHECKING:
    from cloister.sidecar.llm.memory import Known


class _Atom(NamedTuple):
    """A piece of the pattern: what it is whole, and what it is cut off."""

    whole: str
    cut: str


#: Between the words of a type. JSON in strings doubles the backslash of Markdown, layer by layer.
_JOINT: Final = _Atom(r"(?:\\{0,8}_|[ -])", r"\\{1,8}")
_MARKS: Final = ("&#126;", "&#x7e;", "&tilde;", "%7e", r"\u007e")
_MARK: Final = _Atom(
    r"(?: ?(?:\\{0,8}[~\uff5e\u223c]|" + "|".join(re.escape(mark) for mark in _MARKS) + ") ?)",
    r"(?: ?(?:\\{1,8}|"
    + "|".join(re.escape(mark[:n]) for mark in _MARKS for n in range(1, len(mark)))
    + r")| ?)",
)
_LONGEST_CHARS: Final = 200
_BODY: Final = (
    rf"(?P<body>[a-z2-7]{{{BODY_CHARS}}}"
    rf"|[a-z2-7]{{{FEWEST_CHARS},{BODY_CHARS - 1}}}(?![a-z0-9]))"
)


class _Patterns(NamedTuple):
    token: re.Pattern[str]
    beginning: re.Pattern[str]


@lru_cache(maxsize=256)
def _patterns(types: tuple[str, ...]) -> _Patterns:
    """Returns what finds tokens of these types, and what finds their beginnings at a text's end."""
    longest_first = sorted(types, key=len, reverse=True)
    names = "|".join(
        _JOINT.whole.join(re.escape(word) for word in name.split("_")) for name in longest_first
    )
    token = re.compile(rf"(?P<type>{names}){_MARK.whole}{_BODY}", re.IGNORECASE)
    beginnings = "|".join(_beginning(name) for name in longest_first)
    return _Patterns(token, re.compile(rf"(?:{beginnings})\Z", re.IGNORECASE))


def _beginning(name: str) -> str:
    """Returns a pattern of everything that a token of this type may begin with."""
    atoms = [_JOINT if char == "_" else _Atom(re.escape(char), "") for char in name]
    rest = rf"(?:{_MARK.whole}[a-z2-7]{{0,{BODY_CHARS - 1}}}|{_MARK.cut})?"
    for atom in reversed(atoms[1:]):
        rest = rf"(?:{atom.whole}{rest}|{atom.cut})?" if atom.cut else rf"(?:{atom.whole}{rest})?"
    return atoms[0].whole + rest


class Restorer:
    """Restores one text.

    Args:
        known: The tokens that it may say.
        restored: Counts what was restored, by entity type.
    """

    def __init__(self, known: Known, restored: Counter[str] | None = None) -> None:
        self._known = known
        self._patterns = _patterns(known.types) if known else None
        self._restored = Counter[str]() if restored is None else restored
        self._held = ""
        self._nesting = Nesting()

    @property
    def held(self) -> bool:
        """Whether something is held back."""
        return bool(self._held)

    def feed(self, text: str) -> str:
        """Takes the next piece and returns what is sure by now."""
        return self._go_on(text, is_end=False)

    def finish(self, text: str = "") -> str:
        """Takes the last piece and returns all that is left."""
        return self._go_on(text, is_end=True)

    def _go_on(self, text: str, *, is_end: bool) -> str:
        if self._patterns is None:
            return text
        text, self._held = self._held + text, ""
        out: list[str] = []
        done = at = 0
        while True:
            found = self._patterns.token.search(text, at)
            if not is_end:
                tail = max(at, len(text) - _LONGEST_CHARS)
                begun = self._patterns.beginning.search(text, tail)
                if begun is not None and (found is None or begun.start() <= found.start()):
                    self._held = text[begun.start() :]
                    text = text[: begun.start()]
                    break
            if found is None:
                break
            value = self._value(found)
            if value is None:
                at = found.start() + 1
                continue
            out += [self._passed(text[done : found.start()]), self._escaped(value)]
            self._nesting.feed("x")  # a token says nothing that ends a string
            done = at = found.end()
        out.append(self._passed(text[done:]))
        return "".join(out)

    def _value(self, found: re.Match[str]) -> str | None:
        words = re.sub(r"\\*_|[ -]", "_", found["type"]).upper()
        value = self._known.value(words, found["body"].lower())
        if value is not None:
            self._restored[words] += 1
        return value

    def _passed(self, text: str) -> str:
        self._nesting.feed(text)
        return text

    def _escaped(self, value: str) -> str:
        for _ in range(self._nesting.depth):
            value = json.dumps(value, ensure_ascii=False)[1:-1]
        return value
