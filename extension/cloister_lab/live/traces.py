"""OpenTelemetry spans of executions, sent to the collector that the policy names.

One span for each execution, made from its intent and its result when that is recorded: ids and
times are the record's, so the span joins the client's trace and what the proxy has passed on.
Attributes are counts, rules and entity types; no name of a user, notebook, dataset or host, no code
and no output. What waits when the collector is out of reach is dropped after a while: the record
has it.
"""

from __future__ import annotations

import fcntl
import logging
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from cloister.core.telemetry import TelemetryRules
from cloister.core.traces import parent_span_id_of, span_id_of, trace_id_of
from cloister.store.executions import INTENT, RESULT
from cloister.store.exports import facts
from cloister.store.exports.product import product_version
from cloister.store.files import PRIVATE_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloister.store.entry import Entry
    from cloister.store.home import Home
    from opentelemetry.sdk.trace import TracerProvider

_log = logging.getLogger(__name__)

_MOST_OPEN: Final = 10_000  # executions whose result is still to come
_MOST_EVENTS: Final = 100  # connections told of one span
_NANOS: Final = 1000  # of a microsecond
_EXPORT_EVERY_MS: Final = 1000
_LAST_EXPORT_MS: Final = 2000


class Traces:
    """Sends spans while the policy names a collector.

    Args:
        home: The workspace; of several servers on it one sends.
        origin: Name of its log.
        rules: Returns what the policy says now.
    """

    def __init__(self, home: Home, origin: str, rules: Callable[[], TelemetryRules]) -> None:
        self._lock_path = home.run_dir / ".traces.lock"
        self._lock = -1
        self._origin = origin
        self._rules = rules
        self._current = TelemetryRules()
        self._provider: TracerProvider | None = None
        self._ids = _RecordedIds()
        self._open: dict[str, tuple[Entry, list[Entry]]] = {}

    def take(self, event: Entry) -> None:
        """Remembers an intent, or sends the span of an execution that has ended."""
        self._follow_policy()
        if self._provider is None:
            self._open.clear()
            return
        execution = event.body.get("execution_id")
        if not isinstance(execution, str):
            return
        if event.type == INTENT:
            self._open[execution] = event, []
            if len(self._open) > _MOST_OPEN:
                del self._open[next(iter(self._open))]
        elif event.type == RESULT and execution in self._open:
            intent, connections = self._open.pop(execution)
            if self._is_ours():
                self._send(self._provider, intent, event, connections)
        elif event.type.startswith("egress.") and execution in self._open:
            connections = self._open[execution][1]
            if len(connections) < _MOST_EVENTS and event.body.get("phase") != "closed":
                connections.append(event)

    def stop(self) -> None:
        """Sends what waits, as far as that is quick."""
        provider, self._provider = self._provider, None
        if provider is not None:
            provider.force_flush(_LAST_EXPORT_MS)
            provider.shutdown()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _follow_policy(self) -> None:
        rules = self._rules()
        if rules == self._current:
            return
        self._current = rules
        self.stop()
        if rules.otlp is None:
            return
        if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter") is None:
            _log.error(
                "CLO-LAB-009: spans are not sent: what that needs is not installed. "
                "Run: pip install 'cloister[telemetry]'"
            )
            return
        self._provider = _provider(rules, self._origin, self._ids)

    def _is_ours(self) -> bool:
        """Returns whether this server sends for the workspace; it goes on until it ends."""
        if self._lock >= 0:
            return True
        lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def _send(
        self, provider: TracerProvider, intent: Entry, result: Entry, connections: Sequence[Entry]
    ) -> None:
        from opentelemetry import trace
        from opentelemetry.trace import (
            NonRecordingSpan,
            SpanContext,
            Status,
            StatusCode,
            TraceFlags,
        )

        trace_id, span_id = trace_id_of(intent.body), span_id_of(intent.body)
        if trace_id is None or span_id is None:
            return
        self._ids.next = int(trace_id, 16), int(span_id, 16)
        parent = parent_span_id_of(intent.body)
        context = None
        if parent is not None:
            remote = SpanContext(
                int(trace_id, 16), int(parent, 16), is_remote=True, trace_flags=TraceFlags(1)
            )
            context = trace.set_span_in_context(NonRecordingSpan(remote))
        span = provider.get_tracer("cloister", product_version()).start_span(
            "cell",
            context=context,
            attributes=_attributes(intent, result),
            start_time=intent.time_us * _NANOS,
        )
        for connection in connections:
            said = {key: facts.text(connection.body, key) for key in ("decision", "rule")}
            shown = {f"cloister.{key}": value for key, value in said.items() if value}
            span.add_event(connection.type, shown, timestamp=connection.time_us * _NANOS)
        is_ok = result.body.get("status") == "ok"
        span.set_status(Status(StatusCode.OK if is_ok else StatusCode.ERROR))
        span.end(max(result.time_us, intent.time_us) * _NANOS)


def _attributes(intent: Entry, result: Entry) -> dict[str, Any]:
    body = result.body
    said: dict[str, Any] = {
        "cloister.record.seq": result.seq,
        "cloister.record.intent_seq": intent.seq,
        "cloister.status": facts.text(body, "status"),
        "cloister.execution_count": facts.number(body, "execution_count"),
        "cloister.duration_us": facts.number(body, "duration_us"),
        "cloister.reads": len(facts.objects(body, "reads")),
        "cloister.labels": facts.texts(body, "labels"),
        "cloister.attested_by": facts.text(body, "attested_by"),
    }
    said |= {f"cloister.outputs.{name}": count for name, count in facts.counts(body).items()}
    return {key: value for key, value in said.items() if value is not None and _fits(value)}


def _fits(value: object) -> bool:
    """Returns whether OTLP has a place for a value: a kernel chooses what it calls its prompts."""
    return not isinstance(value, int) or value.bit_length() < 64


class _RecordedIds:
    """Gives the next span the ids that the record has for it."""

    next = (1, 1)

    def generate_trace_id(self) -> int:
        return self.next[0]

    def generate_span_id(self) -> int:
        return self.next[1]

    def is_trace_id_random(self) -> bool:
        return False


def _provider(rules: TelemetryRules, origin: str, ids: _RecordedIds) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    resource = Resource(
        {
            "service.name": "cloister",
            "service.version": product_version(),
            "service.instance.id": origin,
        }
    )
    provider = TracerProvider(
        sampler=ALWAYS_ON,
        resource=resource,
        shutdown_on_exit=False,
        id_generator=ids,  # type: ignore[arg-type]  # it has the methods, without the import
    )
    exporter = OTLPSpanExporter(rules.otlp, certificate_file=rules.ca_file)
    provider.add_span_processor(
        BatchSpanProcessor(exporter, schedule_delay_millis=_EXPORT_EVERY_MS)
    )
    return provider
