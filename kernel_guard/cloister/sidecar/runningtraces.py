"""Which trace the running execution belongs to, learned from what is recorded about it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from cloister.core.traces import traceparent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloister.core.records import Record

_MOST: Final = 10_000
"""Executions that are remembered at once; who queues more gets no header for the oldest."""


class RunningTraces:
    """Stands between the recorder and the log; safe to call from several threads.

    Args:
        append: Appends records durably.
    """

    def __init__(self, append: Callable[[Sequence[Record]], object]) -> None:
        self._append = append
        self._lock = threading.Lock()
        self._headers: dict[str, str] = {}

    def append(self, records: Sequence[Record]) -> object:
        """Appends records and remembers the traces of intents until their results come.

        Raises:
            StoreUnavailable: The log cannot take them; then nothing is remembered.
        """
        answer = self._append(records)
        for record in records:
            execution = record.body.get("execution_id")
            if not isinstance(execution, str):
                continue
            if record.type == "cell.intent":
                self._begin(execution, traceparent(record.body))
            elif record.type == "cell.result":
                with self._lock:
                    self._headers.pop(execution, None)
        return answer

    def of(self, execution: str | None) -> str | None:
        """Returns the ``traceparent`` for what an execution calls."""
        with self._lock:
            return self._headers.get(execution or "")

    def _begin(self, execution: str, header: str | None) -> None:
        if header is None:
            return
        with self._lock:
            self._headers[execution] = header
            if len(self._headers) > _MOST:
                del self._headers[next(iter(self._headers))]
