"""Whether an output would make a page call a URL: what a browser loads without being asked.

A reading of markup, not a browser: an attribute that loads, a URL in a style, a script that has it
in its text, an image in Markdown, a specification that a renderer loads data from. Text that merely
shows the URL is no call, and neither is a link, as long as nobody follows it.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Final

from cloister.cli.drill.sightings import readings

if TYPE_CHECKING:
    from collections.abc import Iterator

# A link is followed by a person; these are not loaded by a page that shows them.
_INERT: Final = frozenset({("a", "href"), ("a", "title"), ("img", "alt"), ("area", "href")})
_MARKDOWN_IMAGE: Final = re.compile(r"!\[[^\]]*\][(\[]")
_LATEX_LOAD: Final = re.compile(r"\\(?:includegraphics|require|input|href|unicode\{|style|html)")


def calls(message: dict[str, Any], mark: str) -> str | None:
    """Returns how a message would call a URL that contains ``mark``, ``None`` if it would not."""
    content = message["content"]
    if message["type"] in {"comm_open", "comm_msg"}:
        # A widget's strings are shown as HTML, as pictures or as addresses: none may hold the URL.
        held: list[str | bytes] = [_flat(content), *message["buffers"]]
        return "a widget's state" if any(_holds(piece, mark) for piece in held) else None
    if any(_holds(_flat(part), mark) for part in (content.get("metadata"), message["metadata"])):
        return "the metadata"
    for bundle in _bundles(content):
        for mime, value in bundle.items():
            if _holds(_flat(value), mark) and (how := _in_bundle(mime, _flat(value), mark)):
                return f"{how} of {mime}"
    return None


def _bundles(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields what a client renders: outputs, pages of the pager, expressions of a request."""
    expressions = content.get("user_expressions")
    payload = content.get("payload")
    parts = [content, *(expressions.values() if isinstance(expressions, dict) else ())]
    for part in [*parts, *(payload if isinstance(payload, list) else ())]:
        if isinstance(part, dict) and isinstance(part.get("data"), dict):
            yield part["data"]


def _holds(piece: str | bytes, mark: str) -> bool:
    return bool(piece) and any(mark in text for text in readings(piece))


def _in_bundle(mime: str, text: str, mark: str) -> str | None:
    if mime == "text/plain":
        return None
    if mime in {"text/html", "image/svg+xml", "application/xhtml+xml"}:
        return _in_markup(text, mark)
    if mime == "text/markdown":
        return "an image" if _has_image(text, mark) else _in_markup(text, mark)
    if mime == "text/latex":
        return "a command" if _LATEX_LOAD.search(text) else None
    return "the content"


def _has_image(text: str, mark: str) -> bool:
    """Images of Markdown name their URL in place, or in a definition somewhere else."""
    if any(mark in text[m.end() :].split(")", 1)[0] for m in _MARKDOWN_IMAGE.finditer(text)):
        return True
    defined = re.search(rf"^\s*\[[^\]]+\]:\s*\S*{mark}", text, re.MULTILINE)
    return "![" in text and defined is not None


def _in_markup(text: str, mark: str) -> str | None:
    reader = _Reader(mark)
    # Where comments end is not what Python's parser thinks (HTML, 13.2.5.43 and 13.2.5.52).
    reader.feed(re.sub(r"<!--(?=-?>)", "<!---->", text).replace("--!>", "-->"))
    reader.close()
    return reader.found


class _Reader(HTMLParser):
    def __init__(self, mark: str) -> None:
        super().__init__(convert_charrefs=True)
        self._mark = mark
        self._inside: str | None = None
        self.found: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag if tag in {"script", "style"} else None
        for name, value in attrs:
            if value and self._mark in value and (tag, name) not in _INERT:
                self.found = self.found or f"{tag}[{name}]"
            if value and value.startswith("data:") and _holds(value, self._mark):
                self.found = self.found or f"{tag}[{name}]"
            is_read = name == "srcdoc" or (value and "<" in value)
            if value and is_read and (how := _in_markup(value, self._mark)):
                self.found = self.found or how

    def handle_endtag(self, tag: str) -> None:
        del tag
        self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside and self._mark in data:
            self.found = self.found or self._inside

    def handle_decl(self, decl: str) -> None:
        if self._mark in decl:
            self.found = self.found or "a declaration"

    def handle_pi(self, data: str) -> None:
        if self._mark in data:
            self.found = self.found or "a processing instruction"


def _flat(value: Any) -> str:
    """Returns all strings of a JSON value as one text."""
    if isinstance(value, dict):
        return "\n".join(_flat(part) for item in value.items() for part in item)
    if isinstance(value, list):
        return "\n".join(map(_flat, value))
    return value if isinstance(value, str) else ""
