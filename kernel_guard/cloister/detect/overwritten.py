r"""Reads lines as a screen shows them, once backspaces and carriage returns have had their say.

``xxx-85-2449\r144`` holds no number, and every notebook and terminal shows one.

Source: what JupyterLab's renderer of streams does: a backspace takes the character before it away,
a carriage return goes back to the beginning of the line, and what follows is written over it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cloister.detect.views import View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloister.detect.views import Budget

OVERWRITTEN: Final = r"[^\r\n\x08]\r+[^\r\n]|[^\n]\x08"


def read_overwritten(text: str, data: bytes, pattern: Any, _budget: Budget) -> Iterator[View]:
    """Yields lines in which something was written over something else, each as a whole."""
    end = 0
    for match in pattern.finditer(data):
        if match.start() < end:
            continue  # of a line that was read
        start = text.rfind("\n", 0, match.start()) + 1
        end = text.find("\n", match.end())
        end = len(text) if end < 0 else end
        shown = as_shown(text[start:end])
        # A progress bar that was written anew as a whole says nothing that its last state does not.
        if shown not in text[start:end]:
            yield View(shown, start, end, holds_more=False)


def as_shown(line: str) -> str:
    """Returns what a line without a line end looks like on a screen."""
    typed: list[str] = []
    for character in line:
        if character != "\x08":
            typed.append(character)
        elif typed:
            typed.pop()
    shown = ""
    for written in "".join(typed).split("\r"):
        shown = written + shown[len(written) :]
    return shown
