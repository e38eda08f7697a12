"""A time limit for one piece of work: in the main thread by an alarm, elsewhere by looking.

Whatever a kernel sends is looked at by one thread, so one message that takes for ever would hold
every other one up. Each search is linear in the length of its text; the limit is for what nobody
has thought of, and for requests that hold very much.

Source: setitimer(2). A signal's handler runs between two steps of Python, so a single call into C
ends first. Other threads get no signals: there, searches look at the clock between their steps.
"""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


_ends_s: ContextVar[float | None] = ContextVar("ends_s", default=None)


class TimeIsUp(BaseException):
    """The limit was reached. No handler of ordinary errors may take it for one."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises :class:`TimeIsUp` in the body when it takes longer; the main thread only.

    Args:
        seconds: Above zero.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("a time limit needs the main thread")
    before = signal.signal(signal.SIGALRM, _raise)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _raise(_number: int, _frame: FrameType | None) -> None:
    raise TimeIsUp


@contextmanager
def searching_at_most(seconds: float) -> Iterator[None]:
    """Lets searches of this thread raise :class:`TimeIsUp` once the body has taken longer.

    Args:
        seconds: Above zero.
    """
    before = _ends_s.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends_s.reset(before)


def look_at_the_clock() -> None:
    """Raises :class:`TimeIsUp` where :func:`searching_at_most` says so."""
    ends_s = _ends_s.get()
    if ends_s is not None and time.monotonic() > ends_s:
        raise TimeIsUp
