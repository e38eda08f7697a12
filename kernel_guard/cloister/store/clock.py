"""The time of an event, and how a clock that jumps is told from one that runs.

Order is what the numbers say; a time is what the clock of the recording machine said. Within a
second times never go back. A larger step, in either direction, is not hidden by bending the times
after it: the clock's own time is recorded, and an event ``clock.stepped`` before it says by how
much it jumped. Forward jumps are seen by comparing with a clock that nobody can set.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

STEPPED: Final = "clock.stepped"
TOLERANCE_US: Final = 1_000_000
"""Steps below this are corrections; those above it are events of their own."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at both clocks.

    Attributes:
        time_us: What to record, microseconds since 1970 UTC.
        step_us: By how much the clock jumped since it was last looked at, 0 if it did not.
        wall_us: The clock that people set.
        steady_us: The clock since the machine's start, sleep included.
    """

    time_us: int
    step_us: int
    wall_us: int
    steady_us: int


class Clock:
    """Reads the time for events.

    Args:
        wall_us: Microseconds since 1970 UTC.
        steady_us: Microseconds since any fixed moment; nobody can set it.
    """

    def __init__(
        self,
        wall_us: Callable[[], int] = lambda: time.time_ns() // 1000,
        steady_us: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000,
    ) -> None:
        self._wall_us = wall_us
        self._steady_us = steady_us
        self._last: Reading | None = None

    def read(self, last_us: int | None) -> Reading:
        """Returns the time of the next event.

        Args:
            last_us: Time of the event before, which another process or machine may have recorded.
        """
        wall, steady = self._wall_us(), self._steady_us()
        step = 0
        if self._last is not None:
            step = (wall - self._last.wall_us) - (steady - self._last.steady_us)
        if abs(step) <= TOLERANCE_US:
            step = 0
        behind = 0 if last_us is None else last_us - wall
        if behind > TOLERANCE_US:
            step = step or -behind
        time_us = wall + behind if 0 < behind <= TOLERANCE_US else wall
        return Reading(time_us, step, wall, steady)

    def accept(self, reading: Reading) -> None:
        """Notes that what the reading says is recorded; a step is told until then."""
        self._last = reading
