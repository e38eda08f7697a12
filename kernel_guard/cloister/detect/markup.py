"""Makes what a browser renders unable to call out; what cannot, stays byte for byte.

Each kind of markup has one judge that says whether it is harmless, and a way of making it so. What
has been cleaned is judged again, and shown as text when it does not pass: the judge decides, the
cleaning only tries. Links for a person to click are decided in ``links``.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Any, Final

import nh3
import re2

from cloister.detect import markupgrammar as grammar
from cloister.detect.links import is_local, may_link
from cloister.detect.specifications import clean_specification
from cloister.detect.stylesheets import without_addresses

_KINDS: Final = {
    "script": re.compile(r"(?i)<script|\bon[a-z]+\s*=|javascript:"),
    "frame": re.compile(r"(?i)<(?:iframe|frame|object|embed|portal|applet)"),
    "form": re.compile(r"(?i)<form|formaction"),
    "head": re.compile(r"(?i)<(?:link|meta|base)\b"),
    "style": re.compile(r"(?i)url\s*\(|@import|image-set|@font-face|\\[0-9a-f]"),
    "command": re.compile(r"\\(?:href|require|unicode|includegraphics|html|style)"),
}
_BROKEN: Final = re.compile(r"<(?=[A-Za-z/!?])")
_AUTOLINK: Final = re.compile(r"<(https?://[^\s<>]*|[\w.+-]+@[\w.-]+)>")
_TARGET: Final = re.compile(r"\s*<?([^\s<>)]*)")
_LINK: Final = re.compile(r"(!?)\[|\](?=[(:])")
_REFERENCE_IMAGE: Final = re.compile(r"!\[")
_PREFIXES: Final = frozenset({"data-", "aria-"})
_SCRIPT_TYPE: Final = re.compile(
    r"(?:application|text)/(?:x-)?(?:java|ecma)script|application/vnd\.\w+_(?:exec|load)\.v0\+json"
)
#: What is told where it was taken out: it did something. What only named an address is left out in
#: silence.
_CODE: Final = frozenset({"script", "frame", "form"})
_STYLE_ELEMENT: Final = re2.compile(r"(?is)<style[^>]*>.*?</style\s*>")
_ANY_TAG: Final = re2.compile(r"(?s)<!--.*?-->|<[^>]*>")
_SHOWN: Final = re2.compile(
    r"(?i)<(?:img|svg|input|button|hr|audio|video|meter|progress|details|table)\b"
)


@dataclass(frozen=True, slots=True)
class Neutral:
    """Markup that cannot call out.

    Attributes:
        value: The value, the same object when nothing was taken.
        removed: Short names of what was taken, sorted.
    """

    value: Any
    removed: tuple[str, ...] = ()


def is_script_type(mime: str) -> bool:
    """Returns whether a browser would run data of this type."""
    return bool(_SCRIPT_TYPE.fullmatch(mime.partition(";")[0].strip().lower()))


def has_code(neutral: Neutral) -> bool:
    """Returns whether what was taken out would have done something."""
    return not _CODE.isdisjoint(neutral.removed)


def shows_nothing(mime: str, value: object) -> bool:
    """Returns whether a reader would see nothing of markup: then there is room for a reason."""
    if mime.partition(";")[0].strip().lower() != "text/html":
        return False
    text = _STYLE_ELEMENT.sub("", "".join(value) if isinstance(value, list) else str(value))
    return not _SHOWN.search(text) and not html.unescape(_ANY_TAG.sub("", text)).strip()


def neutralise(mime: str, value: Any) -> Neutral:
    """Returns what a form of an output is without all that calls out or runs.

    Args:
        mime: The form's type.
        value: Its data: text, lines of text, or JSON.
    """
    base = mime.partition(";")[0].strip().lower()
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        joined = neutralise(mime, "".join(value))
        return joined if joined.removed else Neutral(value)
    if isinstance(value, str):
        clean = _TEXTS.get(base)
        if clean is None:
            return Neutral(value)
        cleaned = clean(value)
        return Neutral(value) if cleaned == value else Neutral(cleaned, _name(value))
    if isinstance(value, dict | list):
        removed: set[str] = set()
        cleaned_json = clean_specification(value, _clean_html_within, removed)
        return Neutral(cleaned_json, tuple(sorted(removed))) if removed else Neutral(value)
    return Neutral(value)


def _clean_html(text: str) -> str:
    """Returns markup that the grammar accepts."""
    if grammar.is_plain(text):
        return text
    text = without_addresses(text)
    if grammar.is_plain(text):
        return text
    tags = grammar.TAGS | grammar.DRAWING_TAGS
    for kept in (tags | {"style"}, tags, grammar.TAGS):
        cleaned = grammar.without_commands(_sanitise(text, set(kept)))
        if grammar.is_plain(cleaned):
            return cleaned
    words = nh3.clean(text, tags=set())
    return grammar.without_commands(html.unescape(words)).translate(_ESCAPES)


_ESCAPES: Final = {
    ord("<"): "&lt;",
    ord(">"): "&gt;",
    ord("&"): "&amp;",
    ord("\\"): "&#92; ",
    0: " ",
}


def _sanitise(text: str, tags: set[str]) -> str:
    def keep(tag: str, name: str, value: str) -> str | None:
        if name in {"href", "src", "poster", "xlink:href"}:
            return value if grammar.allows(tag, name, value) else None
        if "commandlinker" in name or (name == "type" and value.strip().lower() == "image"):
            return None
        is_safe = grammar.is_style_safe(value) and not re.search(r"[<>]", value)
        return value if is_safe else None

    schemes = {"http", "https", "data", "blob", "cid", "attachment"}
    return nh3.clean(
        text,
        tags=tags,
        clean_content_tags={"script", "noscript", "template", "iframe", "object", "math"}
        | ({"style"} - tags),
        attributes={"*": set(grammar.ATTRIBUTES | grammar.LINKS)},
        generic_attribute_prefixes=set(_PREFIXES),
        attribute_filter=keep,
        link_rel=None,
        url_schemes=schemes,
    )


def _clean_markdown(text: str) -> str:
    """Breaks, by one space or one character, what Markdown would render as more than text.

    Every ``<`` is judged on its own, wherever it stands, since a blank line ends a tag in Markdown.
    """
    if "<" in text:
        has_style = not grammar.is_style_safe(text)

        def judge(match: re.Match[str]) -> str:
            link = _AUTOLINK.match(text, match.start())
            if link and may_link(link[1]):
                return "<"
            tag = grammar.ONE_TAG.match(text, match.start())
            is_style = tag is not None and "style" in tag[0].lower()
            is_plain = tag is not None and grammar.is_plain(tag[0])
            return "<" if is_plain and not (is_style and has_style) else "< "

        text = _BROKEN.sub(judge, text)
    text = _REFERENCE_IMAGE.sub(lambda match: _judge_image(text, match), text)
    source = text

    def judge_link(match: re.Match[str]) -> str:
        if match[0] != "]":
            return match[0]
        target = _TARGET.match(source, match.end() + 1)
        return "]" if target and may_link(target[1].replace("\\", "\\\\")) else "] "

    text = _LINK.sub(judge_link, text)
    return grammar.without_commands(text) if grammar.has_command(text) else text


def _judge_image(text: str, match: re.Match[str]) -> str:
    """Lets an image stay whose address stands beside it and is local; others become links."""
    shown = re.compile(r"[^\[\]<]{0,500}\]\(\s*([^\s()<>\\&]+)[^\[\]]{0,200}?\)").match(
        text, match.end()
    )
    return "![" if shown and is_local(shown[1]) else "["


def _clean_latex(text: str) -> str:
    text = _BROKEN.sub("< ", text) if not grammar.is_plain(text) else text
    return grammar.without_commands(text) if grammar.has_command(text) else text


def _clean_html_within(text: str, removed: set[str]) -> str:
    """Returns a string of a specification without markup that calls out."""
    cleaned = _clean_html(text)
    if cleaned != text:
        removed.update(_name(text))
    return cleaned


def _name(text: str) -> tuple[str, ...]:
    found = {name for name, pattern in _KINDS.items() if pattern.search(text)}
    return tuple(sorted(found)) or ("remote-address",)


_TEXTS: Final = {
    "text/html": _clean_html,
    "image/svg+xml": _clean_html,
    "application/xml": _clean_html,
    "application/mathml+xml": _clean_html,
    "text/markdown": _clean_markdown,
    "text/latex": _clean_latex,
    "application/x-latex": _clean_latex,
}
