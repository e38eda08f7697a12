"""How IPython shows our errors: the code, what happened, the rule, what to do, and the user's line.

Other errors keep IPython's traceback. Ours leaves out every frame that is not the user's own cell,
because how a refusal travels through a library says nothing about what to change.
"""

from __future__ import annotations

import linecache
from typing import TYPE_CHECKING

from cloister.core.errors import CloisterError

if TYPE_CHECKING:
    from types import TracebackType

_BOLD_RED, _BOLD, _GREEN, _PLAIN = "\x1b[1;31m", "\x1b[1m", "\x1b[32m", "\x1b[0m"


def install() -> None:
    """Makes IPython show Cloister's errors in their short form, wherever it shows a traceback."""
    # IPython's own seam for errors that know how to show themselves. It leaves set_custom_exc,
    # of which there is only one, to the user.
    CloisterError._render_traceback_ = _render  # type: ignore[attr-defined]


def short_traceback(error: CloisterError, traceback: TracebackType | None) -> list[str]:
    """Returns the lines of the short form, with ANSI colours.

    Args:
        error: What was raised.
        traceback: Where; only frames of the user's cells and scripts are quoted.
    """
    lines = [f"{_BOLD_RED}{type(error).__name__}{_PLAIN}: {_BOLD}{error.code}{_PLAIN}"]
    place = _user_place(traceback)
    if place is not None:
        name, number, text = place
        lines.append(f"{_GREEN}{name}, line {number}{_PLAIN}\n    {text}")
    said = [error.message]
    if error.rule:
        said.append(f"{_BOLD}Rule:{_PLAIN} {error.rule}")
    if error.remedy:
        said.append(f"{_BOLD}What to do:{_PLAIN} {error.remedy}")
    lines.append("\n".join(said))
    return lines


def _user_place(traceback: TracebackType | None) -> tuple[str, int, str] | None:
    """Returns the innermost line that the user wrote in this session."""
    place: tuple[str, int, str] | None = None
    while traceback is not None:
        frame = traceback.tb_frame
        if frame.f_globals.get("__name__") == "__main__":
            file = frame.f_code.co_filename
            text = linecache.getline(file, traceback.tb_lineno).strip()
            is_cell = file.startswith("<") or "ipykernel" in file
            place = ("This cell" if is_cell else file, traceback.tb_lineno, text)
        traceback = traceback.tb_next
    return place


def _render(error: CloisterError) -> list[str]:
    return short_traceback(error, error.__traceback__)
