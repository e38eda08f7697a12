"""Progress of a training: a widget in notebooks, one updating line everywhere.

Shows how far it is, the epsilon of the steps so far, and the loss with its noise. Never the loss
itself: on private data that is a release of its own.
"""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol

_LEAST_PAUSE_S = 0.5
_BAR_WIDTH = 24


class Progress(Protocol):
    """Where progress is shown."""

    def say(self, text: str) -> None:
        """Shows a line that stays."""

    def is_due(self) -> bool:
        """Returns whether an update would be shown now; computing one may cost something."""

    def update(self, share: float, text: str) -> None:
        """Shows the share that is done, 0 to 1, and a text beside it."""

    def close(self, text: str) -> None:
        """Ends with a line that stays."""


class NoProgress:
    """Shows nothing."""

    def say(self, text: str) -> None:
        """Shows nothing."""

    def is_due(self) -> bool:
        """Never."""
        return False

    def update(self, share: float, text: str) -> None:
        """Shows nothing."""

    def close(self, text: str) -> None:
        """Shows nothing."""


class LineProgress:
    """One line on standard output that is written over."""

    def __init__(self) -> None:
        self._next_s = 0.0
        self._width = 0

    def say(self, text: str) -> None:
        """Shows a line that stays."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def is_due(self) -> bool:
        """Returns whether half a second has passed since the last update."""
        return time.monotonic() >= self._next_s

    def update(self, share: float, text: str) -> None:
        """Writes the line over."""
        done = round(share * _BAR_WIDTH)
        self._write(f"[{'#' * done}{'.' * (_BAR_WIDTH - done)}] {text}")
        self._next_s = time.monotonic() + _LEAST_PAUSE_S

    def close(self, text: str) -> None:
        """Writes the line over for the last time."""
        self._write(text)
        sys.stdout.write("\n")
        sys.stdout.flush()

    def _write(self, line: str) -> None:
        # Blanks cover what is left of a longer line before.
        sys.stdout.write("\r" + line.ljust(self._width))
        sys.stdout.flush()
        self._width = len(line)


class WidgetProgress(LineProgress):
    """An ipywidgets bar that goes away at the end; what stays is a line of text.

    It comes with the first update, so a training that is refused leaves no empty bar.
    """

    def __init__(self) -> None:
        super().__init__()
        import ipywidgets

        self._bar: Any = ipywidgets.FloatProgress(min=0.0, max=1.0, description="training")
        self._label: Any = ipywidgets.Label()
        self._box: Any = ipywidgets.HBox([self._bar, self._label])
        self._is_displayed = False

    def update(self, share: float, text: str) -> None:
        """Moves the bar."""
        if not self._is_displayed:
            from IPython.display import display

            display(self._box)  # type: ignore[no-untyped-call,unused-ignore]
            self._is_displayed = True
        self._bar.value = share
        self._label.value = text
        self._next_s = time.monotonic() + _LEAST_PAUSE_S

    def close(self, text: str) -> None:
        """Removes the bar and leaves a line, which is still there when the notebook is reopened."""
        self._box.close()
        self.say(text)


def make_progress(*, is_wanted: bool) -> Progress:
    """Returns a widget in a notebook's kernel, a line elsewhere, or nothing."""
    if not is_wanted:
        return NoProgress()
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None and hasattr(shell, "kernel"):
        try:
            return WidgetProgress()
        except Exception:  # noqa: BLE001 - whatever a display without widgets raises, the line works
            return LineProgress()
    return LineProgress()
