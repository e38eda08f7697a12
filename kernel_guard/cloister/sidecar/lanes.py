"""Work that has to be done in order and may have to wait for a check in the middle.

What a kernel says on one channel goes one after the other: its *lane*. Most messages pass at once.
One that is checked in another process stops its own lane, and the others go on.

Work is a generator: it yields what is to be checked and is sent the verdict.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from cloister.sidecar.checks.jobs import Job, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.sidecar.checks.checker import Checker

_T = TypeVar("_T")
#: Work that yields jobs, is sent verdicts, and returns something in the end.
Work: TypeAlias = Generator[Job, Verdict, _T]


class Lanes:
    """The lanes of one kernel.

    Args:
        checker: Checks what is not checked here.
    """

    def __init__(self, checker: Checker) -> None:
        self._checker = checker
        self._waiting: dict[str, deque[tuple[int, Callable[[], Work[Any]]]]] = {}
        self._busy: set[str] = set()
        self.waiting_bytes = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits anywhere."""
        return not self._busy

    def put(self, lane: str, size: int, begin: Callable[[], Work[Any]]) -> None:
        """Does work on a lane, now or when what is before it is done.

        Args:
            lane: Its name.
            size: Bytes that the work holds as long as it waits.
            begin: Begins it.
        """
        if lane in self._busy:
            self._waiting.setdefault(lane, deque()).append((size, begin))
            self.waiting_bytes += size
        else:
            self._run(lane, begin())

    def _run(self, lane: str, work: Work[Any]) -> None:
        try:
            job = next(work)
        except StopIteration:
            return
        self._busy.add(lane)
        self._wait(lane, work, job)

    def _wait(self, lane: str, work: Work[Any], job: Job) -> None:
        self._checker.check(job, partial(self._go_on, lane, work), time.monotonic())

    def _go_on(self, lane: str, work: Work[Any], verdict: Verdict) -> None:
        try:
            self._wait(lane, work, work.send(verdict))
            return
        except StopIteration:
            self._busy.discard(lane)
        waiting = self._waiting.get(lane)
        while waiting and lane not in self._busy:
            size, begin = waiting.popleft()
            self.waiting_bytes -= size
            self._run(lane, begin())
