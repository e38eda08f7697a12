"""Markup that needs no cleaning, as a grammar: a proof in linear time for any parser.

Text, comments without markup, and tags from a list, each with attributes from a list whose values
hold no ``<`` or ``>``. No element whose content is read in another way (``script``, ``textarea``,
``noscript``, ``template``, ...) is on the list, except ``style`` without ``<`` and ``&``; so no
nesting turns text into a tag (HTML, section 13.2.5). Addresses and styles
are looked at on their own.
"""

from __future__ import annotations

import html
import re
from typing import Final

import re2

from cloister.detect.links import is_local, may_link

TAGS: Final = frozenset(
    [
        "a",
        "abbr",
        "acronym",
        "address",
        "article",
        "aside",
        "b",
        "bdi",
        "bdo",
        "big",
        "blockquote",
        "br",
        "button",
        "caption",
        "center",
        "cite",
        "code",
        "col",
        "colgroup",
        "data",
        "dd",
        "del",
        "details",
        "dfn",
        "div",
        "dl",
        "dt",
        "em",
        "extra",  # of Plotly: what a hover box says beside a point
        "fieldset",
        "figcaption",
        "figure",
        "font",
        "footer",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hgroup",
        "hr",
        "i",
        "img",
        "input",
        "ins",
        "kbd",
        "label",
        "legend",
        "li",
        "main",
        "mark",
        "meter",
        "nav",
        "ol",
        "p",
        "pre",
        "progress",
        "q",
        "rp",
        "rt",
        "ruby",
        "s",
        "samp",
        "section",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "summary",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "time",
        "tr",
        "tt",
        "u",
        "ul",
        "var",
        "wbr",
        "audio",
        "video",
        "source",
        "picture",
    ]
)
DRAWING_TAGS: Final = frozenset(
    [
        "svg",
        "g",
        "path",
        "rect",
        "circle",
        "ellipse",
        "line",
        "polyline",
        "polygon",
        "text",
        "tspan",
        "textPath",
        "defs",
        "symbol",
        "use",
        "clipPath",
        "mask",
        "marker",
        "pattern",
        "linearGradient",
        "radialGradient",
        "stop",
        "title",
        "desc",
        "metadata",
    ]
)
ATTRIBUTES: Final = frozenset(
    [
        "class",
        "id",
        "style",
        "title",
        "target",
        "rel",
        "download",
        "alt",
        "width",
        "height",
        "border",
        "align",
        "valign",
        "colspan",
        "rowspan",
        "scope",
        "dir",
        "lang",
        "role",
        "for",
        "type",
        "value",
        "min",
        "max",
        "low",
        "high",
        "optimum",
        "checked",
        "disabled",
        "open",
        "span",
        "start",
        "datetime",
        "tabindex",
        "scoped",
        "summary",
        "cellpadding",
        "cellspacing",
        "bgcolor",
        "color",
        "face",
        "size",
        "controls",
        "loop",
        "muted",
        "headers",
        "halign",
        "nowrap",
        "hidden",
        "translate",
        "spellcheck",
        "readonly",
        "placeholder",
        "reversed",
        "xmlns",
        "version",
        "viewBox",
        "preserveAspectRatio",
        "d",
        "x",
        "y",
        "x1",
        "y1",
        "x2",
        "y2",
        "cx",
        "cy",
        "r",
        "rx",
        "ry",
        "fx",
        "fy",
        "dx",
        "dy",
        "points",
        "fill",
        "fill-opacity",
        "fill-rule",
        "stroke",
        "stroke-width",
        "stroke-opacity",
        "stroke-dasharray",
        "stroke-dashoffset",
        "stroke-linecap",
        "stroke-linejoin",
        "stroke-miterlimit",
        "opacity",
        "transform",
        "text-anchor",
        "dominant-baseline",
        "font-family",
        "font-size",
        "font-weight",
        "font-style",
        "letter-spacing",
        "clip-path",
        "clip-rule",
        "clipPathUnits",
        "gradientUnits",
        "gradientTransform",
        "offset",
        "stop-color",
        "stop-opacity",
        "patternUnits",
        "patternTransform",
        "markerWidth",
        "markerHeight",
        "markerUnits",
        "orient",
        "refX",
        "refY",
        "marker-start",
        "marker-mid",
        "marker-end",
        "overflow",
        "display",
        "visibility",
        "vector-effect",
        "rotate",
        "textLength",
        "lengthAdjust",
        "shape-rendering",
        "text-rendering",
        "font-variant",
    ]
)
LINKS: Final = frozenset({"href", "src", "poster"})

