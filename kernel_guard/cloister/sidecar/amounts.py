"""How many rows and cells an output shows at most, counted from what leaves.

An upper estimate: in what is text a line is a row, and what stands between spaces, commas,
semicolons, tabs or bars is a cell, whether or not it is of a dataset. Of several forms of one
output the largest counts, since a client shows one of them. A value of a reply is both.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cloister.core.volume import Amount

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_CELL: Final = re.compile(r"[^\s,;|]+")
_HTML_ROW: Final = re.compile(r"<tr\b", re.IGNORECASE)
_HTML_CELL: Final = re.compile(r"<t[dh]\b", re.IGNORECASE)
_MOST_DEPTH: Final = 100
_PLUMBING: Final = frozenset(
    {"status", "clear_output", "iopub_welcome", "kernel_info_reply"}
    | {"shutdown_reply", "interrupt_reply"}
)
#: Replies that say something in one field only, and mostly do not.
_MOSTLY_EMPTY: Final = {"comm_info_reply": "comms", "is_complete_reply": "indent"}
#: Replies whose values stand one by one in some of their fields.
_OF_LEAVES: Final = {
    "complete_reply": ("matches",),
    "history_reply": ("history",),
    "execute_reply": ("user_expressions", "payload", "evalue"),
    "debug_reply": ("body",),
}


def carries(kind: str, content: Mapping[str, object]) -> bool:
    """Returns whether a message brings its client something that a kernel has chosen.

    Status, and a reply that only says how an execution ended, do not.
    """
    if kind == "execute_reply":
        return content.get("status") == "error" or any(
            content.get(key) for key in ("user_expressions", "payload")
        )
    if kind in _MOSTLY_EMPTY:
        return bool(content.get(_MOSTLY_EMPTY[kind]))
    return kind not in _PLUMBING


def amount_of(kind: str, content: Mapping[str, object], size: int) -> Amount:
    """Returns what the content of one message shows.

    Args:
        kind: Its message type.
        content: What it holds.
        size: Its bytes on the wire; they count exactly.
    """
    if not carries(kind, content):
        return Amount()
    forms = content.get("data")
    shown: Iterable[Amount] = ()
    if kind in _OF_LEAVES:
        values = [content.get(key) for key in _OF_LEAVES[kind]]
        leaves = _leaves([value for value in values if value])
        shown = [Amount(leaves, leaves)]
    elif isinstance(forms, dict):
        shown = [_form(mime, form) for mime, form in forms.items()]
    else:
        shown = [_text(str(content.get(key, ""))) for key in ("text", "evalue", "prompt")]
    rows = max((amount.rows for amount in shown), default=0)
    cells = max((amount.cells for amount in shown), default=0)
    return Amount(rows, cells, size)


def _form(mime: str, form: object) -> Amount:
    if not isinstance(form, str):
        leaves = _leaves(form)
        return Amount(leaves, leaves)
    if mime.startswith(("image/", "audio/", "video/")) and mime != "image/svg+xml":
        return Amount()  # pixels: bytes alone say how much
    if mime == "text/html" and (rows := len(_HTML_ROW.findall(form))):
        return Amount(rows, len(_HTML_CELL.findall(form)))
    return _text(form)


def _text(text: str) -> Amount:
    lines = sum(1 for line in text.splitlines() if line.strip())
    return Amount(lines, sum(1 for _ in _CELL.finditer(text)))


def _leaves(value: object) -> int:
    """Counts the values of a JSON document; deeper than any honest one it stops."""
    count, level = 0, [value]
    for _ in range(_MOST_DEPTH):
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below += item.values()
            elif isinstance(item, list):
                below += item
            else:
                count += 1
        level = below
    return count
