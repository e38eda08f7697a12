"""Prometheus metrics of the workspace on Jupyter's ``/metrics``.

Counters begin with the server, as Prometheus expects it. Labels come from closed sets: no name of a
user, notebook, dataset or host is ever one.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from cloister.store.executions import RESULT
from cloister.store.exports import facts
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    StateSetMetricFamily,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cloister.store.entry import Entry
    from prometheus_client import Metric

    from cloister_lab.live.following import Follower
    from cloister_lab.record import Check

_STATUS: Final = ("ok", "error", "aborted", "killed")
_OTHER: Final = "other"
_DISPOSITIONS: Final = ("shown", "masked", "blocked")
_MICROS: Final = 1_000_000


class Metrics:
    """Counts events and describes the record when Prometheus asks.

    Args:
        database: The record's file; its size is told where it is SQLite.
        last_check: Returns the last verification and whether the record is still that one.
    """

    def __init__(self, database: Path, last_check: Callable[[], tuple[Check | None, bool]]) -> None:
        self._database = database
        self._last_check = last_check
        self._executions = Counter(dict.fromkeys((*_STATUS, _OTHER), 0))
        self._outputs = Counter(dict.fromkeys(_DISPOSITIONS, 0))
        self._egress = Counter({"allowed": 0, "denied": 0})
        self.follower: Follower | None = None

    def take(self, event: Entry) -> None:
        """Counts an event."""
        if event.type == RESULT:
            status = facts.text(event.body, "status")
            self._executions[status if status in _STATUS else _OTHER] += 1
            self._outputs.update(facts.counts(event.body))
        elif event.type == "egress.denied":
            self._egress["denied"] += 1
        elif event.type == "egress.allowed" and event.body.get("phase") != "closed":
            self._egress["allowed"] += 1

    def stop(self) -> None:
        """Nothing waits."""

    def describe(self) -> list[Metric]:
        """Says nothing beforehand; the registry would otherwise read the record for it."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yields what is known now, without reading the record."""
        yield _counter("executions", "Executions that ended.", "status", self._executions)
        yield _counter("outputs", "Outputs by what happened to them.", "disposition", self._outputs)
        yield _counter("egress", "Connections that kernels asked for.", "decision", self._egress)
        yield from self._record()
        yield from self._verification()

    def _record(self) -> Iterator[Metric]:
        follower = self.follower
        if follower is None:
            return
        yield GaugeMetricFamily(
            "cloister_record_readable",
            "1 while the record can be read.",
            value=float(follower.is_readable),
        )
        yield GaugeMetricFamily(
            "cloister_record_events", "Events in the record.", value=follower.size
        )
        if follower.newest_us is not None:
            yield GaugeMetricFamily(
                "cloister_record_checkpoint_timestamp_seconds",
                "When the newest event was recorded and the newest checkpoint signed.",
                value=follower.newest_us / _MICROS,
            )
        try:
            size = self._database.stat().st_size
        except OSError:
            return
        yield GaugeMetricFamily(
            "cloister_record_bytes", "Size of the record's database file.", value=size
        )

    def _verification(self) -> Iterator[Metric]:
        check, is_current = self._last_check()
        # A record that was found broken stays broken until it is checked again.
        state = "unknown" if check is None else "whole" if check.ok else "broken"
        if state == "whole" and not is_current:
            state = "whole_then"
        yield StateSetMetricFamily(
            "cloister_record_verification",
            "What the last verification found; whole_then: whole, and it has grown since.",
            {name: name == state for name in ("whole", "whole_then", "broken", "unknown")},
        )
        if check is not None:
            yield GaugeMetricFamily(
                "cloister_record_verification_timestamp_seconds",
                "When the record was last verified.",
                value=check.checked_at,
            )


def _counter(name: str, text: str, label: str, counts: Counter[str]) -> Metric:
    family = CounterMetricFamily(f"cloister_{name}", text, labels=[label])
    for value, count in sorted(counts.items()):
        family.add_metric([value], count)
    return family