_NAME: Final = (
    "|".join(sorted(TAGS | DRAWING_TAGS, key=len, reverse=True)) + "|(?:rdf|cc|dc):[a-z]+"
)
_ATTRIBUTE: Final = (
    "(?:" + "|".join(sorted(ATTRIBUTES, key=len, reverse=True)) + "|href|src|poster|xlink:href"
    "|xml:space|xmlns:[a-z]+|rdf:[a-z]+|aria-[a-z]+|data-[a-z0-9_-]+)"
)
_TAG: Final = (
    rf"<(?:{_NAME})(?:\s+{_ATTRIBUTE}(?:\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[\w.#%-]+))?)*\s*/?>"
)
_PLAIN: Final = re2.compile(
    rf"(?is)(?:[^<]|<!--(?:-?[^<>-])*-->|</(?:{_NAME})\s*>|<style(?:\s+(?:scoped|type=[\"']text/css"
    rf"[\"']))?\s*>[^<&\\]*</style\s*>|{_TAG})*"
)
# Attributes whose values name nothing, and styles without a function, an @-rule, a quote or an
# escape, which load nothing: most tables have no other.
_STYLE_WORDS: Final = r"[\w\s.,:;#%*!{}+~-]*"
_BARE_ATTRIBUTE: Final = (
    r"(?:(?:class|id|border|align|valign|colspan|rowspan|scope|width|height|dir|lang|role)\s*=\s*"
    rf"(?:\"[\w .:%-]*\"|'[\w .:%-]*'|\w+)|style\s*=\s*\"{_STYLE_WORDS}\")"
)
_BARE: Final = re2.compile(
    rf"(?is)\s*(?:[^<]|</(?:{_NAME})\s*>|<(?:{_NAME})(?:\s+{_BARE_ATTRIBUTE})*\s*/?>"
    rf"|<style(?: scoped|\stype=\"text/css\")?>{_STYLE_WORDS}</style>)*"
)
_PROLOG: Final = re.compile(
    r"\s*(?:<\?xml[^<>]*\?>\s*)?(?:<!--(?:-?[^<>-])*-->\s*)?(?:<!DOCTYPE[^<>\[\]]*>\s*)?"
)
ONE_TAG: Final = re2.compile(rf"(?is){_TAG}|</(?:{_NAME})\s*>|<!--(?:-?[^<>-])*-->")
_ADDRESS: Final = re2.compile(
    r"(?is)<([a-z]+)[^<>]*?\s(?:xlink:)?(href|src|poster)\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s>]*)"
)
_DOUBTFUL: Final = re2.compile(
    r"(?i)url\s*\(|@import|image-set\s*\(|\b(?:src|image|expression)\s*\(|-moz-binding|behavior\s*:"
    r"|@font-face|commandlinker|<style[^>]*<|xml-stylesheet|\btype\s*=\s*[\"']?image"
)
_LOAD: Final = re2.compile(
    r"(?i)\b((?:url|src|image|image-set|cross-fade)\s*)\(([^)]*)|(@import\b)"
)
_STYLE_ESCAPE: Final = re2.compile(r"\\([0-9a-fA-F]{1,6})\s?")
_MOST_CODE_POINT: Final = 0x10FFFF
_LOCAL_STYLE: Final = re2.compile(
    r"(?i)url\(\s*[\"']?(?:#[\w-]*|data:(?:image/(?:png|jpeg|gif|webp)|font/\w+)[\w/+=;,.:-]*)[\"']?\s*\)"
)
_STYLE: Final = re2.compile(r"(?is)\sstyle\s*=\s*(\"[^\"]*\"|'[^']*')")
_COMMAND: Final = re2.compile(
    r"\\(href|url|require|includegraphics|unicode|style|class|cssId|data|input|html\w*|bbox|write18)"
    r"\b"
)
_COMMENT: Final = re2.compile(r"(?s)<!--.*?-->")


