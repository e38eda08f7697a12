"""Joins intents with their results while a record passes by. Pure.

Only executions whose result is still to come are held; those that never got one, because their
kernel was killed, come at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cloister.store.executions import INTENT, RESULT
from cloister.store.exports import facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cloister.store.exports.view import Event

_MOST_CONNECTIONS: Final = 1000  # of one execution


@dataclass(slots=True)
class Cell:
    """An execution as far as it is known.

    Attributes:
        id: Its id.
        intent: Recorded before it ran; ``None`` where that was not chosen for the export.
        result: Recorded when it had run; ``None`` where it never was.
        connections: Bodies of ``egress.allowed`` and ``egress.denied`` that came between.
    """

    id: str
    intent: Event | None = None
    result: Event | None = None
    connections: list[dict[str, Any]] = field(default_factory=list)

    @property
    def event(self) -> Event:
        """The event that stands for it: the result where there is one."""
        found = self.result or self.intent
        assert found is not None  # noqa: S101 - a cell is made from one of them
        return found

    @property
    def asked(self) -> dict[str, Any]:
        """The facts of the intent."""
        return self.intent.body if self.intent else {}

    @property
    def done(self) -> dict[str, Any]:
        """The facts of the result."""
        return self.result.body if self.result else {}

    @property
    def notebook(self) -> str:
        """The notebook's path, or what stands for a session without one."""
        found = facts.text(self.asked, "notebook")
        return found or f"kernel {facts.text(self.event.body, 'kernel_id') or 'unknown'}"

    @property
    def user(self) -> str | None:
        """Who ran it."""
        return facts.text(self.asked, "user")

    @property
    def status(self) -> str:
        """``ok``, ``error``, ``aborted``, ``killed`` or ``unfinished``."""
        return facts.text(self.done, "status") or "unfinished"


class Cells:
    """Takes events in order and gives executions back when they are known."""

    def __init__(self) -> None:
        self._open: dict[str, Cell] = {}

    def take(self, event: Event) -> Cell | None:
        """Takes an event.

        Returns:
            The execution that it ends, or ``None``.
        """
        if event.type == INTENT:
            name = event.execution_id or f"event {event.seq}"
            self._open[name] = Cell(name, intent=event)
        elif event.type == RESULT:
            name = event.execution_id or f"event {event.seq}"
            ended = self._open.pop(name, None) or Cell(name)
            ended.result = event
            return ended
        elif event.type.startswith("egress."):
            cell = self._open.get(event.execution_id or "")
            if cell is not None and len(cell.connections) < _MOST_CONNECTIONS:
                cell.connections.append(event.body)
        return None

    def rest(self) -> Iterator[Cell]:
        """Yields the executions that have no result."""
        yield from self._open.values()
        self._open.clear()


def cells(events: Iterable[Event]) -> Iterator[Cell]:
    """Yields executions in the order in which they ended."""
    joined = Cells()
    for event in events:
        cell = joined.take(event)
        if cell is not None:
            yield cell
    yield from joined.rest()
