"""Which addresses rendered output may name: those that make a browser ask nobody else.

Local: ``data:`` pictures, sounds and fonts, ``blob:``, ``cid:``, ``attachment:``, a fragment, and
a path on the page's own server. A link that a person has to click may also be plain ``http(s)``,
without a query, user, fragment or long opaque segment, in which a value could leave once clicked.
"""

from __future__ import annotations

import html
import re
from typing import Final
from urllib.parse import urlsplit

# Browsers drop tabs and line ends in a URL and spaces around it, and read a backslash as a slash.
_IGNORED: Final = re.compile(r"[\x00-\x20\x7f-\xa0\u200b-\u200f\ufeff]")
_LOCAL: Final = re.compile(
    r"(?i)(?:data:(?:image/(?:png|jpeg|gif|webp|bmp)|audio/|video/|font/|application/(?:x-)?font)"
    r"|blob:|cid:|attachment:|#)"
)
_SCHEME: Final = re.compile(r"(?i)[a-z][a-z0-9+.-]*:|[/\\]{2}")
_LONGEST_SEGMENT: Final = 64


def is_local(address: str) -> bool:
    """Returns whether loading an address asks no other host and runs nothing."""
    plain = _IGNORED.sub("", html.unescape(address))
    return bool(_LOCAL.match(plain)) or not _SCHEME.match(plain)


def may_link(address: str) -> bool:
    """Returns whether a link to an address may stay for a person to click."""
    plain = html.unescape(address)
    if is_local(plain):
        return True
    if _IGNORED.search(plain) or "\\" in plain:
        return False
    try:
        parts = urlsplit(plain)
    except ValueError:
        return False
    return (
        parts.scheme.lower() in {"http", "https"}
        and bool(parts.hostname)
        and "@" not in parts.netloc
        and "?" not in plain
        and all(len(part) <= _LONGEST_SEGMENT for part in re.split(r"[/.#]", plain))
    )