def is_style_safe(text: str) -> bool:
    """Returns whether a style names nothing to load; an escape in it could spell anything."""
    return "\\" not in text and not _DOUBTFUL.search(_LOCAL_STYLE.sub("", text))


def without_loads(text: str) -> str:
    """Returns text that, taken for a style, loads nothing from elsewhere; itself where it did not.

    Widgets and charts hand strings on to styles; most strings that name a function are no styles.
    """
    plain = _STYLE_ESCAPE.sub(_unescaped, text) if "\\" in text else text
    broken = _LOAD.sub(_broken, plain)
    return text if broken == plain else broken


def _unescaped(match: re.Match[str]) -> str:
    code = int(match[1], 16)
    return chr(code) if 0 < code <= _MOST_CODE_POINT else " "


def _broken(match: re.Match[str]) -> str:
    if match[3]:
        return "import"
    if all(is_local(part) for part in re.split(r"[\s,'\"]+", match[2])):
        return match[0]
    return f"{match[1]}("


def has_command(text: str) -> bool:
    """Returns whether text holds a TeX command that MathJax answers with a link, style or load."""
    if "\\" not in text and "&" not in text:
        return False
    return bool(_COMMAND.search(html.unescape(_COMMENT.sub("", text))))


def without_commands(text: str) -> str:
    """Returns text in which such commands are words."""
    return str(_COMMAND.sub(r"\1", text))


def is_plain(text: str) -> bool:
    """Returns whether markup can be rendered as it is: nothing in it loads or runs."""
    if "\0" in text or has_command(text):
        return False
    try:
        if _BARE.fullmatch(text.encode()):  # bytes take a third of the time
            return True
        body = text[_PROLOG.match(text).end() :]  # type: ignore[union-attr] # it matches nothing, too
        if not _PLAIN.fullmatch(body.encode()):
            return False
    except (UnicodeError, re2.error):
        return False
    return has_local_addresses(text)


def has_local_addresses(text: str) -> bool:
    """Returns whether all attributes of markup of this grammar name what may be named."""
    if _DOUBTFUL.search(_LOCAL_STYLE.sub("", text)):
        return False
    for quoted in _STYLE.findall(text) if "style" in text else ():
        if not is_style_safe(html.unescape(quoted)):
            return False
    if not _ADDRESS.search(text):
        return True
    return all(
        allows(element, name, value.strip("\"'"))
        for tag in ONE_TAG.findall(text)
        for element, name, value in _addresses_of(tag)
    )


_PAIR: Final = re2.compile(
    r"(?is)\s(?:xlink:)?(href|src|poster)\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s>]*)"
)


def _addresses_of(tag: str) -> list[tuple[str, str, str]]:
    name = re.split(r"[\s/>]", tag[1:], maxsplit=1)[0].lower()
    return [(name, attribute.lower(), value) for attribute, value in _PAIR.findall(tag)]


def allows(tag: str, name: str, value: str) -> bool:
    """Returns whether an element may name an address in an attribute."""
    if tag.lower() == "a" and name == "href":
        return may_link(value)
    if tag.lower() == "use":
        return value.startswith("#")
    return is_local(value)
