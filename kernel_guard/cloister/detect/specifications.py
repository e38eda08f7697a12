"""Charts and widgets: JSON that a renderer turns into a page, made unable to call out.

What a key means is known for the renderers that JupyterLab has and for its common extensions (Vega,
Plotly, ipywidgets, maps). Any other string is judged by what it looks like: an address, a style
that loads, markup. What code computes in the browser cannot be judged here; see ``is_computed``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from cloister.detect.links import is_local
from cloister.detect.markupgrammar import without_loads

if TYPE_CHECKING:
    from collections.abc import Callable

_CODE_KEYS: Final = frozenset({"_esm", "_css", "loader", "plotlyserverurl", "topojsonurl"})
_ADDRESS_KEYS: Final = frozenset(
    {"url", "url_template", "href", "source", "src", "tiles", "baseurl", "icon"}
)
#: How Vega shows a chart: switches are fine, styles and addresses are not.
_OPTION_KEYS: Final = frozenset({"embed_options", "embedoptions"})
_UNSHOWN_KEYS: Final = frozenset({"$schema", "usermeta"})
_PLOTLY_DEFAULT: Final = "https://plot.ly"  # asked only by a button
_REMOTE: Final = re.compile(
    r"\s*(?:[a-z+.-]{2,12}:)?//|\s*(?:javascript|mapbox|vbscript):", re.IGNORECASE
)
_SCHEME: Final = re.compile(r"(?i)[a-z+.-]*:?//+|(?:javascript|mapbox|vbscript):")


def clean_specification(
    value: Any, clean_html: Callable[[str, set[str]], str], removed: set[str], key: str = ""
) -> Any:
    """Returns a specification or state without code, remote addresses and markup that calls out.

    Args:
        value: JSON.
        clean_html: Cleans markup in a string, and says what it took out.
        removed: Short names of what was taken are added here.
        key: Under which the value stands, in lower case.
    """
    if isinstance(value, dict):
        kept = {}
        for name, part in value.items():
            lowered = name.lower()
            if _is_dropped(lowered, part, removed):
                continue
            if lowered in _OPTION_KEYS and isinstance(part, dict):
                kept[name] = {k: v for k, v in part.items() if isinstance(v, bool | int | float)}
                removed.update({"style"} if kept[name] != part else ())
            else:
                kept[name] = clean_specification(part, clean_html, removed, lowered)
        return kept
    if isinstance(value, list):
        return [clean_specification(part, clean_html, removed, key) for part in value]
    if not isinstance(value, str) or key in _UNSHOWN_KEYS:
        return value
    return _clean_string(value, key, clean_html, removed)


def _is_dropped(key: str, part: object, removed: set[str]) -> bool:
    """Returns whether a key goes as a whole, and notes why."""
    # An address that is computed in the browser cannot be judged here.
    is_computed = key in {"url", "href"} and isinstance(part, dict | list)
    is_code = key in _CODE_KEYS and bool(part) and part != _PLOTLY_DEFAULT
    if not is_computed and not is_code:
        return False
    removed.add("script" if key in {"_esm", "loader"} else "remote-address")
    return True


def _clean_string(
    value: str, key: str, clean_html: Callable[[str, set[str]], str], removed: set[str]
) -> str:
    if key in _ADDRESS_KEYS and not is_local(value):
        removed.add("remote-address")
        return ""
    if value != _PLOTLY_DEFAULT and _REMOTE.match(value):
        removed.add("remote-address")
        return _SCHEME.sub("", value)
    if "(" in value or "@" in value:
        harmless = without_loads(value)
        if harmless != value:
            removed.add("style")
            value = harmless
    return clean_html(value, removed) if "<" in value or "\\" in value else value
