"""The gate's side of its checking process: one check at a time, and none that lasts for ever."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle  # noqa: TID251 - written for a process that was forked from this one
import signal
from collections import deque
from typing import TYPE_CHECKING, Final

from cloister.detect.sharedindex import IndexLender
from cloister.sidecar.checks import parcels
from cloister.sidecar.checks.jobs import Job, Verdict
from cloister.sidecar.checks.parcels import Parcel
from cloister.sidecar.checks.worker import fork_worker, state

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.sidecar.textguard import TextGuard

logger = logging.getLogger(__name__)

#: The alarm of the process itself comes first; this is for one that does not get to run.
_GRACE_S: Final = 5.0


class Checker:
    """Has messages checked outside the gate. For one thread.

    Made before the sidecar has any other thread: it forks.

    Args:
        guard: What checks go by; its policy and index may change at any time.
    """

    def __init__(self, guard: TextGuard) -> None:
        self._guard = guard
        self._pid, self._link = fork_worker(guard)
        self._lender: IndexLender | None = None
        self._known: tuple[object, ...] = ()  # what the process was told last
        self._waiting: deque[tuple[Job, Callable[[Verdict], None]]] = deque()
        self._then: Callable[[Verdict], None] | None = None
        self._number = 0
        self._deadline_s = 0.0
        self._is_gone = self._is_going_on = False

    def fileno(self) -> int:
        """Returns what becomes readable when there is news: call :meth:`hear` then."""
        return self._link.fileno()

    def check(self, job: Job, then: Callable[[Verdict], None], now_s: float) -> None:
        """Has a message checked.

        Args:
            job: The message.
            then: Called with the verdict, from :meth:`hear`, :meth:`expire` or here.
            now_s: Monotonic time in seconds.
        """
        self._waiting.append((job, then))
        self._go_on(now_s)

    def hear(self, now_s: float) -> None:
        """Takes what the process has said."""
        try:
            parcel = parcels.receive(self._link)
        except (OSError, ValueError):
            parcel = None
        if parcel is None:
            self._give_up()
        elif "ended" in parcel.head:
            self._known = ()
            if self._then is not None:
                logger.error("CLO-OUTPUT-005: a check has ended: %s", parcel.head["ended"])
                self._answer(Verdict(is_slow=parcel.head["ended"] == "slow"))
        elif parcel.head["job"] == self._number and self._then is not None:
            self._answer(Verdict.of(parcel))
        self._go_on(now_s)

    def prepare(self) -> None:
        """Has the process load what checks need, so that the first one does not wait for that."""
        if not self._known and not self._is_gone:
            with contextlib.suppress(OSError):
                self._tell_state()

    def deadline_s(self) -> float | None:
        """Returns when to call :meth:`expire`, in monotonic seconds; ``None`` for never."""
        return None if self._then is None else self._deadline_s

    def expire(self, now_s: float) -> None:
        """Ends a process that says nothing any more. What it would have checked stays."""
        if self._then is not None and now_s >= self._deadline_s:
            self._give_up()

    def close(self) -> None:
        """Ends the process."""
        self._link.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

    def _go_on(self, now_s: float) -> None:
        if self._is_going_on:
            return  # an answer brought the next question; the loop below finds it
        self._is_going_on = True
        try:
            self._begin_next(now_s)
        finally:
            self._is_going_on = False

    def _begin_next(self, now_s: float) -> None:
        while self._then is None and self._waiting:
            job, self._then = self._waiting.popleft()
            self._number += 1
            self._deadline_s = now_s + job.limit_s + _GRACE_S
            if self._is_gone:
                self._answer(Verdict())
                continue
            try:
                self._tell_state()
                parcels.send(self._link, job.parcel(self._number))
            except OSError:
                self._give_up()

    def _answer(self, verdict: Verdict) -> None:
        then, self._then = self._then, None
        if then is not None:
            then(verdict)

    def _give_up(self) -> None:
        """From here on nothing is checked elsewhere, so nothing that needs it leaves."""
        if not self._is_gone:
            logger.error("CLO-OUTPUT-005: the process that checks outputs is gone")
            self._is_gone = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        self._answer(Verdict(is_slow=True))

    def _tell_state(self) -> None:
        """Brings the process up to date where something has changed."""
        guard = self._guard
        lent = None
        if guard.index is not None and len(guard.index):
            self._lender = self._lender or IndexLender(guard.index)
            lent = self._lender.lend()
        cleared = None if guard.cleared is None else guard.cleared.files()
        current = (guard.policy, cleared, lent)
        if current == self._known:
            return
        shared, descriptors = lent or (None, [])
        parcels.send(
            self._link, Parcel({"state": True}, [state(guard), pickle.dumps(shared)], descriptors)
        )
        self._known = current
